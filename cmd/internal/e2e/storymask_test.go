package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// disguise is what golden files of stories do not hold, each part with its reason: testdata/stories/masks.yaml.
type disguise struct {
	Fields []struct {
		Field string `yaml:"field"` // event.position: of each thing of the kind, at any depth
		Why   string `yaml:"why"`
	} `yaml:"fields"`
	Patterns []struct {
		Match string `yaml:"match"`
		Show  string `yaml:"show"`
		Why   string `yaml:"why"`
	} `yaml:"patterns"`
	Times string `yaml:"times"` // why, and how

	now      clock
	names    map[string]string // of events by their ids, which hash log positions
	patterns []*regexp.Regexp
}

func readMasks(t *testing.T, now clock) *disguise {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(stories, "masks.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := &disguise{now: now}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Fields {
		if f.Field == "" || f.Why == "" {
			t.Errorf("masks.yaml: %+v has no reason", f)
		}
	}
	for _, p := range m.Patterns {
		if p.Why == "" {
			t.Errorf("masks.yaml: %s has no reason", p.Match)
		}
		m.patterns = append(m.patterns, regexp.MustCompile(p.Match))
	}
	return m
}

// line shows a thing of a kind: its members in order, one to a line, without what is empty or masked.
func (m *disguise) line(kind string, v any) string {
	plain, err := plainJSON(v)
	if err != nil {
		return err.Error()
	}
	plain = m.without(kind, plain)
	all, ok := plain.(map[string]any)
	if !ok {
		return fmt.Sprintf("%s %v", kind, plain)
	}
	var b strings.Builder
	b.WriteString(kind)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		for i, x := range listed(all[k]) {
			name := k
			if i > 0 {
				name = strings.Repeat(" ", len(k))
			}
			fmt.Fprintf(&b, "\n    %s: %s", name, compactJSON(x))
		}
	}
	return b.String()
}

// listed gives each member of a list of objects a line of its own.
func listed(v any) []any {
	all, ok := v.([]any)
	if !ok || len(all) == 0 {
		return []any{v}
	}
	if _, ok := all[0].(map[string]any); !ok {
		return []any{v}
	}
	return all
}

func compactJSON(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}

// without takes away what is masked, at any depth.
func (m *disguise) without(kind string, v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = m.without(kind, v[i])
		}
	case map[string]any:
		for k, x := range v {
			if slices.ContainsFunc(m.Fields, func(f struct {
				Field string `yaml:"field"`
				Why   string `yaml:"why"`
			}) bool {
				return f.Field == kind+"."+k
			}) {
				delete(v, k)
				continue
			}
			v[k] = m.without(kind, x)
			if ids, ok := v[k].([]any); ok && k == "causation_ids" {
				slices.SortFunc(ids, func(a, b any) int { return strings.Compare(m.names[fmt.Sprint(a)], m.names[fmt.Sprint(b)]) })
			}
		}
	}
	return v
}

var (
	instants = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2}| UTC)?`)
	days     = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}`)
)

// text masks a text that is otherwise ready.
func (m *disguise) text(text string) string {
	for id, name := range m.names {
		text = strings.ReplaceAll(text, id, name)
	}
	text = instants.ReplaceAllStringFunc(text, m.instant)
	text = days.ReplaceAllStringFunc(text, m.day)
	text = strings.ReplaceAll(text, fmt.Sprintf("%d-", m.now.In(phoenix).Year()-1), "<last year>-") // a period
	for i, p := range m.patterns {
		text = p.ReplaceAllString(text, m.Patterns[i].Show)
	}
	return text
}

// instant names a time that a story gave by its distance from the beginning, and hides one of the run. People are shown minutes: there
// the minute of the beginning is one of the run.
func (m *disguise) instant(s string) string {
	var t time.Time
	var err error
	minutes := false
	switch {
	case strings.HasSuffix(s, " UTC"):
		minutes = true
		t, err = time.Parse("2006-01-02 15:04 UTC", s)
	case strings.HasSuffix(s, "Z") || len(s) > 6 && strings.ContainsAny(s[len(s)-6:], "+-") && s[len(s)-3] == ':':
		t, err = time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "T", 1))
	default:
		t, err = time.ParseInLocation(time.DateTime, strings.Replace(s, "T", " ", 1), phoenix)
	}
	if err != nil {
		return "<time>"
	}
	switch ago := m.now.Sub(t); {
	case ago > 1000*time.Hour:
		return s // written in a file
	case ago < 0 || ago == 0 && minutes || ago%time.Minute != 0:
		return "<time>"
	case ago == 0:
		return "<now>"
	case ago%time.Hour == 0:
		return fmt.Sprintf("<now-%dh>", ago/time.Hour)
	default:
		return fmt.Sprintf("<now-%dm>", ago/time.Minute)
	}
}

// day names a day by its distance from today. The run may go on past midnight.
func (m *disguise) day(s string) string {
	today := m.now.In(phoenix)
	rest, lastYear := strings.CutPrefix(s, fmt.Sprint(today.Year()-1))
	for ago := range 60 {
		if lastYear && ago == 15 {
			break // a day before that is one that a story names by its date; in January the nearer ones are told by their distance
		}
		if today.AddDate(0, 0, -ago).Format(time.DateOnly) == s {
			if ago == 0 {
				return "<today>"
			}
			return fmt.Sprintf("<today-%dd>", ago)
		}
	}
	if lastYear {
		return "<last year>" + rest
	}
	if s == time.Now().In(phoenix).Format(time.DateOnly) {
		return "<today>"
	}
	return s
}
