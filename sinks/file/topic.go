package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// topic is the files of one topic. The file that grows is there from its first record on.
type topic struct {
	cfg  *Config
	name string
	head []byte // of each file

	list  *list    // of the file that grows; nil when none does
	data  *os.File // its records
	index *os.File // its list
}

func (t *topic) path(name string) string { return filepath.Join(t.cfg.Folder, name) }
func (t *topic) part() string            { return t.path("." + t.name + ".part") }
func (t *topic) listPath() string        { return t.path("." + t.name + ".list") }

// openTopic takes up what the last run left: a file that grew is cut to the records that count, and goes on.
func openTopic(cfg *Config, name string) (*topic, error) {
	head, err := cfg.head()
	if err != nil {
		return nil, err
	}
	t := &topic{cfg: cfg, name: name, head: head}
	if err := os.MkdirAll(cfg.Folder, 0o755); err != nil {
		return nil, err
	}
	l, err := readList(t.listPath())
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(t.part())
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !gone:
		return nil, err
	case l == nil: // what is there is of no record that counts
		return t, errors.Join(remove(t.part()), remove(t.listPath()))
	case gone && len(l.records) > 0: // it has its name; the kill came before the end of its list
		t.list = l
		return t, t.named()
	case gone:
		return t, remove(t.listPath())
	}
	for len(l.records) > 0 && l.records[len(l.records)-1].end > info.Size() {
		l.records = l.records[:len(l.records)-1]
	}
	if err := t.goOn(l); err != nil {
		return nil, errors.Join(err, t.abandon())
	}
	if len(l.records) > 0 && !t.fits() { // of another configuration: it is whole as it is
		return t, t.close()
	}
	return t, nil
}

// fits reports whether the file that grows has the form and the head that the configuration wants.
func (t *topic) fits() bool {
	head := make([]byte, len(t.head))
	if _, err := t.data.ReadAt(head, 0); err != nil && len(head) > 0 {
		return false
	}
	return t.list.form == t.cfg.Format && bytes.Equal(head, t.head)
}

