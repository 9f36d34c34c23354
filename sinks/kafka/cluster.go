package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// cluster asks the brokers.
type cluster struct {
	config Config // with defaults
	lines  *lines
	life   context.Context // until close
	end    context.CancelFunc

	mu     sync.Mutex
	client *kafkago.Client // nil until somebody asks
	forget context.CancelFunc

	making sync.Mutex // one topic at a time
}

func newCluster(c Config) *cluster {
	life, end := context.WithCancel(context.Background())
	return &cluster{config: c, lines: &lines{open: map[net.Conn]struct{}{}}, life: life, end: end}
}

// transport is the way to the brokers; it looks after them until ctx ends. The cluster's layout is asked for anew after an error that says so
// (moved), so it need not be asked for often. A broker that accepts a connection and says nothing on it costs one DialTimeout; the next attempt
// begins with any other.
func (c *cluster) transport(ctx context.Context) *kafkago.Transport {
	t := &kafkago.Transport{Context: ctx, Dial: c.lines.dial, ClientID: c.config.ClientID, SASL: c.config.SASL.mechanism(), MetadataTTL: time.Minute,
		IdleTimeout: time.Minute, DialTimeout: min(5*time.Second, c.config.Timeout/3)}
	secure, err := c.config.TLS.config()
	if err != nil { // the files were there when Validate looked
		t.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, &loginError{err} }
	}
	t.TLS = secure
	return t
}

// ask is the client as it is now, which moved replaces.
func (c *cluster) ask() *kafkago.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		life, forget := context.WithCancel(c.life)
		c.client = &kafkago.Client{Addr: kafkago.TCP(c.config.Brokers...), Timeout: c.config.Timeout, Transport: c.transport(life)}
		c.forget = forget
	}
	return c.client
}

// moved forgets what a client knows of the cluster, unless that has been done since: kafka-go has no other way to look anew. What is under way
// on its connections goes on.
func (c *cluster) moved(from *kafkago.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == from {
		c.client = nil
		c.forget() // who holds the client yet, and uses it, would begin to look after the brokers again
		from.Transport.(*kafkago.Transport).CloseIdleConnections()
	}
}

// close ends every connection; none is opened after it.
func (c *cluster) close() {
	c.end()
	c.moved(c.ask())
	c.lines.close()
}

// look asks for the cluster and, of names, its topics.
func (c *cluster) look(ctx context.Context, names ...string) (*kafkago.MetadataResponse, error) {
	client := c.ask()
	if names == nil {
		names = []string{} // not all that there are
	}
	answer, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names})
	if err != nil {
		c.moved(client)
		return nil, err
	}
	return answer, nil
}

// partitions is how many a topic has. A topic that is missing is made, if the configuration says how; else the error is errNoTopic.
func (c *cluster) partitions(ctx context.Context, name string) (int, error) {
	for try := range 3 {
		client := c.ask()
		answer, err := c.look(ctx, name)
		if err != nil {
			return 0, err
		}
		topic := answer.Topics[0]
		switch {
		case topic.Error == nil && len(topic.Partitions) > 0:
			return len(topic.Partitions), nil
		case topic.Error != nil && !errors.Is(topic.Error, kafkago.UnknownTopicOrPartition):
			c.moved(client)
			return 0, topic.Error
		case try == 0: // what is known of the cluster may be old
			c.moved(client)
		case c.config.Create.Partitions == 0:
			return 0, errNoTopic
		case try == 1:
			if err := c.create(ctx, name); err != nil {
				return 0, err
			}
		}
	}
	return 0, kafkago.LeaderNotAvailable // it was made a moment ago, and not all brokers know of it
}

var errNoTopic = errors.New("the topic is not there")

// create makes a topic; one that is there is left as it is.
func (c *cluster) create(ctx context.Context, name string) error {
	c.making.Lock()
	defer c.making.Unlock()
	settings := make([]kafkago.ConfigEntry, 0, len(c.config.Create.Config))
	for key, value := range c.config.Create.Config {
		settings = append(settings, kafkago.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	answer, err := c.ask().CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{Topic: name,
		NumPartitions: c.config.Create.Partitions, ReplicationFactor: c.config.Create.Replication, ConfigEntries: settings}}})
	if err == nil {
		err = answer.Errors[name]
	}
	if err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
		return fmt.Errorf("making topic %s: %w", name, err)
	}
	return nil
}

// producer is the name under which batches are numbered.
type producer struct {
	id    int64
	epoch int16
}

// producer asks for a new one, and again while the broker fetches a block of them. It needs the right to write to some topic (IdempotentWrite on
// the cluster before Kafka 3.0).
func (c *cluster) producer(ctx context.Context) (producer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	for {
		client := c.ask()
		answer, err := client.Transport.RoundTrip(ctx, client.Addr, &initProducer{ProducerID: -1, ProducerEpoch: -1})
		if err != nil {
			c.moved(client)
			return producer{}, err
		}
		a := answer.(*initproducerid.Response)
		switch code := kafkago.Error(a.ErrorCode); {
		case code == 0:
			return producer{a.ProducerID, a.ProducerEpoch}, nil
		case code != kafkago.GroupLoadInProgress || sleep(ctx, lookAgain) != nil:
			return producer{}, code
		}
	}
}

// initProducer is the request of initproducerid. kafka-go's own asks for the coordinator of the transactional id "" first, at which brokers make
// the topic of transactions.
type initProducer struct {
	_ struct{} `kafka:"min=v2,max=v4,tag"`

	TransactionalID      string `kafka:"min=v0,max=v4,nullable"`
	TransactionTimeoutMs int32  `kafka:"min=v0,max=v4"`
	ProducerID           int64  `kafka:"min=v3,max=v4"`
	ProducerEpoch        int16  `kafka:"min=v3,max=v4"`
}

// ApiKey implements protocol.Message.
func (*initProducer) ApiKey() protocol.ApiKey { return protocol.InitProducerId }

// TypeKey implements protocol.OverrideTypeMessage.
func (*initProducer) TypeKey() protocol.OverrideTypeKey { return 1 }

func init() { protocol.RegisterOverride(&initProducer{}, &initproducerid.Response{}, 1) }

// Whom an offset is given to: a consumer sees what is replicated, an onlooker all that the leader has.
const (
	consumer = -1
	onlooker = -2
)

// offset asks a partition's leader for the first offset at a time of Kafka's, in ms: or kafkago.FirstOffset, LastOffset. -1: there is none.
func (c *cluster) offset(ctx context.Context, topic string, partition int, at int64, who int32) (int64, error) {
	client := c.ask()
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	answer, err := client.Transport.RoundTrip(ctx, client.Addr, &listoffsets.Request{ReplicaID: who, Topics: []listoffsets.RequestTopic{{Topic: topic,
		Partitions: []listoffsets.RequestPartition{{Partition: int32(partition), CurrentLeaderEpoch: -1, Timestamp: at}}}}})
	if err != nil {
		c.moved(client)
		return 0, err
	}
	a := answer.(*listoffsets.Response)
	if len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 1 {
		return 0, errors.New("an answer to another question than was asked of its offsets")
	}
	p := a.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		c.moved(client)
		return 0, kafkago.Error(p.ErrorCode)
	}
	return p.Offset, nil
}
