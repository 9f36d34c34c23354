package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
		one, err := list[i].CloudEvent()
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

// binary is an event with its attributes in headers.
func binary(p *sinks.Publication) message {
	header := map[string]string{"Content-Type": "application/json"}
	for _, a := range append(p.Event.CloudAttributes(), p.Attributes()...) {
		if a.Name != "datacontenttype" {
			header["ce-"+a.Name] = escaped(a.Value)
		}
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
