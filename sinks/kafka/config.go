package kafka

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/sinks/web"
)

// Config is one Kafka cluster, and how events stand in it.
type Config struct {
	// Brokers that are asked first, as host:port; the others are learned from them.
	Brokers []string `yaml:"brokers"`
	// Named in the brokers' logs and quotas. Default waybill.
	ClientID string `yaml:"client_id"`
	// Name of an event's topic: {topic} is what the mapping's publish names, {lane}, {type} and {company} are the event's. Default "{topic}".
	Topic string `yaml:"topic"`
	// What an event's partition is chosen by: subject (default), or order_key, so that all events of an order key are in one partition.
	Key string `yaml:"key"`
	// Topics that waybill check looks at, beside the one that topic names when it is without braces.
	Topics []string `yaml:"topics"`
	// How a topic that is missing is made; left out, a missing topic stops the sink.
	Create Create `yaml:"create"`
	// Encrypted connections.
	TLS TLS `yaml:"tls"`
	// How the sink logs in.
	SASL SASL `yaml:"sasl"`
	// none (default), gzip, snappy, lz4 or zstd.
	Compression string `yaml:"compression"`
	// Events of one call, at most. Default 1000.
	Batch int `yaml:"batch"`
	// Bytes of one batch to a partition before compression, at most; the topic's max.message.bytes must be larger. Default 1000000.
	BatchBytes int `yaml:"batch_bytes"`
	// Calls at the same time. Default 4.
	Parallel int `yaml:"parallel"`
	// Messages of a partition's end that are read back after a start, at most. Default 100000.
	Tail int `yaml:"tail"`
	// Of one request; the brokers get half of it to replicate. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// Create says how a missing topic is made.
type Create struct {
	// From 1; 0 means that topics are not made.
	Partitions int `yaml:"partitions"`
	// Copies of each partition. Default 3.
	Replication int `yaml:"replication"`
	// Settings of the topic, such as retention.ms. Without others min.insync.replicas is 2, or 1 when there is one copy.
	Config map[string]string `yaml:"config"`
}

// TLS says how connections are encrypted.
type TLS struct {
	// Whether they are.
	Enabled bool `yaml:"enabled"`
	// Certificates (PEM) that are believed; left out, those of the system.
	CA web.File `yaml:"ca"`
	// Our certificate (PEM), where brokers ask for one. It is read anew for each connection.
	Cert web.File `yaml:"cert"`
	// Its private key (PEM).
	Key web.File `yaml:"key"`
	// Name in the brokers' certificates, where it is not the one of their addresses.
	ServerName string `yaml:"server_name"`
}

// SASL says how the sink logs in.
type SASL struct {
	// plain, scram-sha-256 or scram-sha-512; left out, without a login.
	Mechanism string `yaml:"mechanism"`
	// Whom the brokers know.
	User string `yaml:"user"`
	// Of the user; or password_file, password_command. It is read anew for each connection, so that it can be changed while the daemon runs.
	Password web.Secret `yaml:"password"`
}

const (
	keySubject  = "subject"
	keyOrderKey = "order_key"
)

var compressions = []string{"none", "gzip", "snappy", "lz4", "zstd"} // in the order of their codes

var mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		at    *string
		value string
	}{{&c.ClientID, "waybill"}, {&c.Topic, "{topic}"}, {&c.Key, keySubject}, {&c.Compression, "none"}} {
		if *d.at == "" {
			*d.at = d.value
		}
	}
	for _, d := range []struct {
		at    *int
		value int
	}{{&c.Batch, 1000}, {&c.BatchBytes, 1_000_000}, {&c.Parallel, 4}, {&c.Tail, 100_000}, {&c.Create.Replication, 3}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	c.Create.Config = maps.Clone(c.Create.Config)
	if c.Create.Config == nil {
		c.Create.Config = map[string]string{}
	}
	if c.Create.Config["min.insync.replicas"] == "" {
		c.Create.Config["min.insync.replicas"] = strconv.Itoa(min(2, c.Create.Replication))
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, found any, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, fmt.Sprint(found), want))
	}
	if len(c.Brokers) == 0 {
		bad("brokers", "", "at least one host:port")
	}
	for i, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		if n, e := strconv.Atoi(port); err != nil || e != nil || host == "" || n < 1 || n > 65535 {
			bad(fmt.Sprintf("brokers[%d]", i), b, "host:port, such as kafka-1.example:9092")
		}
	}
	if c.Topic != "" {
		if _, err := parseTopic(c.Topic); err != nil {
			bad("topic", c.Topic, err.Error())
		}
	}
	for i, name := range c.Topics {
		if fault := illegalTopic(name); fault != "" {
			bad(fmt.Sprintf("topics[%d]", i), name, fault)
		}
	}
	oneOf := func(field, found string, known []string) {
		if found != "" && !slices.Contains(known, found) {
			bad(field, found, strings.Join(known, ", "))
		}
	}
	oneOf("key", c.Key, []string{keySubject, keyOrderKey})
	oneOf("compression", c.Compression, compressions)
	c.validateBounds(bad)
	c.validateLogin(bad, oneOf)
	return errors.Join(errs...)
}

