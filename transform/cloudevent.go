package transform

import (
	"encoding/json"
	"fmt"
	"slices"
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
	raw, err := canonical(e.cloud())
	if err != nil {
		return nil, fmt.Errorf("writing event %s as CloudEvent: %w", e.ID, err)
	}
	return raw, nil
}

// CloudAttribute is an attribute of CloudEvents 1.0 as text: a header, where the data travels alone (binary mode).
type CloudAttribute struct{ Name, Value string }

// CloudAttributes are what CloudEvent says beside the data, in the same order. What the event has not is left out.
func (e *Event) CloudAttributes() []CloudAttribute {
	c := e.cloud()
	all := []CloudAttribute{{"specversion", c.SpecVersion}, {"id", c.ID}, {"source", c.Source}, {"type", c.Type}, {"subject", c.Subject}, {"time", c.Time},
		{"datacontenttype", c.DataContentType}, {"lane", string(c.Lane)}, {"mapver", c.MapVer}, {"correlationid", c.CorrelationID},
		{"causationid", c.CausationID}, {"recordedat", c.RecordedAt}, {"observedat", c.ObservedAt}, {"pos", c.Pos}}
	if c.Historic {
		all = append(all, CloudAttribute{"historic", "true"})
	}
	return slices.DeleteFunc(all, func(a CloudAttribute) bool { return a.Value == "" })
}

func (e *Event) cloud() cloudEvent {
	c := cloudEvent{SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.cloudType(),
		Subject: Ref(e.Company, e.Entity, e.Key), Time: wire(e.Occurred), DataContentType: "application/json", Lane: e.Lane, MapVer: e.MapVersion,
		CorrelationID: e.Correlation, RecordedAt: wire(e.Recorded), ObservedAt: wire(e.Observed), Pos: e.Position, Historic: e.Historic, Data: e.Data}
	if len(e.Causation) > 0 {
		c.CausationID = e.Causation[0]
	}
	return c
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
