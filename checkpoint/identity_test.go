package checkpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFreshIdentity(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	id := s.Identity()
	if id.ID == "" || id.Epoch != 1 || id.Created.IsZero() || !id.VerifyFirst {
		t.Errorf("fresh store: %+v", id)
	}
	if err := s.ClearVerifyFirst(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	id.VerifyFirst = false
	if got := open(t, dir).Identity(); got != id {
		t.Errorf("opened again: %+v, want %+v", got, id)
	}
}

// A copy is refused until it is adopted, and says where the original was; a moved directory is no copy.
func TestCopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir)
	fill(t, s, 10, 1000)
	id := s.Identity()
	if err := errors.Join(s.ClearVerifyFirst(), s.Close()); err != nil {
		t.Fatal(err)
	}
	twin := filepath.Join(t.TempDir(), "twin")
	if out, err := exec.Command("cp", "-a", dir, twin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := Open(twin, Options{})
	var copied *CopyError
	if !errors.As(err, &copied) || !strings.HasSuffix(copied.Origin, ":"+dir) || !strings.Contains(err.Error(), "waybill checkpoint adopt") {
		t.Fatalf("opening a copy: %v", err)
	}
	s = open(t, twin, func(o *Options) { o.Adopt = true })
	if got := s.Identity(); got.ID != id.ID || got.Epoch != id.Epoch+1 || !got.VerifyFirst {
		t.Errorf("adopted: %+v", got)
	}
	consistent(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, twin).Identity(); got.Epoch != id.Epoch+1 || !got.VerifyFirst {
		t.Errorf("adopted and opened again: %+v", got)
	}
	moved := filepath.Join(filepath.Dir(dir), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if got := open(t, moved).Identity(); got.Epoch != id.Epoch {
		t.Errorf("moved: %+v", got)
	}
}

func TestNotAStore(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"newer schema":   {map[string]string{"identity.json": `{"schema": 2}`}, "schema version 2, this release reads up to 1"},
		"not JSON":       {map[string]string{"identity.json": `{`}, "should not be edited"},
		"someone else's": {map[string]string{"PG_VERSION": "17"}, `holds "PG_VERSION" but no identity.json`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(dir, Options{})
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
			var version *VersionError
			if errors.As(err, &version) != (name == "newer schema") {
				t.Errorf("%T", err)
			}
		})
	}
}