func (c Config) validateBounds(bad func(field string, found any, want string)) {
	for _, f := range []struct {
		name               string
		value, least, most int
	}{{"batch", c.Batch, 1, 100_000}, {"batch_bytes", c.BatchBytes, 1000, 100_000_000}, {"parallel", c.Parallel, 1, 64}, {"tail", c.Tail, 1, 10_000_000},
		{"create.partitions", c.Create.Partitions, 1, 10_000}, {"create.replication", c.Create.Replication, 1, 15}} {
		if f.value != 0 && (f.value < f.least || f.value > f.most) {
			bad(f.name, f.value, fmt.Sprintf("%d to %d, or 0 for the default", f.least, f.most))
		}
	}
	if c.Timeout < 0 || c.Timeout > 0 && c.Timeout < time.Second || c.Timeout > 10*time.Minute {
		bad("timeout", c.Timeout, "a duration between 1s and 10m, or 0 for the default")
	}
	if c.Create.Partitions == 0 && (c.Create.Replication != 0 || len(c.Create.Config) > 0) {
		bad("create.partitions", "0", "how many partitions a topic is made with")
	}
}

func (c Config) validateLogin(bad func(field string, found any, want string), oneOf func(field, found string, known []string)) {
	if !c.TLS.Enabled && c.TLS != (TLS{}) {
		bad("tls.enabled", "false", "true, as the block has settings")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls.key", c.TLS.Key, "a certificate and its key, or neither")
	} else if _, err := (TLS{Enabled: true, Cert: c.TLS.Cert, Key: c.TLS.Key}).config(); err != nil {
		bad("tls.cert", c.TLS.Cert, "a certificate and its key ("+err.Error()+")")
	}
	if _, err := (TLS{Enabled: true, CA: c.TLS.CA}).config(); err != nil {
		bad("tls.ca", c.TLS.CA, "certificates in PEM ("+err.Error()+")")
	}
	oneOf("sasl.mechanism", c.SASL.Mechanism, mechanisms)
	switch {
	case c.SASL.Mechanism == "" && (c.SASL.User != "" || c.SASL.Password.Set()):
		bad("sasl.mechanism", "", strings.Join(mechanisms, ", "))
	case c.SASL.Mechanism != "" && c.SASL.User == "":
		bad("sasl.user", "", "the name that the brokers know")
	case c.SASL.Mechanism != "" && !c.SASL.Password.Set():
		bad("sasl.password_file", "", "a file with the password, or sasl.password_command")
	case c.SASL.Mechanism == "plain" && !c.TLS.Enabled:
		bad("tls.enabled", "false", "true: plain shows the password to the network; take scram-sha-512 where brokers are without TLS")
	}
}
