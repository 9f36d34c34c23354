package transform

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"waybill/cdc"
)

// cause is the change that an event derives from. It is kept with whatever waits, so that an event made later has the id that
// it would have had at once (Invariant 6).
type cause struct {
	Source   string    `json:"source"`
	Identity string    `json:"identity"`
	Commit   string    `json:"commit"`
	Table    string    `json:"table"`
	Ordinal  string    `json:"ordinal"` // place in the transaction; for a document of a snapshot its row's key
	At       time.Time `json:"at"`      // commit time
	Index    uint64    `json:"index"`
	Observed time.Time `json:"observed"`
	Adopt    bool      `json:"adopt,omitempty"` // seen by a first snapshot: the target may hold it already
}

func causeOf(ch *cdc.Change, at Entry) cause {
	return cause{Source: ch.Source, Identity: ch.Identity, Commit: ch.Tx.Commit, Table: ch.Schema.Table.String(),
		Ordinal: strconv.Itoa(ch.Ordinal), At: ch.Tx.CommitAt, Index: at.Index, Observed: at.Observed}
}

// event is the id of the event that the rule makes of the cause.
func (c *cause) event(rule string) string {
	return hash(c.Identity, c.Commit, c.Table, c.Ordinal, rule)
}

// hash is 32 hex digits that depend on every part and on where one ends.
func hash(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
