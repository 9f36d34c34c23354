package sinktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// KafkaOptions say what the brokers are like beside a plain listener that lets everybody in and asks for no rights.
type KafkaOptions struct {
	// Cert and Key are files of a certificate for 127.0.0.1. With them each broker has a second listener, of TLS and logins (PLAIN and
	// SCRAM), whose users may do only what an access list says (Allow).
	Cert, Key string
	// Users of PLAIN, with their passwords; those of SCRAM are made by AddUser.
	Users map[string]string
}

// Kafka is a cluster of real Apache Kafka brokers (KRaft, each also a controller) on 127.0.0.1, which ends with the process that started it.
type Kafka struct {
	dir   string
	libs  string
	opts  KafkaOptions
	id    string // of the cluster
	nodes []*kafkaNode
}

type kafkaNode struct {
	id                        int // from 1
	dir                       string
	port, secure, controllers int
	cmd                       *exec.Cmd
	exited                    chan struct{}
}

// StartKafka starts brokers for a test and ends them with it. When the test fails, the ends of their logs are printed.
func StartKafka(tb testing.TB, brokers int, opts KafkaOptions) *Kafka {
	tb.Helper()
	dir, err := os.MkdirTemp("", "kafka-")
	if err != nil {
		tb.Fatalf("starting Kafka: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	k, err := NewKafka(dir, brokers, opts)
	if err != nil {
		tb.Fatalf("starting Kafka: %v", err)
	}
	tb.Cleanup(k.Stop)
	k.LogOnFailure(tb)
	if err := k.Start(); err != nil {
		tb.Fatalf("starting Kafka: %v", err)
	}
	return k
}

// NewKafka prepares brokers with empty logs in dir; Start starts them. install-kafka.sh must have fetched their packages (make deps).
func NewKafka(dir string, brokers int, opts KafkaOptions) (*Kafka, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	k := &Kafka{dir: dir, libs: filepath.Join(cache, "kafka", "libs"), opts: opts, id: kafkaUUID()}
	if _, err := os.Stat(k.libs); err != nil {
		return nil, fmt.Errorf("looking for Apache Kafka: %w; run make deps, or sinks/sinktest/install-kafka.sh", err)
	}
	if _, err := exec.LookPath("java"); err != nil {
		return nil, fmt.Errorf("looking for java: %w (apt-get install openjdk-17-jre-headless)", err)
	}
	ports, err := freePorts(3 * brokers)
	if err != nil {
		return nil, err
	}
	for i := range brokers {
		n := &kafkaNode{id: i + 1, dir: filepath.Join(dir, strconv.Itoa(i+1)), port: ports[3*i], secure: ports[3*i+1], controllers: ports[3*i+2]}
		k.nodes = append(k.nodes, n)
	}
	return k, k.format()
}

// freePorts are ports that nobody listened on a moment ago, all different.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close() // all are held until the last is found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Start starts every broker and waits until each knows of all.
func (k *Kafka) Start() error {
	for _, n := range k.nodes {
		if err := k.launch(n); err != nil {
			k.Stop()
			return err
		}
	}
	if err := k.await(); err != nil {
		k.Stop()
		return err
	}
	return nil
}

// java is a command of Kafka's, with a small heap.
func (k *Kafka) java(class string, args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.NetworkClient=error",
		"-Dorg.slf4j.simpleLogger.log.kafka.server.ReplicaFetcherThread=error",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-cp", filepath.Join(k.libs, "*"), class}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (k *Kafka) launch(n *kafkaNode) error {
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening a broker's log: %w", err)
	}
	defer log.Close()
	cmd := k.java("kafka.Kafka", filepath.Join(n.dir, "server.properties"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting java: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	n.cmd, n.exited = cmd, exited
	return nil
}

// await waits until each broker knows of all that run and of a controller, for two minutes at most.
func (k *Kafka) await() error {
	deadline := time.Now().Add(2 * time.Minute)
	for _, n := range k.nodes {
		for n.cmd != nil {
			err := k.ready(n)
			if err == nil {
				break
			}
			select {
			case <-n.exited:
				return fmt.Errorf("broker %d ended while starting; its log:\n%s", n.id, n.log())
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("broker %d is not ready after two minutes: %w; its log:\n%s", n.id, err, n.log())
			}
		}
	}
	return nil
}

func (k *Kafka) ready(n *kafkaNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := &kafkago.Client{Addr: kafkago.TCP(n.address()), Timeout: 5 * time.Second, Transport: &kafkago.Transport{}}
	defer client.Transport.(*kafkago.Transport).CloseIdleConnections()
	answer, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{}})
	if err != nil {
		return err
	}
	running := 0
	for _, other := range k.nodes {
		if other.cmd != nil {
			running++
		}
	}
	if len(answer.Brokers) < running {
		return fmt.Errorf("it knows of %d brokers, %d run", len(answer.Brokers), running)
	}
	return nil
}

// Kill ends a broker (from 1) as a crash does, with kill -9.
func (k *Kafka) Kill(broker int) { k.nodes[broker-1].end(syscall.SIGKILL) }

// Pause stops a broker (from 1) where it stands: its connections stay, and it answers nobody. Resume lets it go on.
func (k *Kafka) Pause(broker int) { _ = k.nodes[broker-1].cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a broker go on that was paused.
func (k *Kafka) Resume(broker int) { _ = k.nodes[broker-1].cmd.Process.Signal(syscall.SIGCONT) }

// Restart starts a broker again that was killed, and waits until all know of it.
func (k *Kafka) Restart(broker int) error {
	n := k.nodes[broker-1]
	if n.cmd != nil {
		return errors.New("the broker is running")
	}
	if err := k.launch(n); err != nil {
		return err
	}
	return k.await()
}

// Stop ends all brokers. Their logs are of nobody's use any more, so they end at once.
func (k *Kafka) Stop() {
	for _, n := range k.nodes {
		n.end(syscall.SIGKILL)
	}
}

func (n *kafkaNode) end(sig syscall.Signal) {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(sig) // an error means that it has ended
	<-n.exited
	n.cmd = nil
}

// Brokers are the addresses of the plain listeners, Secure of those with TLS and logins.
func (k *Kafka) Brokers() []string {
	var all []string
	for _, n := range k.nodes {
		all = append(all, n.address())
	}
	return all
}

// Secure are the addresses of the listeners with TLS and logins.
func (k *Kafka) Secure() []string {
	var all []string
	for _, n := range k.nodes {
		all = append(all, "127.0.0.1:"+strconv.Itoa(n.secure))
	}
	return all
}

func (n *kafkaNode) address() string { return "127.0.0.1:" + strconv.Itoa(n.port) }

// log is the end of the broker's log.
func (n *kafkaNode) log() string {
	raw, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw[max(0, len(raw)-4000):]))
}

// LogOnFailure prints the ends of the brokers' logs when the test fails.
func (k *Kafka) LogOnFailure(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		for _, n := range k.nodes {
			if tb.Failed() {
				tb.Logf("log of broker %d:\n%s", n.id, n.log())
			}
		}
	})
}
