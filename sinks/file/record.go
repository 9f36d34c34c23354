package file

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

// line is the record of an event, with the line feed at its end.
func (c *Config) line(p *sinks.Publication) ([]byte, error) {
	if c.Format == JSONLines {
		raw, err := p.CloudEvent()
		if err != nil {
			return nil, err
		}
		return append(raw, '\n'), nil
	}
	fields := make([]string, len(c.Columns))
	var data any
	for i, col := range c.Columns {
		if !strings.HasPrefix(col, "data.") {
			fields[i] = own(col, p)
			continue
		}
		if data == nil {
			dec := json.NewDecoder(bytes.NewReader(p.Event.Data))
			dec.UseNumber()
			if err := dec.Decode(&data); err != nil {
				return nil, fmt.Errorf("the data of event %s is not JSON: %w", p.Event.ID, err)
			}
		}
		text, err := member(data, strings.Split(col, ".")[1:])
		if err != nil {
			return nil, fmt.Errorf("column %s of event %s: %w", col, p.Event.ID, err)
		}
		fields[i] = text
	}
	return c.joined(fields)
}

// head is the first line of a file; empty for JSON Lines.
func (c *Config) head() ([]byte, error) {
	if c.Format == JSONLines {
		return nil, nil
	}
	return c.joined(c.Columns)
}

// joined writes a line of CSV as RFC 4180 has it, but with a line feed alone.
func (c *Config) joined(fields []string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Comma = rune(c.Separator[0])
	if err := w.Write(fields); err != nil {
		return nil, fmt.Errorf("writing CSV: %w", err)
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

func own(col string, p *sinks.Publication) string {
	e := p.Event
	switch col {
	case "id":
		return e.ID
	case "type":
		return e.Type
	case "source":
		return e.Source
	case "subject":
		return transform.Ref(e.Company, e.Entity, e.Key)
	case "time":
		return e.Occurred.UTC().Format(time.RFC3339Nano)
	case "entity":
		return e.Entity
	case "key":
		return e.Key
	case "company":
		return e.Company
	case "lane":
		return string(e.Lane)
	case "order_key":
		return e.OrderKey
	case "recorded_at":
		return e.Recorded.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(p.Sequence)
}

// member is a value of the data as text: numbers with their digits, an object or a list as JSON, nothing for what is not there.
func member(data any, path []string) (string, error) {
	for _, name := range path {
		m, ok := data.(map[string]any)
		if !ok {
			return "", nil
		}
		data = m[name]
	}
	switch v := data.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return fmt.Sprint(v), nil
	}
	raw, err := json.Marshal(data)
	return string(raw), err
}
