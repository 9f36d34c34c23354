package sinktest

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// ask runs fn with a client that knows nothing yet; it is tried again until it succeeds, for a minute at most, for a cluster whose leaders move
// refuses much for a moment.
func (k *Kafka) ask(what string, fn func(ctx context.Context, c *kafkago.Client) error) error {
	return askAt(what, k.running(), fn)
}

// askAt is ask of these brokers alone.
func askAt(what string, brokers []string, fn func(ctx context.Context, c *kafkago.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		transport := &kafkago.Transport{}
		once, end := context.WithTimeout(ctx, 15*time.Second)
		err := fn(once, &kafkago.Client{Addr: kafkago.TCP(brokers...), Timeout: 15 * time.Second, Transport: transport})
		end()
		transport.CloseIdleConnections()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (k *Kafka) running() []string {
	var all []string
	for _, n := range k.nodes {
		if n.cmd != nil {
			all = append(all, n.address())
		}
	}
	return all
}

// away are the brokers that do not run.
func (k *Kafka) away() []int {
	var all []int
	for _, n := range k.nodes {
		if n.cmd == nil {
			all = append(all, n.id)
		}
	}
	return all
}

// CreateTopic makes a topic with settings, and waits until all replicas of all partitions are in sync.
func (k *Kafka) CreateTopic(name string, partitions, copies int, settings map[string]string) error {
	var entries []kafkago.ConfigEntry
	for key, value := range settings {
		entries = append(entries, kafkago.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	if err := k.ask("making topic "+name, func(ctx context.Context, c *kafkago.Client) error {
		answer, err := c.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{Topic: name, NumPartitions: partitions,
			ReplicationFactor: copies, ConfigEntries: entries}}})
		if err != nil {
			return err
		}
		if err := answer.Errors[name]; !errors.Is(err, kafkago.TopicAlreadyExists) {
			return err
		}
		return nil
	}); err != nil {
		return err
	}
	return k.AwaitReplicas(name, copies)
}

// AwaitReplicas waits until each broker says that each partition of a topic has so many replicas in sync.
func (k *Kafka) AwaitReplicas(topic string, copies int) error {
	for _, broker := range k.running() {
		err := askAt("waiting for the replicas of "+topic, []string{broker}, func(ctx context.Context, c *kafkago.Client) error {
			t, err := layout(ctx, c, topic)
			if err != nil {
				return err
			}
			for _, p := range t.Partitions {
				if len(p.Isr) < copies || p.Leader.Host == "" {
					return fmt.Errorf("of partition %d %d replicas are in sync", p.ID, len(p.Isr))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func layout(ctx context.Context, c *kafkago.Client, topic string) (*kafkago.Topic, error) {
	answer, err := c.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	t := &answer.Topics[0]
	if t.Error == nil && len(t.Partitions) == 0 {
		return nil, kafkago.LeaderNotAvailable
	}
	return t, t.Error
}

// Leader is the broker (from 1) that leads a partition.
func (k *Kafka) Leader(topic string, partition int) (broker int, err error) {
	err = k.ask("asking for a leader of "+topic, func(ctx context.Context, c *kafkago.Client) error {
		t, err := layout(ctx, c, topic)
		if err != nil {
			return err
		}
		for _, p := range t.Partitions {
			if p.ID == partition && p.Leader.Host != "" {
				broker = p.Leader.ID
				return nil
			}
		}
		return kafkago.LeaderNotAvailable
	})
	return broker, err
}

// MoveLeader makes another broker that holds the partition its leader: it comes first among the replicas, and a preferred leader is elected.
func (k *Kafka) MoveLeader(topic string, partition, to int) error {
	return k.ask(fmt.Sprintf("making broker %d the leader of %s/%d", to, topic, partition), func(ctx context.Context, c *kafkago.Client) error {
		t, err := layout(ctx, c, topic)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(t.Partitions, func(p kafkago.Partition) bool { return p.ID == partition })
		if at < 0 {
			return kafkago.UnknownTopicOrPartition
		}
		p := t.Partitions[at]
		if p.Leader.ID == to {
			return nil
		}
		order, away := []int{to}, k.away()
		for _, r := range p.Replicas {
			switch {
			case r.ID == to:
			case r.ID != 0:
				order = append(order, r.ID)
			case len(away) > 0: // kafka-go does not say which broker it is that does not run
				order, away = append(order, away[0]), away[1:]
			}
		}
		moved, err := c.AlterPartitionReassignments(ctx, &kafkago.AlterPartitionReassignmentsRequest{Topic: topic, Timeout: 5 * time.Second,
			Assignments: []kafkago.AlterPartitionReassignmentsRequestAssignment{{PartitionID: partition, BrokerIDs: order}}})
		if err != nil {
			return err
		}
		elected, err := c.ElectLeaders(ctx, &kafkago.ElectLeadersRequest{Topic: topic, Partitions: []int{partition}, Timeout: 5 * time.Second})
		if err != nil {
			return err
		}
		return fmt.Errorf("broker %d leads yet, in sync are %v; reassigned %v to %v %v, elected %v %v", p.Leader.ID, p.Isr, order, moved.Error,
			moved.PartitionResults, elected.Error, elected.PartitionResults)
	})
}

// AddUser makes a user of SCRAM, of both kinds.
func (k *Kafka) AddUser(name, password string) error {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	const rounds = 4096
	short, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return err
	}
	long, err := pbkdf2.Key(sha512.New, password, salt, rounds, sha512.Size)
	if err != nil {
		return err
	}
	for mechanism, salted := range map[kafkago.ScramMechanism][]byte{kafkago.ScramMechanismSha256: short, kafkago.ScramMechanismSha512: long} {
		err := k.ask("making user "+name, func(ctx context.Context, c *kafkago.Client) error {
			answer, err := c.AlterUserScramCredentials(ctx, &kafkago.AlterUserScramCredentialsRequest{Upsertions: []kafkago.UserScramCredentialsUpsertion{
				{Name: name, Mechanism: mechanism, Iterations: rounds, Salt: salt, SaltedPassword: salted}}})
			if err != nil {
				return err
			}
			return answer.Results[0].Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Allow lets a user do these things with a topic.
func (k *Kafka) Allow(user, topic string, may ...kafkago.ACLOperationType) error {
	var list []kafkago.ACLEntry
	for _, operation := range may {
		list = append(list, kafkago.ACLEntry{ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic, ResourcePatternType: kafkago.PatternTypeLiteral,
			Principal: "User:" + user, Host: "*", Operation: operation, PermissionType: kafkago.ACLPermissionTypeAllow})
	}
	return k.ask("letting "+user+" use "+topic, func(ctx context.Context, c *kafkago.Client) error {
		answer, err := c.CreateACLs(ctx, &kafkago.CreateACLsRequest{ACLs: list})
		if err != nil {
			return err
		}
		return errors.Join(answer.Errors...)
	})
}
