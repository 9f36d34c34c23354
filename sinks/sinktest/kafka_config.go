package sinktest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// format lays out the brokers' directories. Kafka's own tool formats the first; the others are like it, but for their names, which saves two
// starts of Java.
func (k *Kafka) format() error {
	for _, n := range k.nodes {
		if err := os.MkdirAll(filepath.Join(n.dir, "data"), 0o755); err != nil {
			return fmt.Errorf("making a broker's directory: %w", err)
		}
		text, err := k.properties(n)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(n.dir, "server.properties"), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing a broker's configuration: %w", err)
		}
	}
	first := k.nodes[0]
	out, err := k.java("kafka.tools.StorageTool", "format", "-t", k.id, "-c", filepath.Join(first.dir, "server.properties")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("formatting a broker's directory: %w\n%s", err, out)
	}
	for _, n := range k.nodes[1:] {
		if err := likeFirst(first, n); err != nil {
			return fmt.Errorf("formatting the directory of broker %d: %w", n.id, err)
		}
	}
	return nil
}

var (
	nodeID      = regexp.MustCompile(`(?m)^node\.id=.*$`)
	directoryID = regexp.MustCompile(`(?m)^directory\.id=.*$`)
)

func likeFirst(first, n *kafkaNode) error {
	files, err := os.ReadDir(filepath.Join(first.dir, "data"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() {
			return fmt.Errorf("found the folder %s, expected files only", f.Name())
		}
		raw, err := os.ReadFile(filepath.Join(first.dir, "data", f.Name()))
		if err != nil {
			return err
		}
		if f.Name() == "meta.properties" {
			if !nodeID.Match(raw) {
				return errors.New("meta.properties is without node.id")
			}
			raw = nodeID.ReplaceAll(raw, fmt.Appendf(nil, "node.id=%d", n.id))
			raw = directoryID.ReplaceAll(raw, []byte("directory.id="+kafkaUUID()))
		}
		if err := os.WriteFile(filepath.Join(n.dir, "data", f.Name()), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// kafkaUUID is a random id as Kafka writes it: 16 bytes in base64 for addresses, not beginning with a dash.
func kafkaUUID() string {
	for {
		var b [16]byte
		_, _ = rand.Read(b[:]) // it never fails
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		if text := base64.RawURLEncoding.EncodeToString(b[:]); text[0] != '-' {
			return text
		}
	}
}

// properties is a broker's configuration: small buffers, few threads, failures noticed soon.
func (k *Kafka) properties(n *kafkaNode) (string, error) {
	var voters []string
	for _, other := range k.nodes {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", other.id, other.controllers))
	}
	copies := min(3, len(k.nodes))
	p := map[string]string{
		"process.roles": "broker,controller", "node.id": fmt.Sprint(n.id), "controller.quorum.voters": strings.Join(voters, ","),
		"listeners":                      fmt.Sprintf("PLAIN://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", n.port, n.controllers),
		"advertised.listeners":           fmt.Sprintf("PLAIN://127.0.0.1:%d", n.port),
		"listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
		"controller.listener.names":      "CONTROLLER", "inter.broker.listener.name": "PLAIN",
		"log.dirs": filepath.Join(n.dir, "data"), "num.partitions": "1", "default.replication.factor": fmt.Sprint(copies),
		"offsets.topic.replication.factor": fmt.Sprint(copies), "offsets.topic.num.partitions": "1",
		"transaction.state.log.replication.factor": fmt.Sprint(copies), "transaction.state.log.num.partitions": "1",
		"min.insync.replicas": fmt.Sprint(min(2, copies)), "auto.create.topics.enable": "false", "unclean.leader.election.enable": "false",
		"group.initial.rebalance.delay.ms": "0", "log.cleaner.threads": "1", "log.cleaner.dedupe.buffer.size": "4194304",
		"num.network.threads": "2", "num.io.threads": "3", "background.threads": "2", "log.flush.interval.messages": "9223372036854775807",
		"broker.heartbeat.interval.ms": "500", "broker.session.timeout.ms": "3000", "auto.leader.rebalance.enable": "false",
	}
	if k.opts.Cert != "" {
		if err := k.secure(n, p); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", key, p[key])
	}
	return b.String(), nil
}

// secure adds the listener of TLS and logins, and the access list. Those who come in by the plain listener may do everything.
func (k *Kafka) secure(n *kafkaNode, p map[string]string) error {
	store := filepath.Join(n.dir, "store.pem")
	var both []byte
	for _, file := range []string{k.opts.Key, k.opts.Cert} {
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the brokers' certificate: %w", err)
		}
		both = append(both, raw...)
	}
	if err := os.WriteFile(store, both, 0o600); err != nil {
		return fmt.Errorf("writing a broker's certificate: %w", err)
	}
	var users strings.Builder
	for _, name := range slices.Sorted(maps.Keys(k.opts.Users)) {
		fmt.Fprintf(&users, ` user_%s="%s"`, name, k.opts.Users[name])
	}
	p["listeners"] += fmt.Sprintf(",SECURE://127.0.0.1:%d", n.secure)
	p["advertised.listeners"] += fmt.Sprintf(",SECURE://127.0.0.1:%d", n.secure)
	maps.Copy(p, map[string]string{
		"listener.name.secure.ssl.keystore.type":              "PEM",
		"listener.name.secure.ssl.keystore.location":          store,
		"listener.name.secure.sasl.enabled.mechanisms":        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.secure.plain.sasl.jaas.config":         "org.apache.kafka.common.security.plain.PlainLoginModule required" + users.String() + ";",
		"listener.name.secure.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.secure.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"authorizer.class.name":                               "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                         "User:ANONYMOUS",
		"allow.everyone.if.no.acl.found":                      "false",
	})
	return nil
}
