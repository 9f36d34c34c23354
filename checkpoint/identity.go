package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// schemaVersion is the version of the store's layout: its files, the journal's records, Badger's keys.
const schemaVersion = 1

// identity is the file that says who a store is and where it belongs.
//
// A copy is told by the inode and the birth time of the lock file, which cp, tar and rsync cannot carry over, and by the
// machine's id, which a clone of the whole volume meets elsewhere. Moving the directory within its file system changes
// neither, and is no copy. The path is kept for the message alone, and device numbers are not kept: they change with
// reboots and mounts. Where the birth time or the machine's id is unknown (old kernels, containers), it is not compared.
type identity struct {
	ID          string    `json:"id"`
	Schema      int       `json:"schema"`
	Epoch       uint64    `json:"epoch"`
	Created     time.Time `json:"created"`
	VerifyFirst bool      `json:"verify_first"`
	Home        home      `json:"home"`
}

type home struct {
	Path    string `json:"path"`
	Host    string `json:"host"`
	Machine string `json:"machine,omitempty"` // hash of the machine's id
	Inode   uint64 `json:"inode"`             // of the lock file
	Born    int64  `json:"born,omitempty"`    // of the lock file, ns since 1970
}

func identityFile(dir string) string { return filepath.Join(dir, "identity.json") }

// loadIdentity reads or writes the identity of the store in dir, whose lock is held.
func loadIdentity(dir string, l *lock, adopt bool) (identity, error) {
	here, err := homeOf(dir, l)
	if err != nil {
		return identity{}, err
	}
	raw, err := os.ReadFile(identityFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		if err := refuseForeign(dir); err != nil {
			return identity{}, err
		}
		id := identity{ID: uuid.NewString(), Schema: schemaVersion, Epoch: 1, Created: time.Now().UTC().Truncate(time.Microsecond),
			VerifyFirst: true, Home: here}
		return id, id.save(dir)
	}
	if err != nil {
		return identity{}, err
	}
	var id identity
	if err := json.Unmarshal(raw, &id); err != nil {
		return identity{}, fmt.Errorf("reading %s: %w: it was written by waybill and should not be edited; restore it from a backup", identityFile(dir), err)
	}
	if id.Schema > schemaVersion || id.Schema < 1 {
		return identity{}, &VersionError{Dir: dir, Found: id.Schema, Supported: schemaVersion}
	}
	reason := id.Home.differs(here)
	switch {
	case adopt:
		id.Epoch++
		id.VerifyFirst = true
	case reason != "":
		return identity{}, &CopyError{Dir: dir, Origin: id.Home.Host + ":" + id.Home.Path, Reason: reason}
	case id.Home == here:
		return id, nil
	}
	id.Home = here
	return id, id.save(dir)
}

// differs says why the store at other is not the one that h describes; empty if it is.
func (h home) differs(other home) string {
	switch {
	case h.Machine != "" && other.Machine != "" && h.Machine != other.Machine:
		return "it belongs to another machine"
	case h.Inode != other.Inode, h.Born != 0 && other.Born != 0 && h.Born != other.Born:
		return "its files were created anew"
	}
	return ""
}

func homeOf(dir string, l *lock) (home, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return home{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return home{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(l.f.Fd()), &st); err != nil {
		return home{}, err
	}
	h := home{Path: path, Host: host, Machine: machineID(), Inode: st.Ino}
	var x unix.Statx_t
	if err := unix.Statx(int(l.f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &x); err == nil && x.Mask&unix.STATX_BTIME != 0 {
		h.Born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	return h, nil
}

// machineID returns a hash of the machine's id, which is not to be shown as it is (machine-id(5)).
func machineID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if id := firstLine(path); id != "" {
			sum := sha256.Sum256([]byte("waybill store " + id))
			return hex.EncodeToString(sum[:8])
		}
	}
	return ""
}

// refuseForeign keeps a new store out of a directory that holds something else.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != "lost+found" && e.Name() != "identity.json.tmp" {
			return fmt.Errorf("opening store %s: it holds %q but no identity.json: not a store; give an empty directory, "+
				"or put the file back if it was lost", dir, e.Name())
		}
	}
	return nil
}

func (id identity) save(dir string) error {
	raw, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(identityFile(dir), bytes.NewReader(append(raw, '\n')).WriteTo)
}
