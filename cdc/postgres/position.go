package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

// place is a Position taken apart: a log sequence number in the history of one server. A base backup restored beside its
// original has the same system identifier but, once promoted, another timeline.
type place struct {
	system   string
	timeline int32
	lsn      pglogrepl.LSN
}

// identity names the history that the LSN belongs to. It is Batch.Identity, and part of every event id.
func (p place) identity() string { return fmt.Sprintf("pg/%s/%d", p.system, p.timeline) }

func (p place) position() cdc.Position {
	return cdc.Position(p.identity() + "/" + p.lsn.String())
}

func parsePosition(pos cdc.Position) (place, error) {
	parts := strings.SplitN(string(pos), "/", 4)
	if len(parts) != 4 || parts[0] != "pg" || parts[1] == "" {
		return place{}, fmt.Errorf("reading position %q: want pg/<system identifier>/<timeline>/<LSN>", pos)
	}
	timeline, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil || timeline < 1 {
		return place{}, fmt.Errorf("reading position %q: timeline %q is not a positive number", pos, parts[2])
	}
	lsn, err := pglogrepl.ParseLSN(parts[3])
	if err != nil {
		return place{}, fmt.Errorf("reading position %q: LSN %q is not of the form 16/B374D848", pos, parts[3])
	}
	return place{parts[1], int32(timeline), lsn}, nil
}
