package kafka

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"waybill/cdc/cdctest"
	"waybill/sinks/sinktest"
)

// TestMain ends the brokers that the tests share before it looks for goroutines that were left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

type tests struct{ *testing.M }

func (t tests) Run() int {
	code := t.M.Run()
	if shared.kafka != nil {
		shared.kafka.Stop()
	}
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}

// shared is a cluster of three brokers that all tests use. A test that hurts it heals it.
var shared struct {
	once      sync.Once
	dir       string
	kafka     *sinktest.Kafka
	authority string // file of the certificate that signed the brokers'
	err       error
}

const plainUser, plainPassword = "waybill-plain", "secret-of-plain"

// brokers starts the cluster if no test has.
func brokers(t *testing.T) *sinktest.Kafka {
	t.Helper()
	shared.once.Do(func() { shared.err = startShared(t) })
	if shared.err != nil {
		t.Fatalf("starting Kafka: %v", shared.err)
	}
	shared.kafka.LogOnFailure(t)
	return shared.kafka
}

func startShared(t *testing.T) (err error) {
	if shared.dir, err = os.MkdirTemp("", "waybill-kafka-"); err != nil {
		return err
	}
	authority := cdctest.NewAuthority(t, "kafka")
	raw, err := os.ReadFile(authority.File) // the test's own folder goes with the test
	if err != nil {
		return err
	}
	shared.authority = shared.dir + "/authority.pem"
	if err := os.WriteFile(shared.authority, raw, 0o644); err != nil {
		return err
	}
	cert, key := authority.Sign(t, "127.0.0.1")
	k, err := sinktest.NewKafka(shared.dir, 3, sinktest.KafkaOptions{Cert: cert, Key: key, Users: map[string]string{plainUser: plainPassword}})
	if err != nil {
		return err
	}
	shared.kafka = k
	return k.Start()
}
