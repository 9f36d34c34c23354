package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"waybill/sinks"
	"waybill/sinks/web"
)

// fate is what became of a batch.
type fate int

const (
	maybe   fate = iota // it may be in the log, or come there yet
	absent              // it is certainly not in the log, and will not come there
	present             // it is in the log
	severed             // the leader no longer knows the producer, or what the producer wrote last
)

// meaning is what an error says about a request and its batch.
type meaning struct {
	class  sinks.Class
	as     string
	outage bool
	hint   string
	fate   fate
	// moved: it is worth asking anew where the partitions are.
	moved bool
}

const (
	hintRight = "Give the sink's user Write and Read on the topic: kafka-acls --add --allow-principal User:… --operation Write --operation Read --topic …"
	hintTopic = "Make the topic, or set create in the sink's configuration so that Waybill does. A topic that the user may not see looks missing too."
	hintBig   = "Let the event carry less, or raise max.message.bytes of the topic."
	hintLogin = "Correct sasl and tls in the sink's configuration."
)

// answers says what the errors of the protocol mean of a produce request (kafka.apache.org/protocol, error codes). An error that is not here is
// looked at again later, as one that may have written.
var answers = map[kafkago.Error]meaning{
	kafkago.DuplicateSequenceNumber: {sinks.Applied, "", false, "", present, false},

	kafkago.RequestTimedOut:              {sinks.RetryLater, "OUTAGE", true, "", maybe, false},
	kafkago.NotEnoughReplicasAfterAppend: {sinks.RetryLater, "REPLICAS", true, "", maybe, false},
	kafkago.KafkaStorageError:            {sinks.RetryLater, "OUTAGE", true, "", maybe, true},
	kafkago.NetworkException:             {sinks.RetryLater, "OUTAGE", true, "", maybe, true},
	kafkago.Unknown:                      {sinks.RetryLater, "OUTAGE", true, "", maybe, false},

	// A leader that has written the batch and waits for its followers answers so, too, when it ceases to be the leader meanwhile.
	kafkago.NotLeaderForPartition:   {sinks.RetryLater, "LEADER", false, "", maybe, true},
	kafkago.LeaderNotAvailable:      {sinks.RetryLater, "LEADER", true, "", maybe, true},
	kafkago.UnknownTopicOrPartition: {sinks.RetryLater, "LEADER", false, "", maybe, true}, // of a broker that no longer holds it; see topicOf

	kafkago.NotEnoughReplicas:       {sinks.RetryLater, "REPLICAS", true, "", absent, false},
	kafkago.FencedLeaderEpoch:       {sinks.RetryLater, "LEADER", false, "", absent, true},
	kafkago.UnknownLeaderEpoch:      {sinks.RetryLater, "LEADER", false, "", absent, true},
	kafkago.BrokerNotAvailable:      {sinks.RetryLater, "LEADER", true, "", absent, true},
	kafkago.GroupLoadInProgress:     {sinks.RetryLater, "LEADER", false, "", absent, false}, // of a producer's id: the broker fetches more of them
	kafkago.NotController:           {sinks.RetryLater, "LEADER", false, "", absent, true},
	kafkago.OffsetNotAvailable:      {sinks.RetryLater, "LEADER", false, "", absent, false},
	kafkago.ThrottlingQuotaExceeded: {sinks.RetryLater, "RATE", false, "", absent, false},

	kafkago.OutOfOrderSequenceNumber: {sinks.RetryLater, "SEQUENCE", false, "", severed, false},
	kafkago.UnknownProducerId:        {sinks.RetryLater, "SEQUENCE", false, "", severed, false},
	kafkago.InvalidProducerEpoch:     {sinks.RetryLater, "SEQUENCE", false, "", severed, false},
	kafkago.InvalidProducerIDMapping: {sinks.RetryLater, "SEQUENCE", false, "", severed, false},
	kafkago.ProducerFenced:           {sinks.RetryLater, "SEQUENCE", false, "", severed, false},

	kafkago.MessageSizeTooLarge: {sinks.Rejected, "TOO_LARGE", false, hintBig, absent, false},
	kafkago.RecordListTooLarge:  {sinks.Rejected, "TOO_LARGE", false, hintBig, absent, false},
	kafkago.InvalidRecord:       {sinks.Rejected, "REFUSED", false, "See what the broker says of the record; the topic's settings decide.", absent, false},
	kafkago.InvalidTimestamp: {sinks.Rejected, "REFUSED", false, "Look at the clock of this machine, and at message.timestamp.before.max.ms and after.max.ms of the topic.",
		absent, false},

	kafkago.InvalidTopic:               {sinks.Setup, "TOPIC", false, "Correct topic in the sink's configuration, or what publish names in the mapping.", absent, false},
	kafkago.TopicAuthorizationFailed:   {sinks.Setup, "AUTH", false, hintRight, absent, false},
	kafkago.ClusterAuthorizationFailed: {sinks.Setup, "AUTH", false, hintRight, absent, false},
	kafkago.SASLAuthenticationFailed:   {sinks.Setup, "AUTH", false, hintLogin, absent, true},
	kafkago.UnsupportedSASLMechanism:   {sinks.Setup, "AUTH", false, hintLogin, absent, true},
	kafkago.IllegalSASLState:           {sinks.Setup, "AUTH", false, hintLogin, absent, true},
	kafkago.UnsupportedVersion:         {sinks.Setup, "VERSION", false, "Brokers from 1.0 on are known.", absent, false},
	kafkago.UnsupportedCompressionType: {sinks.Setup, "COMPRESSION", false, "Choose another compression; zstd wants brokers from 2.1 on.", absent, false},
	kafkago.InvalidReplicationFactor:   {sinks.Setup, "TOPIC", false, "Correct create.replication: not more than there are brokers.", absent, false},
	kafkago.InvalidPartitionNumber:     {sinks.Setup, "TOPIC", false, "Correct create.partitions.", absent, false},
	kafkago.InvalidConfiguration:       {sinks.Setup, "TOPIC", false, "Correct create.config.", absent, false},
	kafkago.PolicyViolation:            {sinks.Setup, "TOPIC", false, "The brokers' rules refuse the topic; correct create, or have it made.", absent, false},
}

