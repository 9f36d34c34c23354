package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// A posting into a table that a source captures comes back as a change. The intent is in the journal before it is sent, so the row that it
// makes is known before its change can come: that one change, and no other, is its echo. It updates row state and makes no event. An echo is
// taken once; who changes the row and sets it back to what we wrote is heard.

// echo is a row that we wrote, or may have written, and whose change has not come back.
type echo struct {
	Written  transform.Written `json:"written"`
	Delivery string            `json:"delivery"`
	Target   string            `json:"target"` // sink.entity external id, for people
	At       time.Time         `json:"at"`     // of the intent
	Done     time.Time         `json:"done,omitzero"`
	// Unsure: it may not have been us who wrote it, or its change has been seen in a reading. Any other change of the row ends it.
	Unsure bool `json:"unsure,omitempty"`
}

// The change of a posting is committed between its intent and its outcome. The clocks of the machines may differ by echoLate; a posting
// whose outcome is never told is given echoLost.
const (
	echoLate = 10 * time.Minute
	echoLost = 24 * time.Hour
)

func echoTable(source string, t cdc.Table) string { return key(source, t.String()) }

// loadEchoes counts once what may come back, so that a change of any other table costs nothing.
func (p *projector) loadEchoes(s *state) error {
	if p.echoes != nil {
		return nil
	}
	p.echoes = map[string]map[string]int{}
	return s.Scan(bucketEcho, "", "", func(k string, _ []byte) (bool, error) {
		p.countEcho(k, 1)
		return true, nil
	})
}

// countEcho moves the count of an echo's table and key columns.
func (p *projector) countEcho(k string, by int) {
	parts := strings.SplitN(k, sep, 4)
	table, columns := key(parts[0], parts[1]), parts[2]
	if p.echoes[table] == nil {
		p.echoes[table] = map[string]int{}
	}
	if p.echoes[table][columns] += by; p.echoes[table][columns] <= 0 {
		delete(p.echoes[table], columns)
	}
	if len(p.echoes[table]) == 0 {
		delete(p.echoes, table)
	}
}

// expect keeps what an intent writes into a table that is captured.
func (p *projector) expect(s *state, in *sinks.Intent, e checkpoint.Entry) error {
	w := in.Writes
	if w == nil || p.mapper == nil || !slices.ContainsFunc(p.mapper.Selections(w.Source), func(sel cdc.Selection) bool {
		return sel.Table.Name == w.Table.Name && (sel.Table.Schema == "" || sel.Table.Schema == w.Table.Schema) // without one it is the source's own
	}) {
		return nil
	}
	k := key(echoTable(w.Source, w.Table), strings.Join(w.KeyColumns(), ","), w.KeyText(), hexKey(e.Index))
	x := echo{Written: *w, Delivery: in.ID, Target: fmt.Sprintf("%s.%s %s", in.Sink, in.Entity, in.ExternalID), At: e.At}
	if err := s.save(bucketEcho, k, x); err != nil {
		return err
	}
	p.countEcho(k, 1)
	return s.Put(bucketEchoOf, in.ID, []byte(k))
}

// expected takes an outcome into account: what was certainly not written does not come back.
func (p *projector) expected(s *state, o outcomeEntry, at time.Time) error {
	raw, err := s.Get(bucketEchoOf, o.Delivery)
	if err != nil || raw == nil {
		return err
	}
	k := string(raw)
	switch class := o.Outcome.Class; {
	case class == sinks.Unknown, o.Verify && (class == sinks.RetryLater || class == sinks.Setup):
		return nil // as unsure as it was
	case o.Verify && class != sinks.Absent, !o.Verify && class == sinks.Applied:
		var x echo
		if ok, err := s.load(bucketEcho, k, &x); err != nil || !ok { // it has come back already
			return s.endEchoOf(o.Delivery, err)
		}
		x.Done, x.Unsure = at, x.Unsure || o.Verify
		return s.endEchoOf(o.Delivery, s.save(bucketEcho, k, x))
	}
	if there, err := s.Get(bucketEcho, k); err != nil || there == nil {
		return s.endEchoOf(o.Delivery, err)
	}
	return s.endEchoOf(o.Delivery, p.endEcho(s, k))
}

func (s *state) endEchoOf(delivery string, err error) error {
	if err != nil {
		return err
	}
	return s.Delete(bucketEchoOf, delivery)
}

func (p *projector) endEcho(s *state, k string) error {
	p.countEcho(k, -1)
	return s.Delete(bucketEcho, k)
}

// echoOf says which posting of ours made the change; "" for none.
func (p *projector) echoOf(s *state, ch *cdc.Change) (string, error) {
	if len(p.echoes) == 0 {
		return "", nil // as nearly always
	}
	table := echoTable(ch.Source, ch.Schema.Table)
	var all []string
	for columns := range p.echoes[table] {
		all = append(all, columns)
	}
	slices.Sort(all)
	for _, columns := range all {
		row, ok := transform.RowKey(ch, strings.Split(columns, ","))
		if !ok {
			continue
		}
		by, err := p.echoAmong(s, ch, key(table, columns, row)+sep)
		if err != nil || by != "" {
			return by, err
		}
	}
	return "", nil
}

// echoAmong looks among what was written to one row, oldest first.
func (p *projector) echoAmong(s *state, ch *cdc.Change, prefix string) (string, error) {
	var keys []string
	var waiting []echo
	err := s.Scan(bucketEcho, prefix, "", func(k string, raw []byte) (bool, error) {
		var x echo
		if err := json.Unmarshal(raw, &x); err != nil {
			return false, fmt.Errorf("reading an expected echo: %w", err)
		}
		keys, waiting = append(keys, k), append(waiting, x)
		return true, nil
	})
	read := ch.Op == cdc.Snapshot
	for i := 0; i < len(keys) && err == nil; i++ {
		x := &waiting[i]
		if !read && x.over(ch.Tx.CommitAt) {
			err = p.endEcho(s, keys[i])
			continue
		}
		is, bad := p.mapper.Echoes(s, ch, &x.Written)
		switch {
		case bad != nil:
			err = bad
		case is && read: // the log may bring it as well, or was lost
			x.Unsure = true
			return x.Target, s.save(bucketEcho, keys[i], x)
		case is:
			return x.Target, p.endEcho(s, keys[i])
		case x.Unsure && !read:
			err = p.endEcho(s, keys[i])
		}
	}
	return "", err
}

// over reports whether a change that was committed then is too late to be the echo.
func (x *echo) over(commit time.Time) bool {
	if x.Done.IsZero() {
		return commit.After(x.At.Add(echoLost))
	}
	return commit.After(x.Done.Add(echoLate))
}
