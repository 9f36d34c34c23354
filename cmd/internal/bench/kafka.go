package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"waybill/sinks"
	"waybill/sinks/kafka"
	"waybill/sinks/sinktest"
	"waybill/transform"
)

const (
	kafkaPartitions = 6
	kafkaCallers    = 4    // calls at the same time, each with keys of its own
	kafkaCall       = 1000 // messages of one call
	kafkaBatch      = 1_000_000
	kafkaMost       = 400_000 // messages of one run
)

// measureKafka sends the same messages to three brokers by our publisher and by kafka-go's own writer, alternately: all replicas acknowledge, one
// batch of a partition is on its way at a time.
func measureKafka(s settings, dir string, r *report) (err error) {
	k, err := sinktest.NewKafka(filepath.Join(dir, "kafka"), 3, sinktest.KafkaOptions{})
	if err != nil {
		return fmt.Errorf("kafka-sink: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(filepath.Join(dir, "kafka"))) }()
	defer k.Stop()
	if err := k.Start(); err != nil {
		return fmt.Errorf("kafka-sink: %w", err)
	}
	events := kafkaEvents(min(s.Rows, kafkaMost))
	var ours, theirs []sample
	for run := range s.Runs + 1 { // the first run of each warms the brokers up
		for name, send := range map[string]func(context.Context, []string, string, [][]sinks.Publication) error{"writer": byWriter, "waybill": byPublisher} {
			topic := fmt.Sprintf("%s-%d", name, run)
			if err := k.CreateTopic(topic, kafkaPartitions, 3, map[string]string{"min.insync.replicas": "2"}); err != nil {
				return fmt.Errorf("kafka-sink: %w", err)
			}
			one, err := timeSending(k.Brokers(), topic, events, send)
			if err != nil {
				return fmt.Errorf("kafka-sink: %s: %w", name, err)
			}
			switch {
			case run == 0:
			case name == "waybill":
				ours = append(ours, one)
			default:
				theirs = append(theirs, one)
			}
		}
	}
	r.compared("kafka-sink", "events/s", ">= 0.9", ours, map[string][]sample{"kafka-go Writer": theirs}, []string{"kafka-go Writer"})
	return nil
}

// kafkaEvents are those of each caller.
func kafkaEvents(n int) [][]sinks.Publication {
	all := make([][]sinks.Publication, kafkaCallers)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		key := fmt.Sprint(i % 1000)
		caller := i % 1000 % kafkaCallers
		all[caller] = append(all[caller], sinks.Publication{Topic: "bench", Sequence: uint64(i/1000 + 1), Event: &transform.Event{ID: fmt.Sprintf("%032x", i),
			Type: "shipment.arrived", Source: "/bench/dispatch/public.stops", Entity: "shipment", Key: key, Company: "NSTR", Lane: transform.LaneTransactional,
			OrderKey: "shipment/" + key, Occurred: at, Recorded: at, Observed: at, MapVersion: "bench/1", Position: "0/0",
			Data: fmt.Appendf(nil, `{"shipment":"%s","stop":"%d","remark":"%0300d"}`, key, i, i)}})
	}
	return all
}

func timeSending(brokers []string, topic string, events [][]sinks.Publication,
	send func(context.Context, []string, string, [][]sinks.Publication) error) (sample, error) {
	n := 0
	for _, list := range events {
		n += len(list)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	m := begin()
	err := send(ctx, brokers, topic, events)
	s, e := m.end(n)
	s.RSS, s.Anon = 0, 0 // both run in this process
	return s, errors.Join(err, e)
}

func byPublisher(ctx context.Context, brokers []string, topic string, events [][]sinks.Publication) error {
	p := kafka.New(kafka.Config{Brokers: brokers, Topic: topic, BatchBytes: kafkaBatch})
	group, ctx := errgroup.WithContext(ctx)
	for _, list := range events {
		group.Go(func() error {
			for len(list) > 0 {
				n := min(kafkaCall, len(list))
				for _, o := range p.Publish(ctx, list[:n]) {
					if !o.Done() {
						return fmt.Errorf("an event is not taken: %+v", o)
					}
				}
				list = list[n:]
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), p.Close())
}

// byWriter is what a program with kafka-go alone does. The messages are made while it sends, as ours are.
func byWriter(ctx context.Context, brokers []string, topic string, events [][]sinks.Publication) error {
	transport := &kafkago.Transport{}
	w := &kafkago.Writer{Addr: kafkago.TCP(brokers...), Topic: topic, Balancer: kafkago.Murmur2Balancer{Consistent: true}, RequiredAcks: kafkago.RequireAll,
		BatchSize: kafkaCall, BatchBytes: kafkaBatch, BatchTimeout: time.Millisecond, Transport: transport}
	group, ctx := errgroup.WithContext(ctx)
	for _, list := range events {
		group.Go(func() error {
			for len(list) > 0 {
				n := min(kafkaCall, len(list))
				if err := w.WriteMessages(ctx, messagesOf(list[:n])...); err != nil {
					return err
				}
				list = list[n:]
			}
			return nil
		})
	}
	err := errors.Join(group.Wait(), w.Close())
	transport.CloseIdleConnections()
	return err
}

func messagesOf(events []sinks.Publication) []kafkago.Message {
	list := make([]kafkago.Message, len(events))
	for i, e := range events {
		m := kafkago.Message{Key: []byte(transform.Ref(e.Event.Company, e.Event.Entity, e.Event.Key)), Value: e.Event.Data}
		for _, a := range e.Event.CloudAttributes() {
			m.Headers = append(m.Headers, kafkago.Header{Key: "ce_" + a.Name, Value: []byte(a.Value)})
		}
		m.Headers = append(m.Headers, kafkago.Header{Key: "ce_partitionkey", Value: []byte(e.Event.OrderKey)},
			kafkago.Header{Key: "ce_sequence", Value: fmt.Appendf(nil, "%020d", e.Sequence)})
		list[i] = m
	}
	return list
}
