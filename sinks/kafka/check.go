package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"waybill/cdc"
	"waybill/sinks"
)

// Check implements sinks.Publisher.
func (p *Publisher) Check(ctx context.Context) ([]cdc.Finding, error) {
	answer, err := p.cluster.look(ctx, p.names()...)
	if m := classify(err); err != nil && m.class == sinks.Setup {
		return []cdc.Finding{{Check: "login", Level: cdc.LevelFail, Found: err.Error(), Want: "a login that the brokers take", Why: "Nothing can be sent.", Fix: m.hint}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the Kafka cluster: %w", err)
	}
	all := []cdc.Finding{{Check: "cluster", Level: cdc.LevelOK, Found: fmt.Sprintf("%s, %d brokers", answer.ClusterID, len(answer.Brokers))}, p.checkRight(ctx)}
	for _, topic := range answer.Topics {
		all = append(all, p.checkTopic(ctx, topic, len(answer.Brokers))...)
	}
	if len(answer.Topics) == 0 {
		all = append(all, cdc.Finding{Check: "topics", Level: cdc.LevelWarn, Found: "none named", Want: "the topics that the mapping publishes to",
			Why: "What is wrong with a topic shows with the first event only.", Fix: "topics: [NAME, …]"})
	}
	return all, nil
}

// names are the topics that are known beforehand.
func (p *Publisher) names() []string {
	names := slices.Clone(p.config.Topics)
	if len(p.topic.places) == 0 {
		names = append(names, p.topic.texts[0])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkRight asks for a producer's id, which those get who may write to some topic.
func (p *Publisher) checkRight(ctx context.Context) cdc.Finding {
	f := cdc.Finding{Check: "right to write", Level: cdc.LevelOK, Found: "yes"}
	if _, err := p.cluster.producer(ctx); err != nil {
		f = cdc.Finding{Check: f.Check, Level: cdc.LevelFail, Found: err.Error(), Want: "Write on the topics", Why: "Nothing can be sent.", Fix: hintRight}
	}
	return f
}

// checkTopic looks at one topic.
func (p *Publisher) checkTopic(ctx context.Context, t kafkago.Topic, brokers int) []cdc.Finding {
	about := func(what string) string { return what + " of " + t.Name }
	if errors.Is(t.Error, kafkago.UnknownTopicOrPartition) {
		if p.config.Create.Partitions > 0 {
			f := cdc.Finding{Check: "topic " + t.Name, Level: cdc.LevelOK, Found: "missing; it will be made", Want: fmt.Sprintf("%d partitions, %d copies",
				p.config.Create.Partitions, p.config.Create.Replication)}
			if p.config.Create.Replication > brokers {
				f.Level, f.Why, f.Fix = cdc.LevelFail, fmt.Sprintf("There are %d brokers.", brokers), fmt.Sprintf("create: { replication: %d }", brokers)
			}
			return []cdc.Finding{f}
		}
		return []cdc.Finding{{Check: "topic " + t.Name, Level: cdc.LevelFail, Found: "missing", Want: "a topic", Why: "Events for it stop the sink.", Fix: hintTopic}}
	}
	if t.Error != nil {
		return []cdc.Finding{{Check: "topic " + t.Name, Level: cdc.LevelFail, Found: t.Error.Error(), Want: "Write and Read on it", Fix: hintRight}}
	}
	copies, lost := 99, 0
	for _, part := range t.Partitions {
		copies = min(copies, len(part.Replicas))
		if part.Error != nil && !errors.Is(part.Error, kafkago.ReplicaNotAvailable) || len(part.Isr) == 0 {
			lost++
		}
	}
	all := []cdc.Finding{{Check: "topic " + t.Name, Level: cdc.LevelOK, Found: fmt.Sprintf("%d partitions, %d copies", len(t.Partitions), copies)}}
	if copies < 3 {
		all = append(all, cdc.Finding{Check: about("replication"), Level: cdc.LevelWarn, Found: strconv.Itoa(copies), Want: "3",
			Why: "With a broker that is away events cannot be sent, or are lost with its disk.", Fix: "kafka-reassign-partitions with three replicas a partition"})
	}
	if lost > 0 {
		all = append(all, cdc.Finding{Check: about("leaders"), Level: cdc.LevelFail, Found: fmt.Sprintf("%d of %d partitions without one", lost, len(t.Partitions)),
			Want: "one each", Why: "Events for them wait.", Fix: "Start the brokers that hold them."})
	}
	return append(append(all, p.checkRead(ctx, t.Name)...), p.checkSettings(ctx, t.Name, copies)...)
}

// checkRead asks for a message that is not there yet. It says something only when the right to read is missing.
func (p *Publisher) checkRead(ctx context.Context, topic string) []cdc.Finding {
	end, err := p.cluster.offset(ctx, topic, 0, kafkago.LastOffset, consumer)
	if err == nil {
		_, err = p.fetch(ctx, topic, 0, end, time.Millisecond, func(string) {})
	}
	if err == nil {
		return nil
	}
	f := cdc.Finding{Check: "right to read " + topic, Level: cdc.LevelWarn, Found: err.Error(), Want: "what was sent can be read back"}
	if errors.Is(err, kafkago.TopicAuthorizationFailed) {
		f.Level, f.Why, f.Fix = cdc.LevelFail, "After a start nothing is sent before the end of the topic has been read back.", hintRight
	}
	return []cdc.Finding{f}
}

// setting is what a topic's setting should be like.
type setting struct {
	name, want, why string
	good            func(value string) bool
	fix             string
}

// settings are those that order and completeness hang on. copies is the least replication.
func (p *Publisher) settings(copies int) []setting {
	atLeast := func(n int64) func(string) bool {
		return func(value string) bool {
			v, err := strconv.ParseInt(value, 10, 64)
			return err == nil && v >= n
		}
	}
	day := (24 * time.Hour).Milliseconds()
	return []setting{
		{"min.insync.replicas", fmt.Sprintf("2, below the %d copies", copies), "An event is acknowledged that one broker alone has.", atLeast(2), "min.insync.replicas=2"},
		{"unclean.leader.election.enable", "false", "A broker that missed events may become leader: they are lost.", func(v string) bool { return v == "false" },
			"unclean.leader.election.enable=false"},
		{"max.message.bytes", fmt.Sprintf("%d or more (batch_bytes)", p.config.BatchBytes), "Batches are sent again in halves until they are taken.",
			atLeast(int64(p.config.BatchBytes)), fmt.Sprintf("max.message.bytes=%d", p.config.BatchBytes)},
		{"retention.ms", "a day or more, or -1", "What was sent may be gone before it is read back after a start: it comes twice.",
			func(v string) bool { return v == "-1" || atLeast(day)(v) }, "retention.ms=604800000"},
		{"cleanup.policy", "delete", "Of a key's events only the last is kept.", func(v string) bool { return v == "delete" }, "cleanup.policy=delete"},
	}
}

// checkSettings reads a topic's settings, which needs the right to DescribeConfigs.
func (p *Publisher) checkSettings(ctx context.Context, topic string, copies int) []cdc.Finding {
	wanted := p.settings(copies)
	names := make([]string, len(wanted))
	for i, s := range wanted {
		names[i] = s.name
	}
	answer, err := p.cluster.ask().DescribeConfigs(ctx, &kafkago.DescribeConfigsRequest{Resources: []kafkago.DescribeConfigRequestResource{{
		ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic, ConfigNames: names}}})
	if err == nil && len(answer.Resources) == 1 {
		err = answer.Resources[0].Error
	}
	if err != nil {
		return []cdc.Finding{{Check: "settings of " + topic, Level: cdc.LevelWarn, Found: err.Error(), Want: "the right to DescribeConfigs",
			Why: "Whether the topic can lose events is not known.", Fix: "kafka-acls --add --allow-principal User:… --operation DescribeConfigs --topic " + topic}}
	}
	values := map[string]string{}
	for _, r := range answer.Resources {
		for _, e := range r.ConfigEntries {
			values[e.ConfigName] = e.ConfigValue
		}
	}
	var all []cdc.Finding
	for _, s := range wanted {
		f := cdc.Finding{Check: s.name + " of " + topic, Level: cdc.LevelOK, Found: values[s.name]}
		if !s.good(f.Found) {
			f.Level, f.Want, f.Why, f.Fix = cdc.LevelWarn, s.want, s.why, "kafka-configs --alter --topic "+topic+" --add-config "+s.fix
		}
		all = append(all, f)
	}
	return all
}
