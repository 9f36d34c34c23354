package transform

import (
	"encoding/json"
	"fmt"
	"time"
)

// cloudEvent is CloudEvents 1.0 in JSON, with the product's extensions in lower case as the standard wants.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Lane            Lane            `json:"lane"`
	MapVer          string          `json:"mapver"`
	CorrelationID   string          `json:"correlationid,omitempty"`
	CausationID     string          `json:"causationid,omitempty"`
	RecordedAt      string          `json:"recordedat"`
	ObservedAt      string          `json:"observedat"`
	Pos             string          `json:"pos"`
	Historic        bool            `json:"historic,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// CloudEvent returns the event in CloudEvents 1.0 JSON: one object on one line, times in RFC 3339 UTC. time is when it happened,
// recordedat when the source committed it, observedat when Waybill took it. A second cause and further ones are left out:
// an extension holds one text.
func (e *Event) CloudEvent() ([]byte, error) {
	raw, err := canonical(e.cloudEvent())
	if err != nil {
		return nil, fmt.Errorf("writing event %s as CloudEvent: %w", e.ID, err)
	}
	return raw, nil
}

func (e *Event) cloudEvent() cloudEvent {
	c := cloudEvent{SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.cloudType(),
		Subject: e.Subject(), Time: wire(e.Occurred), DataContentType: "application/json", Lane: e.Lane, MapVer: e.MapVersion,
		CorrelationID: e.Correlation, RecordedAt: wire(e.Recorded), ObservedAt: wire(e.Observed), Pos: e.Position, Historic: e.Historic, Data: e.Data}
	if len(e.Causation) > 0 {
		c.CausationID = e.Causation[0]
	}
	return c
}

// Subject names the entity that the event is about, with its company: the subject of its CloudEvent.
func (e *Event) Subject() string { return Ref(e.Company, e.Entity, e.Key) }

// Attribute is an attribute of a CloudEvent, its value as text (CloudEvents 1.0, 3.1).
type Attribute struct{ Name, Value string }

// Attributes are those of CloudEvent, in its order, without the data: for bindings that carry them beside it (the headers of HTTP and of
// Kafka). An attribute without a value is left out, as there.
func (e *Event) Attributes() []Attribute {
	c := e.cloudEvent()
	all := append(make([]Attribute, 0, 16), Attribute{"specversion", c.SpecVersion}, Attribute{"id", c.ID}, Attribute{"source", c.Source},
		Attribute{"type", c.Type}, Attribute{"subject", c.Subject}, Attribute{"time", c.Time}, Attribute{"datacontenttype", c.DataContentType},
		Attribute{"lane", string(c.Lane)}, Attribute{"mapver", c.MapVer})
	if c.CorrelationID != "" {
		all = append(all, Attribute{"correlationid", c.CorrelationID})
	}
	if c.CausationID != "" {
		all = append(all, Attribute{"causationid", c.CausationID})
	}
	all = append(all, Attribute{"recordedat", c.RecordedAt}, Attribute{"observedat", c.ObservedAt}, Attribute{"pos", c.Pos})
	if c.Historic {
		all = append(all, Attribute{"historic", "true"})
	}
	return all
}

// cloudType is the event's type for the world: its domain, its name and its version in the catalogue.
func (e *Event) cloudType() string {
	version := 1
	if t := catalogue[e.Type]; t != nil {
		version = t.Version
	}
	return fmt.Sprintf("io.waybill.freight.%s.v%d", e.Type, version)
}

func wire(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
