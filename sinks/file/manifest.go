package file

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// manifested is a line of the manifest.
type manifested struct {
	File    string `json:"file"`
	Records int    `json:"records"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256,omitempty"` // empty: somebody took the file away before it could be read
	First   string `json:"first"`            // event ids
	Last    string `json:"last"`
}

func (t *topic) manifest() error {
	n := len(t.list.records)
	m := manifested{File: t.final(), Records: n, Bytes: t.list.records[n-1].end, First: t.list.records[0].id, Last: t.list.records[n-1].id}
	path := t.path(t.name + ".manifest.jsonl")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if m.SHA256, err = digestOf(t.path(m.File)); err != nil {
		return err
	}
	end, last, err := lastLine(f)
	if err != nil {
		return err
	}
	var known manifested
	if json.Unmarshal(last, &known) == nil && known.File == m.File {
		return nil // a kill came after it
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.WriteAt(append(raw, '\n'), end); err != nil {
		return err
	}
	return f.Sync()
}

// lastLine finds the last whole line of a file, and where it ends.
func lastLine(f *os.File) (end int64, line []byte, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	from := max(0, info.Size()-64<<10)
	text := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	for len(text) > 0 && text[len(text)-1] != '\n' { // cut short by a kill
		text = text[:len(text)-1]
	}
	end = from + int64(len(text))
	if len(text) == 0 {
		return end, nil, nil
	}
	text = text[:len(text)-1]
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '\n' {
			return end, text[i+1:], nil
		}
	}
	return end, text, nil
}

// digestOf is the SHA-256 of a file; empty when it is not there any more.
func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
