package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// sent is a step as the ERP got it. n is 0 for the end of a row whose last version nobody knew.
type sent struct {
	n    int64
	gone bool
}

// readSent reads the ERP's file, with nothing of Waybill's: what it did for each key, in its order.
func readSent(file string) (map[int][]sent, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[int][]sent{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			ID   string `json:"external_id"`
			Body struct {
				Code, N json.RawMessage
				Is      string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		if line.ID == "" {
			continue // the head
		}
		key, err := number(line.Body.Code)
		if err != nil || strconv.FormatInt(key, 10) != line.ID {
			return nil, fmt.Errorf("%s has the code %s", line.ID, line.Body.Code)
		}
		n, err := number(line.Body.N)
		if err != nil {
			return nil, fmt.Errorf("%s has the counter %s", line.ID, line.Body.N)
		}
		all[int(key)] = append(all[int(key)], sent{n, line.Body.Is == "gone"})
	}
	return all, lines.Err()
}

// number reads a number that may be written as a text.
func number(raw json.RawMessage) (int64, error) {
	text := string(raw)
	if u, err := strconv.Unquote(text); err == nil {
		text = u
	}
	return strconv.ParseInt(text, 10, 64)
}

// verdict is what the comparison of one key found.
type verdict struct {
	fault    string
	found    int // steps that were delivered
	repeated int // the same step again, one after the other: an upsert of unknown outcome that was sent again
	skipped  int // steps in gaps that nobody saw
}

// judge follows what the ERP got along the committed steps. From the first one on, only steps of a gap may be missing.
func judge(committed []step, got []sent, inGap func(step) bool) (v verdict) {
	at := -1
	for i, s := range got {
		next := find(committed, at+1, func(c step) bool { return c.gone == s.gone && c.n == s.n })
		if next == len(committed) && s.gone && at >= 0 {
			// A compared reading finds a row gone without having seen its last version.
			next = find(committed, at+1, func(c step) bool { return c.gone })
			if !allIn(committed[at+1:min(next+1, len(committed))], inGap) {
				next = len(committed)
			}
		}
		if next == len(committed) {
			if at >= 0 && i > 0 && got[i-1] == s {
				v.repeated++
				continue
			}
			if s.gone && at < 0 {
				continue // the end of a row that was never seen
			}
			v.fault = fmt.Sprintf("delivery %d is %s, which is no step after %s", i+1, s, last(committed, at))
			return v
		}
		if at >= 0 {
			for _, c := range committed[at+1 : next] {
				if !inGap(c) {
					v.fault = fmt.Sprintf("%s of %s is missing: delivery %d is %s after %s", sent{c.n, c.gone}, c.to.Format("15:04:05.000"), i+1, s, last(committed, at))
					return v
				}
				v.skipped++
			}
		}
		at = next
		v.found++
	}
	if at != len(committed)-1 {
		v.fault = fmt.Sprintf("the last delivery is %s, the last step %s", last(committed, at), last(committed, len(committed)-1))
	}
	return v
}

// find returns the first step from a place on of which is holds, or their number.
func find(committed []step, from int, is func(step) bool) int {
	for from < len(committed) && !is(committed[from]) {
		from++
	}
	return from
}

func allIn(steps []step, inGap func(step) bool) bool {
	for _, s := range steps {
		if !inGap(s) {
			return false
		}
	}
	return true
}

func (s sent) String() string {
	if s.gone {
		return fmt.Sprintf("the end after %d", s.n)
	}
	return strconv.FormatInt(s.n, 10)
}

func last(committed []step, at int) string {
	if at < 0 {
		return "nothing"
	}
	return sent{committed[at].n, committed[at].gone}.String()
}

// inGap reports whether a step may have been committed while nobody listened.
func (w *walk) inGap(s step) bool {
	for _, g := range w.gaps {
		if !s.to.Before(g.from) && (g.to.IsZero() || !s.from.After(g.to)) {
			return true
		}
	}
	return false
}

// compare holds what the ERP got against what the writers committed, and that against the table.
func (w *walk) compare() {
	w.t.Helper()
	got, err := readSent(w.erp.File)
	if err != nil {
		w.t.Fatal(err)
	}
	table := w.table()
	steps, seen, faults, rolled := 0, 0, 0, 0
	var sum verdict
	for _, r := range w.writers {
		rolled += r.rolled
		for _, key := range r.keys {
			committed := r.steps[key]
			steps, seen = steps+len(committed), seen+len(got[key])
			v := judge(committed, got[key], w.inGap)
			sum.repeated, sum.skipped, sum.found = sum.repeated+v.repeated, sum.skipped+v.skipped, sum.found+v.found
			if v.fault == "" && committed[len(committed)-1].n != table[key] {
				v.fault = fmt.Sprintf("the table has %d", table[key])
			}
			if v.fault == "" {
				continue
			}
			if faults++; faults <= 10 {
				w.t.Errorf("key %d: %s\ncommitted %s\ndelivered %s", key, v.fault, tail(committed), tail(got[key]))
			}
		}
	}
	length := time.Duration(0)
	for _, g := range w.gaps {
		length += g.to.Sub(g.from)
	}
	share := float64(sum.found) / float64(steps)
	w.t.Logf("%s: %d kills, %d resets (gaps of %s); %d steps committed, %d rolled back, %d delivered, %d repeated, %d found (%.0f %%), %d lost in gaps, %d keys wrong; %s",
		w.kind, w.kills, w.resets, length.Round(time.Millisecond), steps, rolled, seen, sum.repeated, sum.found, 100*share, sum.skipped, faults, time.Since(w.began).Round(time.Second))
	if share < walkProof {
		w.t.Errorf("%.0f %% of the steps were found one by one, which proves too little: at least %.0f %% are needed", 100*share, 100*walkProof)
	}
}

func tail[T any](list []T) string {
	text := fmt.Sprint(list)
	return text[max(0, len(text)-600):]
}

// String leaves out the date.
func (s step) String() string { return sent{s.n, s.gone}.String() + "@" + s.to.Format("05.000") }

// table is the counter of each key, as the database has it.
func (w *walk) table() map[int]int64 {
	w.t.Helper()
	rows, err := w.db.Query("SELECT k, n FROM walk WHERE k < 100000")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	all := map[int]int64{}
	for rows.Next() {
		var k int
		var n int64
		if err := rows.Scan(&k, &n); err != nil {
			w.t.Fatal(err)
		}
		all[k] = n
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}