// classify says what an error means; nil means that it was done.
func classify(err error) meaning {
	var code kafkago.Error
	if err == nil {
		return meaning{class: sinks.Applied, fate: present}
	}
	if errors.As(err, &code) {
		if m, known := answers[code]; known {
			return m
		}
		return meaning{class: sinks.RetryLater, as: "ANSWER", outage: true, moved: true}
	}
	return unanswered(err)
}

// unanswered is what an error means that no broker has said.
func unanswered(err error) meaning {
	var secret *loginError
	var untrusted *tls.CertificateVerificationError
	var op *net.OpError
	errors.As(err, &op)
	switch {
	case errors.As(err, &secret):
		return meaning{class: sinks.Setup, as: "AUTH", hint: hintLogin, fate: absent, moved: true}
	case errors.As(err, &untrusted), op != nil && op.Op == "remote error": // an alert of TLS
		return meaning{class: sinks.Setup, as: "TLS", hint: hintLogin, fate: absent, moved: true}
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition), errors.Is(err, protocol.ErrNoLeader), op != nil && op.Op == "dial":
		return meaning{class: sinks.RetryLater, as: "OUTAGE", outage: true, fate: absent, moved: true}
	case errors.Is(err, context.Canceled):
		return meaning{class: sinks.RetryLater, as: "CANCELLED"}
	}
	return meaning{class: sinks.RetryLater, as: "OUTAGE", outage: true, moved: true}
}

// outcome is a meaning for people, with what was said.
func (m meaning) outcome(err error) sinks.Outcome {
	o := sinks.Outcome{Class: m.class, Code: m.as, Outage: m.outage, Hint: m.hint}
	if err != nil && !o.Done() {
		o.Message = web.Clip(err.Error(), 500)
	}
	return o
}
