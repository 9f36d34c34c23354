package transform

import (
	"slices"
	"sync"
	"time"
)

// Window says when a target may be given what a posting asks: some hours of some days, in local time. It is data of the posting, so
// that a lane, which alone may look at a clock, need not know the mapping.
type Window struct {
	Zone     string   `json:"zone"`               // IANA name
	Open     string   `json:"open"`               // time of day, "06:00"
	Close    string   `json:"close"`              // "20:00", up to "24:00"; not behind Open: on the day after
	Days     string   `json:"days,omitempty"`     // on which it opens, as a crontab line has them: "MON-FRI"; empty for every day
	Blackout []string `json:"blackout,omitempty"` // days on which it does not open: 2026-12-25
}

// maxBlackout bounds the days of a window that are left out; they stand in every posting that has the window.
const maxBlackout = 60

// Next returns the instant itself when the window is open then, else the one at which it opens next.
func (w *Window) Next(t time.Time) time.Time {
	zone := zoneNamed(w.Zone)
	opens, _ := clockTime(w.Open) // they were checked when the mapping was read
	closes, _ := clockTime(w.Close)
	days := ^uint64(0)
	if w.Days != "" {
		if set, err := weekField.parse(w.Days); err == nil {
			days = set
		}
	}
	for d := range 7*(len(w.Blackout)+1) + 2 {
		day := localDay(t, zone).AddDate(0, 0, d-1) // one that opened yesterday may be open still
		if days&(1<<day.Weekday()) == 0 || slices.Contains(w.Blackout, day.Format(civilDate)) {
			continue
		}
		end := localInstant(day, closes, zone)
		if closes <= opens {
			end = localInstant(day.AddDate(0, 0, 1), closes, zone)
		}
		if t.Before(end) {
			return later(t, localInstant(day, opens, zone))
		}
	}
	return t
}

// zonesRead are the zones that windows name: reading one is dear, and lanes ask often.
var zonesRead sync.Map

// zoneNamed is a zone that was checked when its name was read.
func zoneNamed(name string) *time.Location {
	if known, ok := zonesRead.Load(name); ok {
		return known.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	zonesRead.Store(name, zone)
	return zone
}
