package transform

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
)

// cronTimes are the local times that the five fields of a crontab line name: minute, hour, day of the month, month and day of
// the week (POSIX, crontab), a bit for each value. It is evaluated by the calendar of a zone and not by running clocks, so that no
// batch is left out when the clocks are put forward over it, and none comes twice when they are put back.
type cronTimes struct{ minute, hour, day, month, week uint64 }

// cronField is one field: the numbers that it may have, and names for them.
type cronField struct {
	name     string
	from, to int
	names    []string // of from, from+1 …
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

	cronFields = [5]cronField{{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil}, {"month", 1, 12, monthNames},
		weekField}
	weekField = cronField{"day of the week", 0, 7, dayNames}
)

// parseCron reads "0 18 * * MON-FRI".
func parseCron(text string) (c cronTimes, err error) {
	words := strings.Fields(text)
	if len(words) != len(cronFields) {
		return c, fmt.Errorf("%q, which has %d fields", clip(text, 60), len(words))
	}
	for i, into := range []*uint64{&c.minute, &c.hour, &c.day, &c.month, &c.week} {
		if *into, err = cronFields[i].parse(words[i]); err != nil {
			return c, err
		}
	}
	if words[2] != "*" && words[4] != "*" {
		return c, fmt.Errorf("%q, which names days of the month and of the week", clip(text, 60))
	}
	return c, nil
}

// parse reads a list of values, ranges and steps: "0", "8-18/2", "MON,WED-FRI", "*/15".
func (f cronField) parse(text string) (set uint64, err error) {
	for _, part := range strings.Split(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		by := 1
		if stepped {
			if by, err = strconv.Atoi(step); err != nil || by < 1 || by > f.to {
				return 0, fmt.Errorf("the %s %q", f.name, clip(part, 40))
			}
		}
		from, to := f.from, f.to
		if span != "*" {
			first, last, ranged := strings.Cut(span, "-")
			if from, err = f.value(first); err != nil {
				return 0, err
			}
			if to = from; ranged {
				if to, err = f.value(last); err != nil {
					return 0, err
				}
			} else if stepped {
				to = f.to
			}
		}
		if to < from {
			return 0, fmt.Errorf("the %s %q, which ends before it begins", f.name, clip(part, 40))
		}
		for v := from; v <= to; v += by {
			set |= 1 << v
		}
	}
	if f.to == 7 && set&(1<<7) != 0 { // Sunday is 0 and 7
		set = set&^(1<<7) | 1
	}
	return set, nil
}

func (f cronField) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.from + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.from || n > f.to {
		return 0, fmt.Errorf("the %s %q", f.name, clip(text, 40))
	}
	return n, nil
}

// cronDays bounds the search: in eight years every day of the calendar has come.
const cronDays = 8*366 + 1

// after returns the first time behind the instant; zero when there is none.
func (c *cronTimes) after(t time.Time, zone *time.Location) time.Time {
	for d := range cronDays {
		day := localDay(t, zone).AddDate(0, 0, d-1) // of the day before a time may have been moved over midnight
		if c.month&(1<<day.Month()) == 0 || c.day&(1<<day.Day()) == 0 || c.week&(1<<day.Weekday()) == 0 {
			continue
		}
		if found := c.within(day, t, zone); !found.IsZero() {
			return found
		}
	}
	return time.Time{}
}

// within returns the first time of a day behind the instant. Where the clocks jump the order of the instants is not that of the
// times, so it looks three hours further than what it found.
func (c *cronTimes) within(day, t time.Time, zone *time.Location) (found time.Time) {
	last := 23
	for hours := c.hour; hours != 0; hours &= hours - 1 {
		hour := bits.TrailingZeros64(hours)
		if hour > last {
			break
		}
		for minutes := c.minute; minutes != 0; minutes &= minutes - 1 {
			at := localInstant(day, time.Duration(hour)*time.Hour+time.Duration(bits.TrailingZeros64(minutes))*time.Minute, zone)
			if at.After(t) && (found.IsZero() || at.Before(found)) {
				found, last = at, min(23, hour+3)
			}
		}
	}
	return found
}

// localDay is the midnight, in UTC, of the day that the instant lies in somewhere: a day of the calendar without a place.
func localDay(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// dayEdges is what becomes of local times at the edges of daylight saving time: one that never comes is an hour later, of one that
// comes twice the first counts.
var dayEdges = edges{twice: edgeEarlier, never: edgeLater}

// localInstant is the instant of a time of day, which may be 24:00.
func localInstant(day time.Time, clock time.Duration, zone *time.Location) time.Time {
	at, err := civil{cdc.KindTimestamp, day.Add(clock).Format(civilTimestamp)}.instant(zone, dayEdges)
	if err != nil {
		return time.Time{} // the text is a time and both edges are decided: it cannot be
	}
	return at
}

// clockTime reads "17:30"; 24:00 is the end of the day.
func clockTime(text string) (time.Duration, bool) {
	h, m, ok := strings.Cut(text, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	clock := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	return clock, ok && len(h) == 2 && len(m) == 2 && err1 == nil && err2 == nil && minute < 60 && hour >= 0 && minute >= 0 && clock <= 24*time.Hour
}
