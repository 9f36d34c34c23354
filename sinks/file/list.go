package file

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// remembered is how many records the lists of closed files name at least, all together: more than a feed sends between two entries of its
// journal.
const remembered = 20_000

// list is what a file holds: its number, when it was begun and its form, and of each record where it ends and which event it is of. On disk
// the first line is the former, and a line is of each record, "end id"; a line that is not whole does not count.
type list struct {
	number  uint64
	began   time.Time
	form    string // jsonl or csv
	records []listed
}

type listed struct {
	end int64
	id  string
}

func (l *list) head() []byte {
	return fmt.Appendf(nil, "%d %d.%s\n", l.number, l.began.UnixMicro(), l.form)
}

func (r listed) append(b []byte) []byte { return fmt.Appendf(b, "%d %s\n", r.end, r.id) }

// end is where the last record ends; the head of the file when there is none.
func (l *list) end(head int64) int64 {
	if len(l.records) == 0 {
		return head
	}
	return l.records[len(l.records)-1].end
}

// readList reads a list; nil when there is none, or not even its head is whole.
func readList(path string) (*list, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l *list
	for {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		first, second, two := strings.Cut(string(line), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if !whole || !two || err != nil || n < 0 {
			return l, nil
		}
		if text = rest; l == nil {
			began, form, _ := strings.Cut(second, ".")
			at, err := strconv.ParseInt(began, 10, 64)
			if err != nil {
				return nil, nil
			}
			l = &list{number: uint64(n), began: time.UnixMicro(at).UTC(), form: form}
			continue
		}
		l.records = append(l.records, listed{n, second})
	}
}

// bytes is the list as it is on disk.
func (l *list) bytes() []byte {
	b := l.head()
	for _, r := range l.records {
		b = r.append(b)
	}
	return b
}

// closedLists are the lists of closed files of a topic, the oldest first.
func closedLists(folder, topic string) (paths []string, err error) {
	all, err := filepath.Glob(filepath.Join(folder, "."+topic+".list.*"))
	if err != nil {
		return nil, err
	}
	number := func(path string) uint64 {
		n, err := strconv.ParseUint(path[strings.LastIndexByte(path, '.')+1:], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	all = slices.DeleteFunc(all, func(path string) bool { return number(path) == 0 })
	slices.SortFunc(all, func(a, b string) int { return int(int64(number(a)) - int64(number(b))) })
	return all, nil
}

// forget removes the oldest lists that nobody can ask for any more.
func forget(folder, topic string) error {
	paths, err := closedLists(folder, topic)
	if err != nil {
		return err
	}
	kept := 0
	for _, path := range slices.Backward(paths) {
		if kept >= remembered {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		l, err := readList(path)
		if err != nil {
			return err
		}
		if l != nil {
			kept += len(l.records)
		}
	}
	return nil
}

// syncFolder makes names durable.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
