package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lock is the store's lock file: held by flock, so a dead process holds nothing. It names the holder and the boot it runs
// in, and is empty after a clean close: a boot that differs tells a crash of the machine from one of the process. The file
// is made once and never replaced, so its inode also tells the store from a copy.
type lock struct {
	f       *os.File
	crashed bool   // the last holder did not close the store
	boot    string // the boot it ran in
}

func takeLock(dir string) (*lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, heldBy(dir, f)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	l := &lock{f: f}
	var pid int
	if raw, err := io.ReadAll(io.LimitReader(f, 256)); err != nil {
		return nil, errors.Join(err, f.Close())
	} else if n, _ := fmt.Sscanf(string(raw), "%d %s", &pid, &l.boot); n > 0 {
		l.crashed = true
	}
	return l, nil
}

// mark writes who holds the lock, on the disk. The boot of a crash stays until the state is known to be whole: recovered.
func (l *lock) mark(recovered bool) error {
	boot := bootID()
	if l.crashed && !recovered {
		boot = l.boot
	}
	line := fmt.Sprintf("%d %s\n", os.Getpid(), boot)
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	if _, err := l.f.WriteAt([]byte(line), 0); err != nil {
		return err
	}
	return l.f.Sync()
}

// release gives the lock back; clean says that the store was closed in order.
func (l *lock) release(clean bool) error {
	var err error
	if clean {
		if err = l.f.Truncate(0); err == nil {
			err = l.f.Sync()
		}
	}
	return errors.Join(err, l.f.Close())
}

// machineCrashed reports whether pages that were written but not synced may be lost.
func (l *lock) machineCrashed() bool { return l.crashed && (l.boot == "" || l.boot != bootID()) }

func heldBy(dir string, f *os.File) error {
	e := &LockedError{Dir: dir}
	raw, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return e
	}
	if _, err := fmt.Sscanf(string(raw), "%d", &e.PID); err != nil {
		return e
	}
	if cmd, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", e.PID)); err == nil {
		e.Command = strings.TrimSpace(strings.ReplaceAll(string(cmd[:min(len(cmd), 200)]), "\x00", " "))
	}
	return e
}

func bootID() string { return firstLine("/proc/sys/kernel/random/boot_id") }

func firstLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimSpace(line)
}
