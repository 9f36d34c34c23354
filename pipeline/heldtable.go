package pipeline

import (
	"encoding/json"
	"fmt"
	"strings"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// A table is held from the first change on that is not understood, and its later changes are kept behind that one. There are two
// ways out. A change that a mapping can understand is mapped when one is activated, or the table is changed back (workHold). A
// change that the source itself cannot tell (cdc.Schema.Fault) is given up when the table is read again whole: the first chunk's rows
// were read after it, so what it did shows in the comparison, once (workLetGo).

// codeUncertain is the code of the exception of a table that must be read again.
const codeUncertain = "CHANGES_UNCERTAIN"

// holdTable holds a table, and tells people how to go on.
func (s *state) holdTable(table string, ch *cdc.Change, h *transform.HoldTable, at transform.Entry) error {
	name := ch.Schema.Table.String()
	p := transform.Problem{Fingerprint: "MAPPING/SCHEMA_CHANGED/" + ch.Source + "/" + name, Class: "MAPPING", Code: "SCHEMA_CHANGED",
		Title: fmt.Sprintf("Table %s of %s changed its shape: %s. Its changes are kept and wait; other tables go on.", name, ch.Source, h.Reason),
		Hint:  "Change the table back, or activate a mapping that fits it; then retry this exception.",
		Owner: "integration", Subject: ch.Source + "/" + name}
	if h.Uncertain {
		p.Fingerprint, p.Class, p.Code = "SOURCE/CHANGES_UNCERTAIN/"+ch.Source+"/"+name, "SOURCE", codeUncertain
		p.Title = fmt.Sprintf("What changed in table %s of %s is not certain: %s. Its changes are kept and wait; other tables go on.", name, ch.Source, h.Reason)
		p.Hint = fmt.Sprintf("Remove the cause, then read the table again: waybill snapshot %s %s. Rows that differ from what is known go through the "+
			"rules once, then the table goes on and this exception closes by itself.", ch.Source, name)
	}
	if _, err := s.openException(originTable, p, "", at.Observed); err != nil {
		return err
	}
	return s.Put(bucketHeld, table, []byte(p.Fingerprint))
}

// letGoWork is the detail of a workLetGo.
type letGoWork struct {
	Table string `json:"table"`          // by its key in the mapping
	View  string `json:"view"`           // of the first chunk
	Drop  bool   `json:"drop,omitempty"` // all that is left is given up
}

// mayJoin lets a chunk in unless its table is held. The first chunk of a whole reading lets the table go first; any other is
// refused, because chunks that are in may be older than what holds the table. units is 0 when the chunk goes on.
func (p *projector) mayJoin(s *state, b *cdc.Batch, table string, r *reading, e checkpoint.Entry) (units int, next checkpoint.Applied, err error) {
	k := key(b.Source, b.Chunk.Table.String())
	held, err := s.Get(bucketHeld, k)
	if err != nil || held == nil {
		return 0, next, err
	}
	if b.Chunk.Number > 1 || r.Where != "" {
		return 1, checkpoint.Applied{Index: e.Index}, p.failReading(s, table, r, fmt.Sprintf("the table is held, see its own exception; it must be "+
			"read whole, from its beginning: waybill snapshot %s %s", b.Source, b.Chunk.Table), e.At)
	}
	detail, err := json.Marshal(letGoWork{Table: table, View: b.Chunk.View})
	if err != nil {
		return 0, next, err
	}
	s.at = workAt{Index: e.Index, At: e.At}
	return 1, checkpoint.Applied{Index: e.Index - 1}, s.addWork(work{Kind: workLetGo, Key: k, Detail: detail})
}

// letGo walks over the held changes of a table, some at a time. What the source could not tell must be included in the chunk; the
// others are mapped in their order, as changes of the stream that came before the chunk. Then the rest is given up and the
// table is held no more. When that cannot be the reading fails, and the table stays held as it is.
func (p *projector) letGo(s *state, w *work, at transform.Entry) (done bool, err error) {
	var d letGoWork
	if err := json.Unmarshal(w.Detail, &d); err != nil {
		return false, err
	}
	r := p.readings[d.Table]
	if r == nil || !r.live() {
		return true, nil
	}
	if d.Drop {
		done, err = s.each(bucketHold, w.Key+sep, &w.Cursor, func(k string, _ []byte) (bool, error) { return true, s.Delete(bucketHold, k) })
		if err != nil || !done {
			return false, err
		}
		return true, s.unheld(w.Key, r.By, "the table was read again", at.Observed)
	}
	var scan *heldScan
	why := ""
	done, err = s.each(bucketHold, w.Key+sep, &w.Cursor, func(k string, raw []byte) (more bool, err error) {
		var h heldChange
		if err := json.Unmarshal(raw, &h); err != nil {
			return false, err
		}
		if scan, err = p.find(scan, h); err != nil {
			return false, err
		}
		why, err = p.pass(s, &d, r, k, h, scan.reader.Change(), at)
		return why == "", err
	})
	switch {
	case err != nil:
		return false, err
	case why != "":
		return true, p.failReading(s, d.Table, r, why, at.Observed)
	case done:
		d.Drop, w.Cursor = true, ""
		w.Detail, err = json.Marshal(d)
	}
	return false, err
}

// pass looks at one held change before the chunk's rows come in. why is not empty when the table cannot be let go.
func (p *projector) pass(s *state, d *letGoWork, r *reading, k string, h heldChange, ch *cdc.Change, at transform.Entry) (why string, err error) {
	again := fmt.Sprintf(". To read it again: waybill snapshot %s %s", r.Source, ch.Schema.Table)
	at.Included = h.Entry < r.Index // the source had returned it when the first chunk was asked for
	if ch.Schema.Fault == "" && !r.First {
		hold, err := p.mapHeld(s, ch, h, at)
		if err != nil {
			return "", err
		}
		if hold != nil {
			return "the table is held: " + hold.Reason + again, nil
		}
		return "", s.Delete(bucketHold, k)
	}
	if at.Included {
		return "", nil
	}
	sees, err := p.codecs.Sees(d.View, ch.Tx)
	switch {
	case err != nil:
		return "what its rows include cannot be told: " + err.Error() + again, nil
	case !sees:
		return "the table was held anew while it was read: " + ch.Schema.Fault + again, nil
	}
	return "", nil
}

// heldTable returns the name of a held table as its exceptions have it; "" when the table of the request is not held.
func (p *Pipeline) heldTable(q ReadRequest) (name string, err error) {
	want := p.o.Carriers.TableKey(q.Source, q.Table)
	err = p.store.View(func(tx *checkpoint.Txn) error {
		return newState(tx).Scan(bucketHeld, q.Source+sep, "", func(k string, _ []byte) (bool, error) {
			text := strings.TrimPrefix(k, q.Source+sep)
			schema, table, ok := strings.Cut(text, ".")
			if !ok {
				schema, table = "", text
			}
			if p.o.Carriers.TableKey(q.Source, cdc.Table{Schema: schema, Name: table}) == want {
				name = text
			}
			return name == "", nil
		})
	})
	return name, err
}
