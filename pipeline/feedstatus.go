package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waybill/transform"
)

// FeedStatus is what a publisher gets.
type FeedStatus struct {
	Sink      string     `json:"sink"`
	State     string     `json:"state"` // running, paused, dry run, backing off, stopped
	Error     string     `json:"error,omitempty"`
	Published uint64     `json:"published"`        // the target has them, as the journal knows
	Behind    uint64     `json:"behind"`           // events that it does not have yet
	Aside     uint64     `json:"aside"`            // of these, behind one that it refused
	Discarded uint64     `json:"discarded"`        // given up by a person, or because the condition said no
	InFlight  int        `json:"in_flight"`        // calls
	Oldest    *time.Time `json:"oldest,omitempty"` // commit time of the oldest that is not behind a refused one
	LastError string     `json:"last_error,omitempty"`
}

func (p *Pipeline) feedStatus(s *state, st *Status) error {
	for _, f := range p.feeds {
		fs, err := f.status(s)
		if err != nil {
			return err
		}
		paused, err := s.paused(f.name)
		if err != nil {
			return err
		}
		f.hinder(&fs, paused)
		if fs.State != "running" {
			st.Problems = append(st.Problems, fmt.Sprintf("feed of %s is %s: %s", fs.Sink, fs.State, fs.Error))
		}
		if fs.Aside > feedAlarm {
			st.Problems = append(st.Problems, fmt.Sprintf("%d events for %s wait behind such that it refused: retry or discard their exceptions", fs.Aside, fs.Sink))
		}
		st.Feeds = append(st.Feeds, fs)
	}
	return nil
}

func (f *feed) status(s *state) (FeedStatus, error) {
	fs := FeedStatus{Sink: f.name, State: "running"}
	f.mu.Lock()
	first := f.open.first()
	fs.InFlight, fs.LastError = f.inflight, f.lastErr
	if f.pause > 0 {
		fs.State, fs.Error = "backing off", f.lastErr
		if f.pause >= 12*blockedLeast {
			fs.State = "stopped"
		}
	}
	f.mu.Unlock()
	var count feedCount
	if _, err := s.load(bucketFeedCount, f.name, &count); err != nil {
		return fs, err
	}
	last, err := s.Get(bucketSystem, "seq/feed/"+f.name)
	if err != nil {
		return fs, err
	}
	fs.Published, fs.Discarded, fs.Aside = count.Taken, count.Given, uint64(max(0, count.Aside))
	fs.Behind = unhex(string(last)) - min(unhex(string(last)), count.Taken+count.Given)
	if fs.Behind == fs.Aside {
		return fs, nil
	}
	var oldest *feedItem
	err = s.Scan(bucketFeed, f.name+sep, key(f.name, hexKey(first)), func(_ string, raw []byte) (bool, error) {
		item, err := decodeFeedItem(raw)
		oldest = &item
		return false, err
	})
	if err != nil || oldest == nil {
		return fs, err
	}
	e, err := s.feedEvent(oldest)
	if err == nil {
		fs.Oldest = &e.Recorded
	}
	return fs, err
}

// uncovered are the faults of a mapping that publishes to sinks ("<sink>.<topic>") which are not configured so.
func (p *Pipeline) uncovered(destinations []string) error {
	var errs []error
	for _, d := range destinations {
		sink, _ := splitTarget(d)
		switch {
		case p.o.Publishers[sink] != nil:
		case p.o.Sinks[sink] != nil:
			errs = append(errs, fmt.Errorf("the mapping publishes to %s, but the sink %q takes postings, not events: name a sink of type kafka, webhook or file", d, sink))
		default:
			errs = append(errs, fmt.Errorf("the mapping publishes to sink %q, which the configuration does not have", sink))
		}
	}
	return errors.Join(errs...)
}

// publishAll ties a publisher to its target and runs its feed.
func (p *Pipeline) publishAll(ctx, hard context.Context, f *feed) error {
	if err := p.bindTo(ctx, f.name, f.sink, f.fault); err != nil || ctx.Err() != nil {
		return err
	}
	return f.run(ctx, hard)
}

// publishedAgain says where a replay of one event sends it again.
func (p *Pipeline) publishedAgain(s *state, e *transform.Event) (string, error) {
	version, err := s.versionOf(e)
	if err != nil {
		return "", err
	}
	var all []string
	for _, d := range p.o.Carriers.Publishes(e, version) {
		all = append(all, d.Sink+"."+d.Topic)
	}
	return strings.Join(all, ", "), nil
}
