package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// unknownAlarm is how long an outcome may stay unknown before the status says so.
const unknownAlarm = 5 * time.Minute

// Status returns the daemon at a glance.
func (p *Pipeline) Status(context.Context) (Status, error) { return p.status(true) }

// status reads the state once; money asks for the sums too.
func (p *Pipeline) status(money bool) (Status, error) {
	id, stats, now := p.store.Identity(), p.store.Stats(), time.Now()
	st := Status{Version: p.o.Version, Store: id.ID, Epoch: id.Epoch, StartedAt: p.started, Ready: true, Mapping: p.o.Carriers.Version(),
		Journal: JournalStatus{First: stats.First, Last: stats.Last, Applied: p.project.place().Index, Bytes: stats.JournalBytes,
			DiskFree: stats.DiskFree, DiskFloor: stats.DiskFloor}}
	if active := p.activated.Load(); active != nil {
		st.Mapping = *active
	}
	for _, c := range p.captures {
		s := c.status(now)
		if s.State != "streaming" {
			st.Ready = false
			st.Problems = append(st.Problems, strings.TrimSpace(fmt.Sprintf("source %s is %s: %s", s.Name, s.State, s.Error)))
		}
		for _, r := range s.Readings {
			if r.State == ReadingFailed {
				st.Problems = append(st.Problems, fmt.Sprintf("table %s of %s cannot be read: %s", r.Table, s.Name, clip(r.Error, 300)))
			}
		}
		st.Problems = append(st.Problems, s.Runway.problems(s.Name)...)
		st.Sources = append(st.Sources, s)
	}
	if stats.NearFloor {
		st.Problems = append(st.Problems, fmt.Sprintf("the disk of the store is nearly full: %d MiB are free, below %d MiB capture stops",
			stats.DiskFree>>20, stats.DiskFloor>>20))
	}
	if stats.Beyond {
		st.Problems = append(st.Problems, fmt.Sprintf("the journal holds %d MiB, its bound is %d MiB: a larger transaction, or the first reading of a table, is captured to its end, because nothing of it can be trimmed before",
			stats.JournalBytes>>20, stats.MaxBytes>>20))
	}
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		if err := p.laneStatus(s, &st, now); err != nil {
			return err
		}
		if err := p.feedStatus(s, &st); err != nil {
			return err
		}
		if err := p.serviceStatus(s, &st); err != nil {
			return err
		}
		if err := heldTables(s, &st); err != nil {
			return err
		}
		if err := openStats(s, &st); err != nil {
			return err
		}
		if money {
			return moneyStatus(s, &st)
		}
		return nil
	})
	return st, err
}

