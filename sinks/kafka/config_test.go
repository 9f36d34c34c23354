package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/sinks/web"
)

func good() Config { return Config{Brokers: []string{"127.0.0.1:9092"}} }

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		field  string // of the fault; "" when there is none
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Brokers = nil }, "brokers"},
		{func(c *Config) { c.Brokers = []string{"a:1", "localhost"} }, "brokers[1]"},
		{func(c *Config) { c.Topic = "{nothing}" }, "topic"},
		{func(c *Config) { c.Topics = []string{"a b"} }, "topics[0]"},
		{func(c *Config) { c.Key = "id" }, "key"},
		{func(c *Config) { c.Compression = "rar" }, "compression"},
		{func(c *Config) { c.Batch = -1 }, "batch"},
		{func(c *Config) { c.BatchBytes = 1 }, "batch_bytes"},
		{func(c *Config) { c.Timeout = time.Millisecond }, "timeout"},
		{func(c *Config) { c.Create.Replication = 2 }, "create.partitions"},
		{func(c *Config) { c.Create = Create{Partitions: 3, Replication: 2} }, ""},
		{func(c *Config) { c.TLS.CA = "x" }, "tls.enabled"},
		{func(c *Config) { c.TLS = TLS{Enabled: true, Cert: "x"} }, "tls.key"},
		{func(c *Config) { c.TLS = TLS{Enabled: true, CA: "/nowhere"} }, "tls.ca"},
		{func(c *Config) { c.TLS = TLS{Enabled: true, CA: "config_test.go"} }, "tls.ca"},
		{func(c *Config) { c.TLS = TLS{Enabled: true, Cert: "/nowhere", Key: "/nowhere"} }, "tls.cert"},
		{func(c *Config) { c.SASL.User = "u" }, "sasl.mechanism"},
		{func(c *Config) { c.SASL = SASL{Mechanism: "scram-sha-512", Password: web.Plain("p")} }, "sasl.user"},
		{func(c *Config) { c.SASL = SASL{Mechanism: "scram-sha-512", User: "u"} }, "sasl.password_file"},
		{func(c *Config) { c.SASL = SASL{Mechanism: "plain", User: "u", Password: web.Plain("p")} }, "tls.enabled"},
		{func(c *Config) { c.SASL = SASL{Mechanism: "scram-sha-256", User: "u", Password: web.Plain("p")} }, ""},
	} {
		cfg := good()
		c.change(&cfg)
		err := cfg.Validate()
		switch {
		case c.field == "" && err != nil:
			t.Error(err)
		case c.field != "" && (err == nil || !strings.HasPrefix(err.Error(), c.field+": found ") || !strings.Contains(err.Error(), ", expected ")):
			t.Errorf("%s: %v", c.field, err)
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	err := Config{Topic: "{", Key: "x", Tail: -1}.Validate()
	if got := len(strings.Split(fmt.Sprint(err), "\n")); got != 4 {
		t.Errorf("%d faults, expected 4:\n%v", got, err)
	}
}

func TestDefaults(t *testing.T) {
	c := Config{Create: Create{Partitions: 1, Replication: 1}}.withDefaults()
	if c.Topic != "{topic}" || c.Key != keySubject || c.Batch != 1000 || c.Create.Config["min.insync.replicas"] != "1" {
		t.Errorf("%+v", c)
	}
	if c := good().withDefaults(); c.Create.Replication != 3 || c.Create.Config["min.insync.replicas"] != "2" {
		t.Errorf("%+v", c.Create)
	}
}

func TestThePasswordIsNotShown(t *testing.T) {
	c := good()
	c.SASL = SASL{Mechanism: "scram-sha-256", User: "u", Password: web.Plain("hunter2-secret")}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c)} {
		if strings.Contains(text, "hunter2-secret") {
			t.Error(text)
		}
	}
}
