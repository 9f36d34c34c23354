package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The credentials of every server that these tests start are canaries: texts that stand nowhere else. Whatever a site's daemon and commands
// print, and all that lies in its data folder in the end, must not hold one (Invariant 12).

// secret finds the credentials in a site's configuration.
var secret = regexp.MustCompile(`(?m)^\s*(?:password|secret|token|api_key|client_secret)\s*:\s*"?([^"\n{}]{6,}?)"?\s*$`)

// canaries are the secrets of the site's present configuration, and of the servers.
func (s *site) canaries() []string {
	all := []string{pg.Password}
	if maria.Password != pg.Password {
		all = append(all, maria.Password)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "waybill.yaml"))
	if err != nil {
		return all // it was never configured
	}
	for _, m := range secret.FindAllSubmatch(text, -1) {
		if text := strings.TrimPrefix(string(m[1]), "Bearer "); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// leaks says where a text shows a secret.
func leaks(where string, text []byte, canaries []string) (found []string) {
	for _, c := range canaries {
		if i := bytes.Index(text, []byte(c)); i >= 0 {
			around := bytes.ReplaceAll(text[max(0, i-60):min(len(text), i+len(c)+20)], []byte(c), []byte("(the secret)"))
			found = append(found, fmt.Sprintf("%s shows a secret: …%q…", where, around))
		}
	}
	return found
}

// sing looks through what the site's daemon and commands left.
func (s *site) sing() (found []string) {
	canaries := s.canaries()
	if s.log != nil {
		found = leaks("the daemon's log", []byte(s.log.String()), canaries)
	}
	root := filepath.Join(s.dir, "data")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found = append(found, leaks(strings.TrimPrefix(path, s.dir+"/"), text, canaries)...)
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		found = append(found, fmt.Sprintf("looking through %s: %v", root, err))
	}
	return found
}

// A secret that is shown is found, in the configuration's forms.
func TestLeaksAreSeen(t *testing.T) {
	s := newSite(t)
	s.file("waybill.yaml", "sinks:\n  erp:\n    password: hunter22\n  billing:\n    secret: \"Bearer s3cr3t-token\"\n")
	for text, want := range map[string]int{"a quiet line": 0, "connecting as waybill:" + pg.Password: 1, "401 for hunter22": 1, "bearer s3cr3t-token refused": 1} {
		if got := leaks("a log", []byte(text), s.canaries()); len(got) != want || strings.Contains(strings.Join(got, ""), "hunter22") {
			t.Errorf("%q: %q, want %d", text, got, want)
		}
	}
	if err := os.Mkdir(filepath.Join(s.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.file("data/state", maria.Password)
	if got := s.sing(); len(got) != 1 || !strings.HasPrefix(got[0], "data/state shows a secret") {
		t.Errorf("%q", got)
	}
	s.file("data/state", "")
}