func (p *Pipeline) laneStatus(s *state, st *Status, now time.Time) error {
	counts := map[string]int64{}
	err := s.Scan(bucketCount, "", "", func(k string, v []byte) (bool, error) {
		counts[k], _ = strconv.ParseInt(string(v), 10, 64)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, l := range p.lanes {
		ls := LaneStatus{Lane: string(l.name), Sink: l.target.name, State: "running", ByEntity: map[string]int{}}
		used := false
		for k, n := range counts {
			part := strings.Split(k, sep)
			if part[0] != ls.Lane || part[1] != ls.Sink {
				continue
			}
			used = true
			ls.add(part[2], part[3], int(n))
		}
		l.describe(&ls, now)
		if !used && !p.posts(l) {
			continue // nothing of this lane goes to this sink
		}
		paused, err := s.paused(ls.Sink)
		if err != nil {
			return err
		}
		l.hinder(&ls, paused, p.posted(ls.Sink))
		if ls.State != "running" {
			st.Problems = append(st.Problems, fmt.Sprintf("lane %s to %s is %s: %s", ls.Lane, ls.Sink, ls.State, ls.Error))
		}
		if err := oldest(s, l, &ls, st, now); err != nil {
			return err
		}
		if ls.Held, err = s.batchesOf(ls.Lane, ls.Sink); err != nil {
			return err
		}
		st.Lanes = append(st.Lanes, ls)
	}
	return nil
}

// posts reports whether the mapping sends anything to the lane's sink.
func (p *Pipeline) posts(l *lane) bool {
	for _, t := range p.o.Carriers.Targets() {
		if sink, _ := splitTarget(t); sink == l.target.name {
			return true
		}
	}
	return false
}

func (ls *LaneStatus) add(state, entity string, n int) {
	switch DeliveryState(state) {
	case StateWaiting:
		ls.Waiting += n
	case StateReady, StateRetry, StateSent:
		ls.Ready += n
	case StateParked:
		ls.Parked += n
	case StateDone:
		ls.Done += uint64(n)
		return
	case "unknown":
		ls.Unknown += n
		return
	default:
		return
	}
	if n > 0 {
		ls.ByEntity[entity] += n
	}
}

func (l *lane) describe(ls *LaneStatus, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ls.InFlight, ls.LastError = len(l.inflight), l.lastErr
	ls.Ready = max(0, ls.Ready-ls.InFlight)
	if l.pause > 0 {
		ls.State, ls.Error = "backing off", l.lastErr
		if l.pause >= 12*blockedLeast {
			ls.State = "stopped"
		}
	}
}

// oldest finds the oldest head, and reports an outcome that stays unknown too long.
func oldest(s *state, l *lane, ls *LaneStatus, st *Status, now time.Time) error {
	n := 0
	return s.Scan(bucketHead, key(string(l.name), l.target.name)+sep, "", func(_ string, v []byte) (bool, error) {
		d, err := s.delivery(string(v))
		if err != nil || d == nil {
			return false, err
		}
		if ls.Oldest == nil || d.Recorded.Before(*ls.Oldest) {
			at := d.Recorded
			ls.Oldest = &at
		}
		if d.State == StateSent && d.Last != nil && now.Sub(d.Intent.At) > unknownAlarm {
			st.Problems = append(st.Problems, fmt.Sprintf("the outcome of %s at %s is unknown since %s: the target cannot be asked",
				subjectOf(d.Post), d.Post.Sink, d.Intent.At.Format(time.RFC3339)))
		}
		n++
		return n < 200, nil
	})
}

func heldTables(s *state, st *Status) error {
	return s.Scan(bucketHeld, "", "", func(k string, _ []byte) (bool, error) {
		source, table, _ := strings.Cut(k, sep)
		for i := range st.Sources {
			if st.Sources[i].Name == source {
				st.Sources[i].Held = append(st.Sources[i].Held, table)
			}
		}
		return true, nil
	})
}

func openStats(s *state, st *Status) error {
	by, money := map[string]*ExceptionStat{}, map[string]sums{}
	err := s.Scan(bucketOpen, "", "", func(_ string, id []byte) (bool, error) {
		x, err := s.exception(string(id))
		if err != nil || x == nil {
			return false, err
		}
		code := x.Problem.Code
		if by[code] == nil {
			by[code], money[code] = &ExceptionStat{Code: code}, sums{}
		}
		by[code].Open++
		by[code].Waiting += x.Waiting
		if x.Escalated != nil {
			by[code].Overdue++
		}
		return true, s.subjectMoney(x, money[code])
	})
	for _, code := range names(by) {
		by[code].Money = money[code].texts()
		st.Exceptions = append(st.Exceptions, *by[code])
	}
	return err
}

// subjectMoney adds the money of all who wait on an exception.
func (s *state) subjectMoney(x *exception, into sums) error {
	if x.Blast != nil {
		x.Blast.money(into)
	}
	n := 0
	return s.Scan(bucketSubject, x.ID+sep, "", func(_ string, v []byte) (bool, error) {
		var m transform.Money
		if err := json.Unmarshal(v, &m); err != nil {
			return false, err
		}
		if m.Currency != "" {
			into.add(m.Amount, m.Currency)
		}
		n++
		return n < 10000, nil
	})
}

func moneyStatus(s *state, st *Status) error {
	by := map[string]map[string]moneySum{}
	err := s.Scan(bucketMoney, "", "", func(k string, v []byte) (bool, error) {
		currency, what, _ := strings.Cut(k, sep)
		var m moneySum
		if err := json.Unmarshal(v, &m); err != nil {
			return false, err
		}
		if by[currency] == nil {
			by[currency] = map[string]moneySum{}
		}
		by[currency][what] = m
		return true, nil
	})
	currencies := make([]string, 0, len(by))
	for c := range by {
		currencies = append(currencies, c)
	}
	sort.Strings(currencies)
	for _, c := range currencies {
		posted, flying, parked, held := by[c]["posted"], by[c]["in_flight"], by[c]["exception"], by[c]["held"]
		parked.merge(&held)
		var all moneySum
		for _, m := range []moneySum{posted, flying, parked} {
			all.merge(&m)
		}
		st.Money = append(st.Money, MoneyStatus{Currency: c, Released: int(all.Count), ReleasedSum: all.text(),
			Posted: int(posted.Count), PostedSum: posted.text(), Exception: int(parked.Count), ExceptionSum: parked.text(),
			InFlight: int(flying.Count), InFlightSum: flying.text()})
	}
	return err
}
