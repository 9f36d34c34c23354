package checkpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// tailFile returns the journal's last segment file.
func tailFile(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "journal", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segment files: %v", err)
	}
	return names[len(names)-1]
}

// A process that dies between sealing a segment file and noting so in the metadata leaves a sealed tail: the store must
// open and go on.
func TestSealedTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	meta, err := os.ReadFile(filepath.Join(dir, "journal", "wal-meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	appendN(t, s, 1, 900<<10)
	appendN(t, s, 1, 900<<10) // seals the first file
	appendN(t, s, 1, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(tailFile(t, dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "journal", "wal-meta.db"), meta, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, dir)
		if s.Last() < 2 {
			t.Fatalf("journal ends at %d, want 2", s.Last())
		}
		appendN(t, s, 3, 500<<10)
		for i := s.First(); i <= s.Last(); i++ {
			if _, err := s.Read(i); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a torn write left behind the last good commit is cut off and kept beside.
func TestTornTail(t *testing.T) {
	for _, cut := range []int64{1, 9, 1000} {
		dir := t.TempDir()
		s := open(t, dir)
		appendN(t, s, 5, 3000)
		end := s.Stats().JournalBytes
		appendN(t, s, 1, 3000)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		path := tailFile(t, dir)
		overwrite(t, path, end+3000-cut, make([]byte, 4096))
		markCrashed(t, dir, bootID())
		s = open(t, dir)
		if s.Last() != 5 {
			t.Fatalf("cut %d: journal ends at %d, want 5", cut, s.Last())
		}
		if _, err := os.Stat(path + ".torn"); err != nil {
			t.Errorf("cut %d: the torn write was not kept: %v", cut, err)
		}
		appendN(t, s, 1, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s = open(t, dir); s.Last() != 6 {
			t.Errorf("cut %d: journal ends at %d, want 6", cut, s.Last())
		}
	}
}

// What a torn write left may look like frames; raft-wal alone would take the first of these for an entry.
func TestTornFrames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 5, 3000)
	end := s.Stats().JournalBytes
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entry := []byte{frameEntry, 0, 0, 0, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}
	commit := []byte{frameCommit, 0, 0, 0, 1, 2, 3, 4}
	overwrite(t, tailFile(t, dir), end, slices.Concat(entry, commit, entry))
	markCrashed(t, dir, bootID())
	for _, want := range []uint64{5, 6} {
		if s = open(t, dir); s.Last() != want {
			t.Fatalf("journal ends at %d, want %d", s.Last(), want)
		}
		appendN(t, s, 1, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func overwrite(t *testing.T, path string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Damage among synced entries is refused, not cut off; damage in a sealed file is found by Read.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 40, 50<<10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "journal", "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, names[0], 60<<10, []byte("rot"))
	s = open(t, dir)
	if _, err := s.Read(2); !errors.Is(err, ErrCorrupt) {
		t.Errorf("reading a damaged entry: %v, want ErrCorrupt", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Bytes that do not fit are a torn write only at the end, and only if the store was not closed in order.
func TestDamagedTail(t *testing.T) {
	for name, c := range map[string]struct {
		entries int
		crashed bool
		refused bool
	}{
		"last write, killed":        {1, true, false},
		"last write, closed":        {1, false, true},
		"write before last, killed": {2, true, true},
		"write before last, closed": {2, false, true},
		"several behind it, killed": {5, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			appendN(t, s, c.entries, 50<<10)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			overwrite(t, tailFile(t, dir), 10<<10, []byte("rot"))
			if c.crashed {
				markCrashed(t, dir, bootID())
			}
			s, err := Open(dir, Options{Segment: 1 << 20})
			if c.refused != errors.Is(err, ErrCorrupt) || !c.refused && err != nil {
				t.Errorf("got %v, want a refusal: %v", err, c.refused)
			}
			if err == nil {
				err = s.Close()
				if s.Last() != 0 || err != nil {
					t.Errorf("journal ends at %d: %v", s.Last(), err)
				}
			}
		})
	}
}

// markCrashed leaves the lock file as a process that was killed would.
func markCrashed(t *testing.T, dir, boot string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("1 "+boot+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fill appends n counted entries and applies them one by one.
func fill(t *testing.T, s *Store, n, size int) {
	t.Helper()
	appendN(t, s, n, size)
	for s.Applied().Index < s.Last() {
		if err := s.Update(Applied{Index: s.Applied().Index + 1}, addOne); err != nil {
			t.Fatal(err)
		}
	}
}

// A state that is gone, or that lost updates when the machine crashed, is made again from the newest snapshot, or from
// nothing while the journal is whole.
func TestStateMadeAgain(t *testing.T) {
	lose := map[string]func(t *testing.T, dir string){
		"removed": func(t *testing.T, dir string) {
			if err := os.RemoveAll(stateDir(dir)); err != nil {
				t.Fatal(err)
			}
		},
		"manifest damaged": func(t *testing.T, dir string) {
			overwrite(t, filepath.Join(stateDir(dir), "MANIFEST"), 0, []byte("garbage garbage"))
		},
		"update lost in a crash of the machine": func(t *testing.T, dir string) {
			markCrashed(t, dir, "another-boot")
			dropRing(t, dir, 37)
		},
	}
	for name, damage := range lose {
		for _, snapshots := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir)
				fill(t, s, 30, 10)
				want := uint64(0)
				if snapshots {
					if _, err := s.Trim(1); err != nil {
						t.Fatal(err)
					}
					want = 30
				}
				fill(t, s, 20, 10)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				damage(t, dir)
				s = open(t, dir)
				if name == "removed" {
					want = 0 // a state that is not there is an empty one, and the journal is whole
				}
				if got := s.Applied().Index; got != want {
					t.Fatalf("state begins at %d, want %d", got, want)
				}
				fill(t, s, 0, 0)
				consistent(t, s)
			})
		}
	}
}

func dropRing(t *testing.T, dir string, number uint64) {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(stateDir(dir)).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(txn *badger.Txn) error { return txn.Delete([]byte(ringKey(number))) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A journal that ends before the state lost synced entries: nobody may guess.
func TestJournalLostItsTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 10, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(journalDir(dir)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{Segment: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "synced entries are gone") {
		t.Errorf("got %v", err)
	}
	if err == nil {
		t.Error(s.Close())
	}
}

// Trim goes only as far as entries are applied, wanted by nobody, and covered by a snapshot.
func TestTrim(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, func(o *Options) { o.MaxBytes = 8 << 20 })
	fill(t, s, 70, 100<<10)
	if err := os.WriteFile(snapshotsDir(dir), nil, 0o600); err != nil { // in the way of the day's snapshot
		t.Fatal(err)
	}
	if n, err := s.Trim(25); n != 0 || err == nil {
		t.Fatalf("without a snapshot: removed %d, %v", n, err)
	}
	if err := os.Remove(snapshotsDir(dir)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Trim(0); n != 0 || err != nil {
		t.Fatalf("with everything wanted: removed %d, %v", n, err)
	}
	if n, err := s.Trim(25); n == 0 || s.First() > 25 || err != nil {
		t.Fatalf("removed %d, journal begins at %d: %v", n, s.First(), err)
	}
	first := s.First()
	if _, err := s.Read(first - 1); !errors.Is(err, ErrTrimmed) {
		t.Errorf("below First: %v, want ErrTrimmed", err)
	}
	for {
		if _, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: make([]byte, 200<<10)}); err != nil {
			if !errors.Is(err, ErrJournalFull) || !Refused(err) {
				t.Fatal(err)
			}
			break
		}
	}
	if _, err := s.Append(context.Background(), Entry{Kind: Outcome, Payload: []byte("done")}); err != nil {
		t.Errorf("an outcome in a full journal: %v", err)
	}
	if !s.Stats().Full {
		t.Error("Stats does not say that the journal is full")
	}
	fill(t, s, 0, 0)
	if n, err := s.Trim(s.Last()); n == 0 || err != nil {
		t.Fatalf("removed %d: %v", n, err)
	}
	appendN(t, s, 1, 200<<10)
	fill(t, s, 0, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(stateDir(dir)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if s.First() == 1 || s.Applied().Index+1 < s.First() {
		t.Fatalf("journal begins at %d, state ends at %d", s.First(), s.Applied().Index)
	}
	fill(t, s, 0, 0)
	consistent(t, s)
}

// The last entry stays, even where a file ends with it: the journal would forget its index.
func TestTrimKeepsLast(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, func(o *Options) { o.MaxBytes = 2 << 20 })
	fill(t, s, 2, 900<<10) // the second seals the first file
	eventually(t, "the next file", func() bool {
		spans, err := s.journal.set.spans()
		return err == nil && len(spans) == 2
	})
	if _, err := s.Trim(3); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = open(t, dir); s.Last() != 2 {
		t.Errorf("journal ends at %d, want 2", s.Last())
	}
}

// One snapshot a day is kept, as long as the journal goes back to it.
func TestDailySnapshots(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, 3, 10)
	day := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, after := range []time.Duration{0, time.Hour, 24 * time.Hour, 25 * time.Hour, 72 * time.Hour} {
		if _, err := s.writeSnapshot(snapshotsDir(s.dir), "state", day.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Trim(1); err != nil {
		t.Fatal(err)
	}
	list, err := listSnapshots(snapshotsDir(s.dir), "state")
	if err != nil {
		t.Fatal(err)
	}
	var days []string
	for _, snap := range list[1:] { // the first is today's
		days = append(days, snap.taken.Format("02T15"))
	}
	if want := []string{"04T09", "02T10", "01T10"}; !slices.Equal(days, want) {
		t.Errorf("kept %v, want today's and %v", days, want)
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, 10, 10)
	path, err := s.Backup("")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 10, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(dir, path, Options{Segment: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if s.Applied().Index != 10 || s.Last() != 20 {
		t.Errorf("restored at %d of %d, want 10 of 20", s.Applied().Index, s.Last())
	}
	consistent(t, s)
	for range 12 {
		if path, err = s.Backup("reset"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Backups()
	if len(list) != 1+keptBackups || list[0] != path || err != nil {
		t.Errorf("backups are %v: %v", list, err)
	}
}
