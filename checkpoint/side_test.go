package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// side opens a side state and closes it with the test.
func side(t *testing.T, s *Store, from Base) *Side {
	t.Helper()
	d, err := s.Side(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func put(index uint64, bucket, key, value string) func(*Txn) (Applied, error) {
	return func(tx *Txn) (Applied, error) { return Applied{Index: index}, tx.Put(bucket, key, []byte(value)) }
}

func value(t *testing.T, view func(func(*Txn) error) error, bucket, key string) (v string) {
	t.Helper()
	if err := view(func(tx *Txn) (err error) {
		raw, err := tx.Get(bucket, key)
		v = string(raw)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

// A side state begins at a snapshot or from nothing, reads the store's journal as far as it is let, and writes nowhere but
// into itself; its folder goes with it, and that of a killed process at the next start.
func TestSide(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 5, 100)
	if err := s.Project(put(3, "case", "A1", "old")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(""); err != nil {
		t.Fatal(err)
	}
	if err := s.Project(put(5, "case", "A1", "new")); err != nil {
		t.Fatal(err)
	}
	bases, err := s.Bases()
	if err != nil || len(bases) != 2 || bases[0].Path != "" || bases[1].Applied != 3 || time.Since(bases[1].Taken) > time.Minute {
		t.Fatalf("%+v %v", bases, err)
	}
	empty, later := side(t, s, bases[0]), side(t, s, bases[1])
	if empty.Applied().Index != 0 || value(t, empty.View, "case", "A1") != "" || later.Applied().Index != 3 || value(t, later.View, "case", "A1") != "old" {
		t.Errorf("%+v %+v", empty.Applied(), later.Applied())
	}
	later.Until(4)
	if later.Last() != 4 || later.Project(put(5, "case", "A1", "x")) == nil {
		t.Error("it goes beyond what it may see")
	}
	later.Extend(Entry{Kind: Note, Payload: []byte("only here")})
	e, err := later.Read(5)
	if err != nil || later.Last() != 5 || string(e.Payload) != "only here" || e.Index != 5 {
		t.Errorf("%+v %v", e, err)
	}
	if e, err = s.Read(5); err != nil || e.Kind != Rows {
		t.Errorf("the journal holds %+v, %v", e, err)
	}
	if err := later.Project(put(5, "case", "A1", "aside")); err != nil || value(t, s.View, "case", "A1") != "new" {
		t.Errorf("the live state holds %q, %v", value(t, s.View, "case", "A1"), err)
	}
	left := filepath.Join(dir, "side-killed")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(later.Close(), empty.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if all, err := filepath.Glob(filepath.Join(dir, "side-*")); err != nil || len(all) > 0 {
		t.Errorf("left are %v, %v", all, err)
	}
}

// Where a full disk would stop capture, a side state stops first.
func TestSideStopsAtTheFloor(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 1, 100)
	d := side(t, s, Base{})
	s.disk.floor = 1 << 62
	var full *FloorError
	if err := d.Project(put(1, "case", "A1", "x")); !errors.As(err, &full) {
		t.Errorf("%v", err)
	}
	if _, err := s.Side(Base{}); !errors.As(err, &full) {
		t.Errorf("%v", err)
	}
}

func TestCompare(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 3, 100)
	d := side(t, s, Base{})
	fill := func(project func(func(*Txn) (Applied, error)) error, all map[string]string) {
		t.Helper()
		err := project(func(tx *Txn) (Applied, error) {
			for k, v := range all {
				if err := tx.Put(k[:2], k[2:], []byte(v)); err != nil {
					return Applied{}, err
				}
			}
			return Applied{Index: 2}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	fill(s.Project, map[string]string{"aa1": "x", "aa2": "y", "bb1": "left", "cc1": "", "dd9": "z"})
	fill(d.Project, map[string]string{"aa1": "x", "aa3": "y", "bb1": "right", "cc1": "", "cc2": "", "dd9": "z"})
	var got []string
	var keys map[string]int
	err := s.View(func(a *Txn) error {
		if at, err := a.Place(); at.Index != 2 || err != nil {
			t.Errorf("place %+v %v", at, err)
		}
		return d.View(func(b *Txn) (err error) {
			keys, err = Compare(context.Background(), a, b, func(bucket string) bool { return bucket != "bb" }, func(x Difference) bool {
				got = append(got, fmt.Sprintf("%s/%s %v %v", x.Bucket, x.Key, x.A, x.B))
				return true
			})
			return err
		})
	})
	want := "[aa/2 [121] [] aa/3 [] [121] cc/2 [] []]"
	if err != nil || fmt.Sprint(got) != want || fmt.Sprint(keys) != "map[aa:3 cc:2 dd:1]" {
		t.Errorf("%v keys, %v, %v", keys, got, err)
	}
}
