package sinks

import (
	"encoding/json"
	"fmt"

	"waybill/transform"
)

// Attributes are what a publication says beside its event, as extensions of CloudEvents: the order key, the number in it (which sorts as text, as the
// extension sequence wants), and the topic.
func (p *Publication) Attributes() []transform.CloudAttribute {
	return []transform.CloudAttribute{{Name: "partitionkey", Value: p.Event.OrderKey}, {Name: "sequence", Value: fmt.Sprintf("%020d", p.Sequence)},
		{Name: "topic", Value: p.Topic}}
}

// CloudEvent is the event in CloudEvents 1.0 JSON with the attributes of its publication: one object on one line.
func (p *Publication) CloudEvent() ([]byte, error) {
	raw, err := p.Event.CloudEvent()
	if err != nil {
		return nil, err
	}
	raw = raw[:len(raw)-1] // the brace
	for _, a := range p.Attributes() {
		value, err := json.Marshal(a.Value)
		if err != nil {
			return nil, fmt.Errorf("writing %s of event %s: %w", a.Name, p.Event.ID, err)
		}
		raw = append(append(append(append(raw, `,"`...), a.Name...), `":`...), value...)
	}
	return append(raw, '}'), nil
}
