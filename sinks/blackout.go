package sinks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are the same on every machine
)

// Blackout is a time of each day, of some days of the week, or of some dates, in which nothing is written to a target: its maintenance, the close
// of a period.
type Blackout struct {
	From  string   `yaml:"from"`  // 22:00, by the clock of zone. Needed
	To    string   `yaml:"to"`    // 06:00, on the next day when it is not after from; 24:00 is the day's end. Needed
	Zone  string   `yaml:"zone"`  // such as America/Chicago. Needed
	Days  []string `yaml:"days"`  // on which it begins: mon, tue, wed, thu, fri, sat, sun; default every day
	Dates []string `yaml:"dates"` // on which it begins, such as 2026-12-31, instead of days
}

// mostBlackouts and mostDates bound what a policy may list.
const (
	mostBlackouts = 50
	mostDates     = 400
)

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// minutes reads a time of the day: hours and minutes, 00:00 to 24:00.
func minutes(clock string) (int, bool) {
	var h, m int
	if len(clock) != 5 || clock[2] != ':' {
		return 0, false
	}
	for i, at := range []*int{&h, &m} {
		for _, c := range clock[3*i : 3*i+2] {
			if c < '0' || c > '9' {
				return 0, false
			}
			*at = *at*10 + int(c-'0')
		}
	}
	return h*60 + m, m < 60 && h*60+m <= 24*60
}

func validBlackouts(list []Blackout) error {
	var errs []error
	if len(list) > mostBlackouts {
		return fmt.Errorf("blackout: found %d, expected at most %d", len(list), mostBlackouts)
	}
	for i, b := range list {
		bad := func(field string, found, want string) {
			errs = append(errs, fmt.Errorf("blackout[%d].%s: found %q, expected %s", i, field, found, want))
		}
		if m, ok := minutes(b.From); !ok || m == 24*60 {
			bad("from", b.From, "a time such as 22:00")
		}
		if m, ok := minutes(b.To); !ok || m == 0 {
			bad("to", b.To, "a time such as 06:00; the end of the day is 24:00")
		}
		if _, err := time.LoadLocation(b.Zone); err != nil || b.Zone == "" || b.Zone == "Local" {
			bad("zone", b.Zone, "a time zone such as America/Chicago")
		}
		for _, day := range b.Days {
			if !slices.Contains(weekdays, day) {
				bad("days", day, "mon, tue, wed, thu, fri, sat or sun")
			}
		}
		if len(b.Days) > 0 && len(b.Dates) > 0 {
			bad("dates", strings.Join(b.Dates, ", "), "either days or dates")
		}
		if len(b.Dates) > mostDates {
			bad("dates", fmt.Sprint(len(b.Dates), " dates"), fmt.Sprintf("at most %d", mostDates))
		}
		for _, date := range b.Dates {
			if _, err := time.Parse(time.DateOnly, date); err != nil {
				bad("dates", date, "dates such as 2026-12-31")
			}
		}
	}
	return errors.Join(errs...)
}

// zones are those that blackouts and budgets name: reading one is dear, and every call asks.
var zones sync.Map

// zoneOf is a zone whose name was checked.
func zoneOf(name string) *time.Location {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC // Validate has refused it
	}
	zones.Store(name, zone)
	return zone
}

// until is when the blackout that is on at now ends; zero when none is.
func (b Blackout) until(now time.Time) time.Time {
	zone := zoneOf(b.Zone)
	from, _ := minutes(b.From) // Validate has refused what is no time
	to, _ := minutes(b.To)
	year, month, today := now.In(zone).Date()
	for back := range 2 { // one that began yesterday may be on still
		day := today - back
		begins := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		switch {
		case len(b.Dates) > 0 && !slices.Contains(b.Dates, begins.Format(time.DateOnly)):
			continue
		case len(b.Days) > 0 && !slices.Contains(b.Days, weekdays[begins.Weekday()]):
			continue
		}
		end := day
		if to <= from {
			end++
		}
		start := time.Date(year, month, day, 0, from, 0, 0, zone)
		if stop := time.Date(year, month, end, 0, to, 0, 0, zone); !now.Before(start) && now.Before(stop) {
			return stop
		}
	}
	return time.Time{}
}

// blackedOut is when writes may go again: those that follow one another without a gap are one. Zero when none is on.
func blackedOut(list []Blackout, now time.Time) (until time.Time) {
	for at := now; ; {
		next := time.Time{}
		for _, b := range list {
			if end := b.until(at); end.After(next) {
				next = end
			}
		}
		if next.IsZero() {
			return until
		}
		until, at = next, next
		if until.Sub(now) > 400*24*time.Hour {
			return until // every hour of every day is black
		}
	}
}
