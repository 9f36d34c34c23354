package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"waybill/cdc"
)

var _ cdc.Viewer = textCodec{}

// view is a snapshot as pg_current_snapshot shows it: every transaction before xmin has ended, none from xmax on had begun,
// and of those between, the running ones had not ended. The numbers are 64 bits wide and never come again; subtransactions
// are not listed, they are seen with the transaction that they belong to. See
// https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
type view struct {
	xmin, xmax uint64
	running    string // numbers with commas, in ascending order
}

// viewText is the text that a Chunk carries.
func viewText(snapshot string) string { return CodecName + " " + snapshot }

func parseView(text string) (view, error) {
	snapshot, ours := strings.CutPrefix(text, CodecName+" ")
	xmin, rest, _ := strings.Cut(snapshot, ":")
	xmax, running, whole := strings.Cut(rest, ":")
	v := view{running: running}
	var bad error
	if v.xmin, bad = strconv.ParseUint(xmin, 10, 64); bad == nil {
		v.xmax, bad = strconv.ParseUint(xmax, 10, 64)
	}
	if !ours || !whole || bad != nil || v.xmax < v.xmin {
		return view{}, fmt.Errorf("reading view %q: want %q and a snapshot of the form 10:20:10,14", text, CodecName+" ")
	}
	return v, nil
}

// Sees implements cdc.Viewer, exactly: a committed transaction is seen by the snapshot's rules, whatever the order of the
// log says. (A commit is in the log before it is seen: with synchronous replication, long before.)
//
// The stream sends the lower 32 bits of the transaction's number. The transaction must be one of the 2^31 before or behind
// the view, as all are that the two can meet in: the server itself does not let its oldest be further away.
func (textCodec) Sees(text string, tx cdc.Tx) (bool, error) {
	v, err := parseView(text)
	if err != nil {
		return false, err
	}
	xid, err := strconv.ParseUint(tx.XID, 10, 32)
	if err != nil || xid < firstXID {
		return false, fmt.Errorf("transaction %q at %s has no transaction number of PostgreSQL", tx.XID, tx.Commit)
	}
	return v.sees(v.widen(uint32(xid)))
}

// firstXID is the first number of an ordinary transaction; those below have meanings of their own.
const firstXID = 3

// widen gives the lower half of a number its upper half: that which brings it nearest to the view.
func (v view) widen(xid uint32) uint64 {
	wide := int64(v.xmax) + int64(int32(xid-uint32(v.xmax)))
	if wide < 0 { // before the first transaction of all, so it is meant to lie far behind
		wide += 1 << 32
	}
	return uint64(wide)
}

func (v view) sees(xid uint64) (bool, error) {
	if xid < v.xmin {
		return true, nil
	}
	if xid >= v.xmax {
		return false, nil
	}
	for rest := v.running; rest != ""; {
		var text string
		text, rest, _ = strings.Cut(rest, ",")
		running, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return false, fmt.Errorf("reading view: running transaction %q is not a number", text)
		}
		if running == xid {
			return false, nil
		}
	}
	return true, nil
}
