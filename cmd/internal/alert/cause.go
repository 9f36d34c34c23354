package alert

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"waybill/pipeline"
)

// Cause is one thing that needs a person.
type Cause struct {
	Key    string // stable: source/dispatch/stopped
	Title  string // one sentence
	Detail string // the error with its hint; may be empty
}

// causes reads what needs a person out of a status. unknownSince says since when a lane has held postings of unknown
// outcome without a break; the caller keeps it between calls. active holds the keys that are alerted now.
func causes(s pipeline.Status, now time.Time, unknownAfter time.Duration, unknownSince map[string]time.Time, active func(string) bool) []Cause {
	var found []Cause
	for _, src := range s.Sources {
		if src.State == "stopped" {
			found = append(found, Cause{"source/" + src.Name + "/stopped", "Source " + src.Name + " has stopped.", src.Error})
		}
		found = append(found, runway(src)...)
	}
	held := map[string]bool{}
	for _, lane := range s.Lanes {
		name := lane.Lane + "/" + lane.Sink
		if lane.State == "stopped" {
			found = append(found, Cause{"lane/" + name + "/stopped", fmt.Sprintf("Lane %s towards %s has stopped.", lane.Lane, lane.Sink), lane.Error})
		}
		if lane.Unknown == 0 {
			continue
		}
		held[name] = true
		since, ok := unknownSince[name]
		if !ok {
			since = now
			unknownSince[name] = since
		}
		if now.Sub(since) >= unknownAfter {
			found = append(found, Cause{"lane/" + name + "/unknown",
				fmt.Sprintf("%s cannot say what became of postings of lane %s, %d now, for %s.", lane.Sink, lane.Lane, lane.Unknown, unknownAfter), lane.LastError})
		}
	}
	for _, x := range s.Exceptions {
		if x.Overdue > 0 {
			found = append(found, Cause{"exceptions/overdue/" + x.Code, fmt.Sprintf("Exceptions %s are past their due time, %d now.", x.Code, x.Overdue),
				"waybill exceptions list --overdue --code " + x.Code})
		}
		if x.Code == "BLAST_RADIUS" {
			found = append(found, Cause{"exceptions/blast", "A rule suddenly made more than its bound; it is held and was not sent.",
				"waybill exceptions list --code BLAST_RADIUS"})
		}
	}
	maps.DeleteFunc(unknownSince, func(name string, _ time.Time) bool { return !held[name] })
	if near(s.Journal, active("disk/floor")) {
		found = append(found, Cause{"disk/floor", fmt.Sprintf("The disk has %d MiB free; capture pauses below %d MiB.",
			s.Journal.DiskFree>>20, s.Journal.DiskFloor>>20), "Free space on the volume of the data folder, or let deliveries catch up."})
	}
	return found
}

// runway tells what may soon do harm to a source's server, or to what we can still read of it.
func runway(src pipeline.SourceStatus) (found []Cause) {
	if src.Runway == nil {
		return nil
	}
	for _, w := range src.Runway.Warnings {
		found = append(found, Cause{"source/" + src.Name + "/" + strings.ReplaceAll(w.Check, " ", "_"),
			fmt.Sprintf("Source %s, %s: %s.", src.Name, w.Check, w.Found), fmt.Sprintf("Needed: %s. %s Run: %s", w.Want, w.Why, w.Fix)})
	}
	return found
}

// near says that less than twice the floor is free. An alert clears only a quarter above that, so that it does not
// come and go with every segment of the journal.
func near(j pipeline.JournalStatus, active bool) bool {
	if j.DiskFloor <= 0 {
		return false
	}
	limit := 2 * j.DiskFloor
	if active {
		limit += limit / 4
	}
	return j.DiskFree < limit
}
