package kafka

import (
	"errors"
	"strings"

	"waybill/sinks"
)

// topicName is a topic's name with places for what an event says.
type topicName struct {
	texts  []string // one more than places
	places []string // topic, lane, type, company
}

func parseTopic(text string) (topicName, error) {
	var t topicName
	rest := text
	for {
		before, behind, found := strings.Cut(rest, "{")
		t.texts = append(t.texts, before)
		if strings.Contains(before, "}") {
			return t, errors.New("a } behind each { and no other")
		}
		if !found {
			break
		}
		place, after, closed := strings.Cut(behind, "}")
		if !closed {
			return t, errors.New("a } behind each {")
		}
		switch place {
		case "topic", "lane", "type", "company":
		default:
			return t, errors.New("{topic}, {lane}, {type} or {company} in braces")
		}
		t.places, rest = append(t.places, place), after
	}
	if fault := illegalTopic(strings.Join(t.texts, "x")); fault != "" {
		return t, errors.New(fault)
	}
	return t, nil
}

// of is the name for an event.
func (t topicName) of(p sinks.Publication) string {
	if len(t.places) == 0 {
		return t.texts[0]
	}
	var b strings.Builder
	b.WriteString(t.texts[0])
	for i, place := range t.places {
		switch place {
		case "topic":
			b.WriteString(p.Topic)
		case "lane":
			b.WriteString(string(p.Event.Lane))
		case "type":
			b.WriteString(p.Event.Type)
		case "company":
			b.WriteString(p.Event.Company)
		}
		b.WriteString(t.texts[i+1])
	}
	return b.String()
}

// illegalTopic says what a topic's name must be like, "" when it is (Kafka's own rule: org.apache.kafka.common.internals.Topic).
func illegalTopic(name string) string {
	const want = "1 to 249 of A-Z a-z 0-9 . _ -, other than . and .."
	if name == "" || len(name) > 249 || name == "." || name == ".." {
		return want
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return want
		}
	}
	return ""
}

// partitionOf is the partition of a key among n, as the Java client chooses it (murmur2, 32 bits, seed 0x9747b28c).
func partitionOf(key []byte, n int) int {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
	}
	for i := len(key) - 1; i >= 0; i-- {
		h ^= uint32(key[i]) << (8 * i)
	}
	if len(key) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int(h&0x7fffffff) % n
}
