package postgres

import (
	"strings"
	"testing"

	"waybill/cdc"
)

// TestSees goes through the snapshot's rules and through the wrap-around of 32-bit numbers.
func TestSees(t *testing.T) {
	for _, c := range []struct {
		snapshot string
		xid      string
		want     bool
	}{
		{"10:20:10,14", "9", true},
		{"10:20:10,14", "10", false},
		{"10:20:10,14", "11", true},
		{"10:20:10,14", "14", false},
		{"10:20:10,14", "19", true},
		{"10:20:10,14", "20", false},
		{"10:20:10,14", "21", false},
		{"10:20:110,114", "14", true}, // a number that only ends like it
		{"20:20:", "19", true},
		{"20:20:", "20", false},
		{"3:3:", "4294967295", false}, // before the first transaction there is none: it lies far ahead
		// The second round has just begun: number 3 of it is new, the last of the first round are old.
		{"4294967290:4294967300:4294967290,4294967299", "4294967289", true},
		{"4294967290:4294967300:4294967290,4294967299", "4294967290", false},
		{"4294967290:4294967300:4294967290,4294967299", "4294967295", true},
		{"4294967290:4294967300:4294967290,4294967299", "3", false},
		{"4294967290:4294967300:4294967290,4294967298", "3", true},
		{"4294967290:4294967300:4294967290,4294967299", "4", false},
		// The first round is about to end: number 5 is one of the next.
		{"4294967280:4294967290:4294967280", "5", false},
		{"4294967280:4294967290:4294967280", "4294967281", true},
		// Many rounds later, and at the edge of what may be compared.
		{"30064771082:30064771092:30064771082", "1034", false},
		{"30064771082:30064771092:30064771082", "10", false},
		{"30064771082:30064771092:30064771082", "19", true},
		{"30064771082:30064771092:30064771082", "20", false},
		{"2147483748:2147483748:", "101", true},
		{"2147483748:2147483748:", "4294967295", false},
	} {
		tx := cdc.Tx{Commit: "0/10", XID: c.xid}
		got, err := textCodec{}.Sees("pgtext/1 "+c.snapshot, tx)
		if err != nil || got != c.want {
			t.Errorf("%s sees %s: %t, %v; want %t", c.snapshot, c.xid, got, err, c.want)
		}
	}
	for view, xid := range map[string]string{
		"pgtext/1 10:20:": "", "pgtext/1 10:20:1": "2", "pgtext/1 10:20:11": "-1", "pgtext/1 10:20:12": "4294967296", "10:20:": "5", "pgtext/2 10:20:": "5",
		"pgtext/1 10:20": "5", "pgtext/1 20:10:": "5", "pgtext/1 a:20:": "5", "pgtext/1 10:20:x": "15", "": "5",
	} {
		if sees, err := (textCodec{}).Sees(view, cdc.Tx{Commit: "0/10", XID: xid}); err == nil || sees {
			t.Errorf("view %q, transaction %q: no error", view, xid)
		} else if !strings.Contains(err.Error(), "view") && !strings.Contains(err.Error(), "transaction") {
			t.Errorf("view %q, transaction %q: %v", view, xid, err)
		}
	}
}
