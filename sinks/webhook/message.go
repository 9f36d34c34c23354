package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"waybill/sinks"
)

// message is what one request carries.
type message struct {
	id     string // webhook-id: the event's, or a hash of those of a batch
	header map[string]string
	body   []byte
}

// write makes the message of events, one unless the mode is batched.
func write(mode string, list []sinks.Publication) (message, error) {
	if mode == Binary {
		return binary(&list[0]), nil
	}
	var all [][]byte
	hash := sha256.New()
	for i := range list {
		one, err := structured(&list[i])
		if err != nil {
			return message{}, err
		}
		all = append(all, one)
		hash.Write([]byte(list[i].Event.ID + "\n"))
	}
	if mode == Structured {
		return message{list[0].Event.ID, map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}, all[0]}, nil
	}
	body := append(append([]byte{'['}, bytes.Join(all, []byte{','})...), ']')
	return message{hex.EncodeToString(hash.Sum(nil))[:32], map[string]string{"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}, body}, nil
}

// structured is an event in the JSON format, with the extensions of its publication.
func structured(p *sinks.Publication) ([]byte, error) {
	raw, err := p.Event.CloudEvent()
	if err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(raw, []byte{'}'}) {
		return nil, fmt.Errorf("event %s is no JSON object", p.Event.ID)
	}
	raw = raw[:len(raw)-1]
	for _, a := range extensions(p) {
		value, err := json.Marshal(a[1])
		if err != nil {
			return nil, fmt.Errorf("writing %s of event %s: %w", a[0], p.Event.ID, err)
		}
		raw = append(append(append(append(raw, `,"`...), a[0]...), `":`...), value...)
	}
	return append(raw, '}'), nil
}

// extensions are what a publication says beside the event: sequence sorts as text, as the extension of that name wants.
func extensions(p *sinks.Publication) [][2]string {
	return [][2]string{{"partitionkey", p.Event.OrderKey}, {"sequence", fmt.Sprintf("%020d", p.Sequence)}, {"topic", p.Topic}}
}

// binary is an event with its attributes in headers.
func binary(p *sinks.Publication) message {
	header := map[string]string{"Content-Type": "application/json"}
	for _, a := range p.Event.CloudAttributes() {
		if a.Name != "datacontenttype" {
			header["ce-"+a.Name] = escaped(a.Value)
		}
	}
	for _, a := range extensions(p) {
		header["ce-"+a[0]] = escaped(a[1])
	}
	return message{p.Event.ID, header, p.Event.Data}
}

// escaped is a header's value as the HTTP binding of CloudEvents wants it (3.1.3.2): percent-encoded where it is not printable ASCII.
func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
