package transform

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// transcript is an Output that keeps what it is given, for the inline tests.
type transcript struct {
	events []Event
	posts  []Post
	open   map[[2]string]Problem // fingerprint, subject
	timers map[string]Timer
	notes  []Note
	rows   [][]string
	unsent bool // no posting is ever sent: all may be taken back
}

func newTranscript() *transcript {
	return &transcript{open: map[[2]string]Problem{}, timers: map[string]Timer{}}
}

// Event implements Output.
func (t *transcript) Event(e Event) error { t.events = append(t.events, e); return nil }

// Post implements Output.
func (t *transcript) Post(p Post) error { t.posts = append(t.posts, p); return nil }

// Problem implements Output.
func (t *transcript) Problem(p Problem) error {
	t.open[[2]string{p.Fingerprint, p.Subject}] = p
	return nil
}

// Resolve implements Output.
func (t *transcript) Resolve(fingerprint, subject string) error {
	delete(t.open, [2]string{fingerprint, subject})
	return nil
}

// Note implements Output.
func (t *transcript) Note(n Note) error { t.notes = append(t.notes, n); return nil }

// SetTimer implements Output.
func (t *transcript) SetTimer(x Timer) error { t.timers[x.ID] = x; return nil }

// ClearTimer implements Output.
func (t *transcript) ClearTimer(id string) error { delete(t.timers, id); return nil }

// Withdraw implements Output.
func (t *transcript) Withdraw(event, _ string) (bool, error) {
	if t.unsent {
		t.posts = slices.DeleteFunc(t.posts, func(p Post) bool { return p.Event == event })
	}
	return t.unsent, nil
}

// Row implements Output.
func (t *transcript) Row(refs []string) error { t.rows = append(t.rows, refs); return nil }

// due takes the first timer whose time has come.
func (t *transcript) due(now time.Time) (Timer, bool) {
	for _, id := range slices.Sorted(maps.Keys(t.timers)) {
		if x := t.timers[id]; !x.At.After(now) {
			delete(t.timers, id)
			return x, true
		}
	}
	return Timer{}, false
}

// openCodes lists the code of each open exception: problems of one fingerprint are one.
func (t *transcript) openCodes() []string {
	byCause := map[string]string{}
	for k, p := range t.open {
		byCause[k[0]] = p.Code
	}
	return slices.Sorted(maps.Values(byCause))
}

func (t *transcript) openText() string {
	titles := map[string]bool{}
	for _, p := range t.open {
		titles[p.Title] = true
	}
	if len(titles) == 0 {
		return ""
	}
	return "; open: " + strings.Join(slices.Sorted(maps.Keys(titles)), " ")
}

func (t *transcript) postsText(event string) string {
	var all []string
	for _, p := range t.posts {
		if p.Event == event {
			all = append(all, p.Sink+"."+p.Entity+" "+p.ExternalID)
		}
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

func (t *transcript) gatesText(event string) string {
	var all []string
	for _, p := range t.posts {
		for _, g := range p.Gates {
			if p.Event == event {
				all = append(all, g.Name+" "+g.Key)
			}
		}
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}
