package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"waybill/sinks"
)

// Publisher is a cluster that takes events.
type Publisher struct {
	config      Config // with defaults
	topic       topicName
	compression compress.Compression
	cluster     *cluster
	born        time.Time

	mu    sync.Mutex
	parts map[place]*partition
}

// place is a partition of a topic.
type place struct {
	topic string
	part  int
}

var _ sinks.Publisher = (*Publisher)(nil)

// New makes a publisher of a configuration that Validate has passed; nothing is asked.
func New(c Config) *Publisher {
	c = c.withDefaults()
	topic, err := parseTopic(c.Topic)
	if err != nil { // of a configuration that was not validated: no event can go to a topic of such a name
		topic = topicName{texts: []string{c.Topic}}
	}
	return &Publisher{config: c, topic: topic, compression: compress.Compression(max(0, slices.Index(compressions, c.Compression))),
		cluster: newCluster(c), born: time.Now(), parts: map[place]*partition{}}
}

// maxCall bounds the data of one call, in bytes.
const maxCall = 8 << 20

// Terms implements sinks.Publisher.
func (p *Publisher) Terms() sinks.Terms {
	return sinks.Terms{Batch: p.config.Batch, Bytes: maxCall, Parallel: p.config.Parallel, Remembers: true}
}

// Identity implements sinks.Publisher: the id of the cluster.
func (p *Publisher) Identity(ctx context.Context) (string, error) {
	answer, err := p.cluster.look(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the id of the Kafka cluster: %w", err)
	}
	return "kafka/" + answer.ClusterID, nil
}

// Close implements sinks.Publisher: it ends every connection, with what is under way.
func (p *Publisher) Close() error {
	p.cluster.close()
	return nil
}

// at is the way to a partition.
func (p *Publisher) at(where place) *partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[where]
	if part == nil {
		part = newPartition(p, where.topic, where.part)
		p.parts[where] = part
	}
	return part
}
