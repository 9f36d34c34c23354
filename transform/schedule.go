package transform

import (
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// timetable says when what a posting asks may go: with a batch, within a window, or both. nil is at once.
type timetable struct {
	batch   *batches
	window  *Window
	sources []string // whose watermarks tell that a batch is whole
	zone    *time.Location
}

// batches are the times at which a stream goes together. What was committed before the cut-off of a batch goes with it.
type batches struct {
	times  cronTimes
	zone   *time.Location
	clock  time.Duration // time of day of the cut-off; negative when it is so long before the batch
	before time.Duration
}

// Bounds of a schedule.
const (
	maxCutoff  = 7 * 24 * time.Hour // before its batch
	maxBatches = 100                // that come between a cut-off and its batch
)

// cutoff is the instant from which a batch takes nothing more.
func (b *batches) cutoff(batch time.Time) time.Time {
	if b.clock < 0 {
		return batch.Add(-b.before)
	}
	day := localDay(batch, b.zone)
	if at := localInstant(day, b.clock, b.zone); !at.After(batch) {
		return at
	}
	return localInstant(day.AddDate(0, 0, -1), b.clock, b.zone)
}

// of returns the batch of what was committed at the instant.
func (b *batches) of(t time.Time) time.Time {
	batch := b.times.after(t, b.zone)
	for range maxBatches {
		if t.Before(b.cutoff(batch)) {
			break
		}
		batch = b.times.after(batch, b.zone)
	}
	return batch
}

// The names of the gates of time.
const (
	gateBatch  = "batch"
	gateWindow = "window"
)

// gate holds what was committed at the instant; nil when it may go at once.
func (tt *timetable) gate(t time.Time) *Gate {
	at, name := t, ""
	if tt.batch != nil {
		at, name = tt.batch.of(t), gateBatch
	}
	if tt.window != nil {
		if open := tt.window.Next(at); open.After(at) {
			at = open
			if name == "" {
				name = gateWindow
			}
		}
	}
	if name == "" {
		return nil
	}
	return &Gate{Kind: GateTime, Name: name, Key: at.In(tt.zone).Format(time.RFC3339), At: at.UTC(), Sources: tt.sources}
}

// Until says what a gate of time waits for: "the batch of Fri 2026-11-27 18:00 -06:00".
func (g Gate) Until() string {
	at, err := time.Parse(time.RFC3339, g.Key)
	if err != nil {
		return g.Name + " " + g.Key
	}
	day := at.Format("Mon 2006-01-02 15:04 -07:00")
	if g.Name == gateWindow {
		return "the window that opens at " + day
	}
	return "the batch of " + day
}

// timed adds the gate of a posting's schedule. What is released counts from its commit; what was held then, from the time up to which its
// sources are captured now: it goes with the next batch, not with one that has gone.
func (r *run) timed(p *post, by *cause, out *Post) {
	if p.times == nil {
		return
	}
	mark := r.at.Now
	for i, name := range p.times.sources {
		if m, ok := r.at.Marks[name]; ok && (i == 0 || m.Before(mark)) {
			mark = m
		}
	}
	if g := p.times.gate(later(by.At, mark)); g != nil {
		out.Gates = append(out.Gates, *g)
	}
	out.Window = p.times.window
}

// timetable reads schedule and window of a posting. Of an event that no single source makes, the zone must be said.
func (c *compiler) timetable(got map[string]field, src *source) *timetable {
	tt := &timetable{sources: c.m.Sources()}
	if src != nil {
		tt.sources, tt.zone = []string{src.name}, zoneNamed(src.zone)
	}
	if f, ok := got["schedule"]; ok {
		tt.batch = c.batches(f, tt)
	}
	if f, ok := got["window"]; ok {
		tt.window = c.window(f, tt)
	}
	if tt.batch == nil && tt.window == nil {
		return nil
	}
	return tt
}

// batches reads schedule: realtime, or { batch, zone, cutoff }.
func (c *compiler) batches(f field, tt *timetable) *batches {
	if f.value.Kind == yaml.ScalarNode {
		if f.value.Value != "realtime" {
			c.fault(f.value, fmt.Sprintf("the schedule %q", f.value.Value), "realtime, or a batch", `{ batch: "0 18 * * MON-FRI", cutoff: "17:30" }`)
		}
		return nil
	}
	got := c.record(f.value, "schedule", []string{"batch", "zone", "cutoff"}, nil)
	if !c.need(f.at, got, "schedule", "batch") || !c.zoned(f, got, tt) {
		return nil
	}
	n := got["batch"].value
	times, err := parseCron(c.text(n, "a crontab line"))
	if err != nil {
		c.fault(n, err.Error(), "minute, hour, day of the month, month and day of the week, of the days one alone", `"0 18 * * MON-FRI"`)
		return nil
	}
	b := &batches{times: times, zone: tt.zone, clock: -1}
	if b.times.after(aDay, b.zone).IsZero() {
		c.fault(n, fmt.Sprintf("%q, which never comes", n.Value), "a day of the calendar", "")
		return nil
	}
	if f, ok := got["cutoff"]; ok && !c.cutoff(f.value, b) {
		return nil
	}
	return b
}

// aDay is a day in the middle of a year, for looking at what a schedule does.
var aDay = time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)

