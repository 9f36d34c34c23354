// Command mutants breaks Waybill's promises one by one, in a copy of the tree, and shows that a test turns red for each. `make
// mutants` runs it. A mutant that survives means that a promise is not tested; a text that is not found means that the code
// has moved and the table must follow.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "run the mutants whose name contains this")
	keep := flag.Bool("keep", false, "keep the copy of the tree")
	flag.Parse()
	if err := run(*only, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only string, keep bool) error {
	dir, err := os.MkdirTemp("", "waybill-mutants-")
	if err != nil {
		return err
	}
	if !keep {
		defer os.RemoveAll(dir)
	}
	if err := copyTree(dir); err != nil {
		return fmt.Errorf("copying the tree: %w", err)
	}
	var errs []error
	killed := 0
	for _, m := range mutants {
		if !strings.Contains(m.name, only) {
			continue
		}
		began := time.Now()
		evidence, err := m.kill(dir)
		if err != nil {
			fmt.Printf("SURVIVED  %-28s %v\n", m.name, err)
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			continue
		}
		killed++
		fmt.Printf("killed    %-28s by %s in %s: %s\n", m.name, m.tests[0], time.Since(began).Round(time.Second), evidence)
	}
	fmt.Printf("%d killed, %d not\n", killed, len(errs))
	if killed+len(errs) == 0 {
		errs = append(errs, fmt.Errorf("no mutant is called %q", only))
	}
	return errors.Join(errs...)
}

// copyTree copies what git would: the tracked files and the new ones that it does not ignore.
func copyTree(dir string) error {
	list, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("listing files: %w", err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		raw, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, not committed yet
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, raw, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// kill applies the mutant, runs its tests, which must fail and not for a failed build, and takes it back.
func (m mutant) kill(dir string) (evidence string, err error) {
	file := filepath.Join(dir, m.file)
	original, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(original, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("the text to replace is %d times in %s; adapt the table", n, m.file)
	}
	if err := os.WriteFile(file, bytes.Replace(original, []byte(m.old), []byte(m.new), 1), 0o644); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(file, original, 0o644)) }()
	pkg, pattern := m.tests[0], m.tests[1]
	if out, err := command(dir, nil, "go", "vet", "./"+filepath.Dir(m.file)).CombinedOutput(); err != nil {
		return "", fmt.Errorf("the mutant does not build: %w\n%s", err, out)
	}
	out, err := command(dir, m.env, "go", "test", "-count=1", "-timeout=10m", "-run", pattern, pkg).CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return "", fmt.Errorf("%s %s is still green", pkg, pattern)
	case !errors.As(err, &failed):
		return "", err
	case !bytes.Contains(out, []byte("--- FAIL")):
		return "", fmt.Errorf("%s did not run\n%s", pkg, out)
	}
	return firstFailure(string(out)), nil
}

func command(dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// firstFailure is the first line that a test complained with.
func firstFailure(out string) string {
	lines := strings.Split(out, "\n")
	for i, l := range lines {
		if strings.Contains(l, "--- FAIL") {
			for _, next := range lines[i+1:] {
				if strings.Contains(next, "_test.go:") && !strings.Contains(next, "seed ") {
					return strings.TrimSpace(next)
				}
			}
		}
	}
	return "it failed"
}
