package checkpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mounting a small disk (the test needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func hog(t *testing.T, dir string, leave int64) (path string) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "hog")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-leave); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually tries again until the sample of the free space is old.
func eventually(t *testing.T, what string, try func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !try(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// Below the floor rows wait while outcomes are still recorded; at an eighth nothing is written; with space again all is.
func TestFloor(t *testing.T) {
	mount := smallDisk(t, "192m")
	s := open(t, filepath.Join(mount, "store"), func(o *Options) { o.Floor = 64 << 20 })
	add := func(k Kind) error {
		_, err := s.Append(context.Background(), Entry{Kind: k, Payload: make([]byte, 100)})
		return err
	}
	refused := func(k Kind) bool {
		var floor *FloorError
		err := add(k)
		if err != nil && (!errors.As(err, &floor) || floor.Free >= floor.Floor) {
			t.Fatalf("kind %c: %v", k, err)
		}
		return err != nil
	}
	update := func() error {
		return s.Update(Applied{Index: 1}, func(txn *Txn) error { return txn.Put("b", "k", nil) })
	}
	if err := errors.Join(add(Rows), update()); err != nil {
		t.Fatal(err)
	}
	var full *FloorError
	for _, step := range []struct {
		leave                          int64
		rows, intent, update, outcomes bool
	}{
		{100 << 20, true, true, true, true},
		{50 << 20, false, true, true, true},
		{20 << 20, false, false, true, true},
		{12 << 20, false, false, false, true},
		{4 << 20, false, false, false, false},
		{100 << 20, true, true, true, true},
	} {
		path := hog(t, mount, step.leave)
		time.Sleep(sampleEvery + 10*time.Millisecond)
		if got := !refused(Rows); got != step.rows {
			t.Errorf("%d MiB left: rows accepted: %v", step.leave>>20, got)
		}
		if got := !refused(Intent); got != step.intent {
			t.Errorf("%d MiB left: intents accepted: %v", step.leave>>20, got)
		}
		if err := update(); (err == nil) != step.update || err != nil && !errors.As(err, &full) {
			t.Errorf("%d MiB left: update: %v", step.leave>>20, err)
		}
		if got := !refused(Outcome); got != step.outcomes {
			t.Errorf("%d MiB left: outcomes accepted: %v", step.leave>>20, got)
		}
		if !s.Stats().NearFloor {
			t.Errorf("%d MiB left: Stats says that the floor is far", step.leave>>20)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// When the disk itself refuses, in the middle of a write or of making the next file, the append is refused, nothing of it
// is in the journal, and the store goes on when there is space.
func TestNoSpace(t *testing.T) {
	mount := smallDisk(t, "96m")
	dir := filepath.Join(mount, "store")
	s := open(t, dir, func(o *Options) { o.Floor = 8 }) // the floor is no help
	add := func(size int) error {
		_, err := s.Append(context.Background(), Entry{Kind: Rows, Payload: make([]byte, size)})
		return err
	}
	for _, size := range []int{300 << 10, 3 << 20} { // in the file's allocation, and far beyond it
		if err := add(size); err != nil {
			t.Fatal(err)
		}
		path := hog(t, mount, 2<<20)
		acked, refused := s.Last(), false
		for range 20 {
			err := add(size)
			var floor *FloorError
			if err != nil {
				if !errors.As(err, &floor) {
					t.Fatalf("%d bytes: %v, want a FloorError", size, err)
				}
				refused = true
				break
			}
			acked = s.Last()
		}
		if !refused {
			t.Fatalf("%d bytes: the disk never filled", size)
		}
		if err := add(10); err == nil { // while it is full the store stays readable
			acked = s.Last()
		}
		if _, err := s.Read(acked); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		eventually(t, "an append after the disk has space again", func() bool { return add(size) == nil })
		if s.Last() != acked+1 {
			t.Fatalf("%d bytes: journal ends at %d, want %d", size, s.Last(), acked+1)
		}
	}
	last := s.Last()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s = open(t, dir, func(o *Options) { o.Floor = 8 }); s.Last() != last {
		t.Errorf("journal ends at %d, want %d", s.Last(), last)
	}
	for i := uint64(1); i <= last; i++ {
		if _, err := s.Read(i); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