// cutoff reads a time of day, or how long before the batch.
func (c *compiler) cutoff(n *yaml.Node, b *batches) bool {
	text := c.text(n, "a cut-off")
	clock, isClock := clockTime(text)
	d, err := time.ParseDuration(text)
	switch {
	case isClock:
		b.clock = clock
	case err == nil && d > 0 && d <= maxCutoff:
		b.before = d
	default:
		c.fault(n, fmt.Sprintf("the cut-off %q", text), "a time of day, or how long before the batch, at most 168h", `"17:30" or 30m`)
		return false
	}
	first := b.times.after(aDay, b.zone)
	next := b.times.after(first, b.zone)
	for range maxBatches {
		if isClock && b.cutoff(first).Equal(b.cutoff(next)) {
			c.fault(n, fmt.Sprintf("the cut-off %s of two batches, at %s and %s", text, first.Format("Mon 15:04"), next.Format("Mon 15:04")),
				"a cut-off of each batch", "how long before the batch: 30m")
			return false
		}
		first, next = next, b.times.after(next, b.zone)
	}
	count := 0
	for at := first; at.Before(first.Add(b.before)) && count <= maxBatches; at = b.times.after(at, b.zone) {
		count++
	}
	if count > maxBatches {
		c.fault(n, fmt.Sprintf("more than %d batches between a cut-off and its batch", maxBatches), "a shorter time, or fewer batches", "")
		return false
	}
	return true
}

// zoned finds the zone of a schedule or window: its own, else that of the event's source.
func (c *compiler) zoned(f field, got map[string]field, tt *timetable) bool {
	z, ok := got["zone"]
	switch {
	case ok:
		name := c.text(z.value, "a time zone")
		zone, err := time.LoadLocation(name)
		if err != nil || name == "" || name == "Local" {
			c.fault(z.value, fmt.Sprintf("the zone %q", name), "a name of the IANA time zone database", "America/Chicago")
			return false
		}
		tt.zone = zone
	case tt.zone == nil:
		c.fault(f.at, f.key+" without a zone, of an event that no one source makes", "the zone of its times", "zone: America/Chicago")
		return false
	}
	return true
}

// window reads { open, close, days, zone, blackout }.
func (c *compiler) window(f field, tt *timetable) *Window {
	got := c.record(f.value, "window", []string{"open", "close", "days", "zone", "blackout"}, nil)
	if !c.zoned(f, got, tt) {
		return nil
	}
	w := &Window{Zone: tt.zone.String(), Open: "00:00", Close: "24:00"}
	for name, into := range map[string]*string{"open": &w.Open, "close": &w.Close} {
		x, ok := got[name]
		if !ok {
			continue
		}
		*into = c.text(x.value, "a time of day")
		if _, is := clockTime(*into); !is || name == "open" && *into == "24:00" {
			c.fault(x.value, fmt.Sprintf("%s: %q", name, *into), "a time of day", `"06:00"`)
			return nil
		}
	}
	if w.Open == w.Close {
		c.fault(f.at, "a window that closes when it opens", "two times of day", `{ open: "06:00", close: "20:00" }`)
	}
	if x, ok := got["days"]; ok {
		w.Days = strings.ToUpper(c.text(x.value, "days of the week"))
		if _, err := weekField.parse(w.Days); err != nil {
			c.fault(x.value, err.Error(), "days of the week", "days: MON-FRI")
			return nil
		}
	}
	w.Blackout = c.words(got, "blackout", maxBlackout)
	for i, day := range w.Blackout {
		if _, err := time.Parse(civilDate, day); err != nil {
			c.fault(got["blackout"].value.Content[i], fmt.Sprintf("the blackout day %q", day), "a day of the calendar", "blackout: [2026-12-25]")
		}
	}
	return w
}

// scheduleShape is schedule for editors.
func scheduleShape() fileShape {
	return eitherShape("when it goes", wordShape("at once", "realtime"), recordShape("with a batch", []string{"batch", "zone", "cutoff"}, map[string]fileShape{
		"batch":  textShape("a crontab line: minute, hour, day of the month, month, day of the week"),
		"zone":   textShape("IANA time zone; left out, that of the event's source"),
		"cutoff": textShape("a time of day, or how long before the batch: what is released later goes with the next one"),
	}, "batch"))
}

// windowShape is window for editors.
func windowShape() fileShape {
	return recordShape("when the target may be given it", []string{"open", "close", "days", "zone", "blackout"}, map[string]fileShape{
		"open":     textShape("a time of day"),
		"close":    textShape("a time of day; not behind open it is on the next day"),
		"days":     textShape("days of the week on which it opens: MON-FRI"),
		"zone":     textShape("IANA time zone; left out, that of the event's source"),
		"blackout": listShape("days on which it does not open", textShape("2026-12-25")),
	})
}
