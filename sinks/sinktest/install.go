package sinktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// trytonPackages are unpacked, never installed: no service, no user, nothing enabled.
var trytonPackages = []string{
	"tryton-server", "tryton-modules-account-invoice", "tryton-modules-account-product", "tryton-modules-account",
	"tryton-modules-party", "tryton-modules-company", "tryton-modules-currency", "tryton-modules-country",
	"tryton-modules-product", "tryton-proteus", "tryton-sao", "python3-psycopg2", "python3-bcrypt", "python3-dateutil",
	"python3-defusedxml", "python3-genshi", "python3-lxml", "python3-magic", "python3-markupsafe", "python3-passlib",
	"python3-polib", "python3-relatorio", "python3-simpleeval", "python3-sql", "python3-stdnum", "python3-werkzeug",
	"python3-wrapt", "python3-six", "python3-cffi-backend", "python3-pkg-resources",
}

// trytonLibraries are what those need beside Python. They are plain libraries, installed if missing.
var trytonLibraries = []string{"python3", "libxml2", "libxslt1.1", "libmagic1", "libpq5"}

// prefix is an unpacked Tryton.
type prefix struct {
	dir      string // holds usr/
	versions string // hash of the packages' file names
}

func (p prefix) python() []string {
	return []string{"PYTHONPATH=" + filepath.Join(p.dir, "usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore"}
}

func (p prefix) bin(name string) string { return filepath.Join(p.dir, "usr/bin", name) }

// CacheDir is where downloads and golden databases are kept between runs: $WAYBILL_CACHE, else the user's cache directory.
// For root it is under /var/cache, for the servers run as another user, who cannot look into root's home.
func CacheDir() (string, error) {
	dir := os.Getenv("WAYBILL_CACHE")
	if dir == "" && os.Geteuid() == 0 {
		dir = "/var/cache/waybill"
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("finding a cache directory: %w; set WAYBILL_CACHE", err)
		}
		dir = filepath.Join(base, "waybill")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache directory: %w; set WAYBILL_CACHE", err)
	}
	return dir, nil
}

// InstallTryton unpacks Tryton 6.0 and its Python packages from the Debian archive into the cache, once, and returns
// where. It needs a Debian 12 with apt; only when one of four plain libraries is missing does it need root, to install
// them. It starts nothing and leaves no service behind.
func InstallTryton(ctx context.Context) (string, error) {
	p, err := installTryton(ctx)
	return p.dir, err
}

func installTryton(ctx context.Context) (prefix, error) {
	cache, err := CacheDir()
	if err != nil {
		return prefix{}, err
	}
	unlock, err := lockFile(filepath.Join(cache, "tryton.lock"))
	if err != nil {
		return prefix{}, err
	}
	defer unlock()
	if err := requireDebian(); err != nil {
		return prefix{}, err
	}
	if err := installLibraries(ctx); err != nil {
		return prefix{}, err
	}
	dir := filepath.Join(cache, "tryton-6.0")
	if raw, err := os.ReadFile(filepath.Join(dir, "versions")); err == nil {
		return prefix{dir, hash(string(raw))}, nil
	}
	work, err := os.MkdirTemp(cache, "tryton-unpack-")
	if err != nil {
		return prefix{}, fmt.Errorf("unpacking Tryton: %w", err)
	}
	defer os.RemoveAll(work)
	versions, err := unpack(ctx, work)
	if err != nil {
		return prefix{}, err
	}
	if err := os.WriteFile(filepath.Join(work, "versions"), []byte(versions), 0o644); err != nil {
		return prefix{}, fmt.Errorf("unpacking Tryton: %w", err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return prefix{}, fmt.Errorf("unpacking Tryton: %w", err)
	}
	if err := os.Rename(work, dir); err != nil {
		return prefix{}, fmt.Errorf("unpacking Tryton: %w", err)
	}
	return prefix{dir, hash(versions)}, nil
}

func requireDebian() error {
	raw, _ := os.ReadFile("/etc/debian_version")
	if !strings.HasPrefix(string(raw), "12") {
		return fmt.Errorf("this is not Debian 12 (/etc/debian_version says %q): Tryton 6.0 is in its archive; use a container of debian:bookworm",
			strings.TrimSpace(string(raw)))
	}
	return nil
}

// unpack downloads the packages and unpacks them under dir; it returns the list of their files.
func unpack(ctx context.Context, dir string) (string, error) {
	debs := filepath.Join(dir, "debs")
	if err := os.Mkdir(debs, 0o777); err != nil {
		return "", fmt.Errorf("unpacking Tryton: %w", err)
	}
	download := append([]string{"download", "-q"}, trytonPackages...)
	if _, err := run(ctx, debs, nil, "apt-get", download...); err != nil {
		// The package lists may be missing, as in a fresh container.
		if _, err2 := run(ctx, debs, nil, "apt-get", "update", "-q"); err2 != nil {
			return "", fmt.Errorf("downloading Tryton from the Debian archive: %w; updating the package lists (needs root): %w", err, err2)
		}
		if _, err := run(ctx, debs, nil, "apt-get", download...); err != nil {
			return "", fmt.Errorf("downloading Tryton from the Debian archive: %w", err)
		}
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(files) != len(trytonPackages) {
		return "", fmt.Errorf("downloading Tryton: got %d of %d packages (%v)", len(files), len(trytonPackages), err)
	}
	slices.Sort(files)
	var names []string
	for _, f := range files {
		if _, err := run(ctx, dir, nil, "dpkg", "-x", f, dir); err != nil {
			return "", fmt.Errorf("unpacking %s: %w", filepath.Base(f), err)
		}
		names = append(names, filepath.Base(f))
	}
	return strings.Join(names, "\n") + "\n", os.RemoveAll(debs)
}

func installLibraries(ctx context.Context) error {
	var missing []string
	for _, lib := range trytonLibraries {
		out, err := run(ctx, "/", nil, "dpkg-query", "-W", "-f", "${Status}", lib)
		if err != nil || !strings.Contains(out, "install ok installed") {
			missing = append(missing, lib)
		}
	}
	if missing == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("Tryton needs libraries that are not installed; run: sudo apt-get install -y --no-install-recommends %s", strings.Join(missing, " "))
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	if _, err := run(ctx, "/", env, "apt-get", append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)...); err != nil {
		if _, err := run(ctx, "/", env, "apt-get", "update", "-q"); err != nil {
			return fmt.Errorf("updating the package lists: %w", err)
		}
		if _, err := run(ctx, "/", env, "apt-get", append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)...); err != nil {
			return fmt.Errorf("installing %s: %w", strings.Join(missing, " "), err)
		}
	}
	return nil
}

// run runs a command and returns what it printed; an error holds the end of it.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tail := string(out)
		if len(tail) > 2000 {
			tail = tail[len(tail)-2000:]
		}
		return string(out), fmt.Errorf("running %s %s: %w\n%s", name, strings.Join(args[:min(3, len(args))], " "), err, tail)
	}
	return string(out), nil
}

// lockFile keeps packages that are tested at the same time from building the same thing twice.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}