// abandon closes the files of a topic of which nobody knows how they stand. It is opened again as after a kill.
func (t *topic) abandon() error {
	var errs []error
	for _, f := range []*os.File{t.data, t.index} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	t.data, t.index, t.list = nil, nil, nil
	return errors.Join(errs...)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// goOn opens the files of a list, cut to what counts.
func (t *topic) goOn(l *list) (err error) {
	if t.data, err = os.OpenFile(t.part(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if t.index, err = os.OpenFile(t.listPath(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	t.list = l
	return t.cut()
}

// cut brings both files to what the list says.
func (t *topic) cut() error {
	text := t.list.bytes()
	end := t.list.end(int64(len(t.head)))
	if len(t.list.records) == 0 {
		if _, err := t.data.WriteAt(t.head, 0); err != nil {
			return err
		}
	}
	if err := errors.Join(t.data.Truncate(end), t.index.Truncate(int64(len(text)))); err != nil {
		return err
	}
	if _, err := t.index.WriteAt(text, 0); err != nil {
		return err
	}
	if _, err := t.data.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if _, err := t.index.Seek(int64(len(text)), io.SeekStart); err != nil {
		return err
	}
	return errors.Join(t.data.Sync(), t.index.Sync(), syncFolder(t.cfg.Folder))
}

// begin begins a file. Its list comes first: a file without one does not count.
func (t *topic) begin(now time.Time) error {
	number, err := t.next()
	if err != nil {
		return err
	}
	return t.goOn(&list{number: number, began: now.UTC(), form: t.cfg.Format})
}

// next is the number of the next file: one more than any that is known.
func (t *topic) next() (uint64, error) {
	var last uint64
	paths, err := closedLists(t.cfg.Folder, t.name)
	if err != nil {
		return 0, err
	}
	if len(paths) > 0 {
		l, err := readList(paths[len(paths)-1])
		if err != nil {
			return 0, err
		}
		if l != nil {
			last = l.number
		}
	}
	named := regexp.MustCompile(`^` + regexp.QuoteMeta(t.name) + `-\d{8}-\d{6}-(\d+)\.`)
	entries, err := os.ReadDir(t.cfg.Folder)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if m := named.FindStringSubmatch(e.Name()); m != nil {
			if n, err := strconv.ParseUint(m[1], 10, 64); err == nil {
				last = max(last, n)
			}
		}
	}
	return last + 1, nil
}

// write adds records: their bytes are synced before their lines in the list are written, and those before it returns. After an error
// the topic is to be abandoned: which of them count is seen when it is opened again.
func (t *topic) write(lines [][]byte, ids []string, now time.Time) error {
	for len(lines) > 0 {
		if t.list != nil && t.due(now, len(lines[0])) {
			if err := t.close(); err != nil {
				return err
			}
		}
		if t.list == nil {
			if err := t.begin(now); err != nil {
				return err
			}
		}
		end := t.list.end(int64(len(t.head)))
		var data, index []byte
		var records []listed
		n := 0
		for ; n < len(lines) && (n == 0 || end+int64(len(lines[n])) <= int64(t.cfg.MaxBytes)); n++ {
			data = append(data, lines[n]...)
			end += int64(len(lines[n]))
			records = append(records, listed{end, ids[n]})
			index = records[n].append(index)
		}
		if err := t.add(data, index); err != nil {
			return err
		}
		t.list.records = append(t.list.records, records...)
		lines, ids = lines[n:], ids[n:]
	}
	return nil
}

func (t *topic) add(data, index []byte) error {
	if _, err := t.data.Write(data); err != nil {
		return err
	}
	if err := t.data.Sync(); err != nil {
		return err
	}
	if _, err := t.index.Write(index); err != nil {
		return err
	}
	return t.index.Sync()
}

// due reports whether the file that grows is closed before more is written: it would be too large, it is old, or its day has ended.
func (t *topic) due(now time.Time, more int) bool {
	if t.list == nil || len(t.list.records) == 0 {
		return false
	}
	return t.list.end(0)+int64(more) > int64(t.cfg.MaxBytes) || now.Sub(t.list.began) >= t.cfg.MaxAge || t.day(now) != t.day(t.list.began)
}

func (t *topic) day(at time.Time) string {
	if t.cfg.Day == "" {
		return ""
	}
	return at.In(t.zone()).Format(time.DateOnly)
}

func (t *topic) zone() *time.Location {
	zone, err := time.LoadLocation(t.cfg.Day)
	if err != nil {
		return time.UTC // Validate has refused it
	}
	return zone
}

// close gives the file that grows its name. One without records goes.
func (t *topic) close() error {
	if t.list == nil {
		return nil
	}
	err := errors.Join(t.data.Sync(), t.data.Close(), t.index.Close())
	t.data, t.index = nil, nil
	if err != nil {
		return err
	}
	if len(t.list.records) == 0 {
		t.list = nil
		return errors.Join(remove(t.part()), remove(t.listPath()))
	}
	if err := os.Rename(t.part(), t.path(t.final())); err != nil {
		return err
	}
	if err := syncFolder(t.cfg.Folder); err != nil {
		return err
	}
	return t.named()
}

// final is the name of the file that grows, once it is whole.
func (t *topic) final() string {
	return fmt.Sprintf("%s-%s-%06d.%s", t.name, t.list.began.In(t.zone()).Format("20060102-150405"), t.list.number, t.list.form)
}

// named ends the work on a file that has its name: a line in the manifest, and its list among those of the closed ones.
func (t *topic) named() error {
	if t.cfg.Manifest {
		if err := t.manifest(); err != nil {
			return err
		}
	}
	if err := os.Rename(t.listPath(), t.listPath()+"."+strconv.FormatUint(t.list.number, 10)); err != nil {
		return err
	}
	t.list = nil
	return errors.Join(forget(t.cfg.Folder, t.name), syncFolder(t.cfg.Folder))
}
