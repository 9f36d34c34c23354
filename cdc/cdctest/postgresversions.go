package cdctest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// EachPostgres runs a test on a server of each PostgreSQL version that is here, as a subtest named after it: those of Debian
// in /usr/lib/postgresql, and those that install-postgres.sh has fetched. $WAYBILL_POSTGRES (14,16) chooses among them, and
// then a missing one is a failure.
func EachPostgres(t *testing.T, test func(t *testing.T, p *Postgres)) {
	t.Helper()
	versions := wantedPostgres()
	if len(versions) == 0 {
		for version := range postgresBins() {
			versions = append(versions, version)
		}
	}
	slices.Sort(versions)
	if len(versions) == 0 {
		t.Fatal("no PostgreSQL server in /usr/lib/postgresql (apt-get install postgresql)")
	}
	t.Logf("on PostgreSQL %s", strings.Join(versions, ", "))
	for _, version := range versions {
		t.Run("postgres"+version, func(t *testing.T) {
			t.Parallel() // most of it is waiting for the server
			test(t, startPostgres(t, PostgresOptions{Version: version}))
		})
	}
}

// wantedPostgres returns the versions that $WAYBILL_POSTGRES names.
func wantedPostgres() []string {
	return strings.FieldsFunc(os.Getenv("WAYBILL_POSTGRES"), func(r rune) bool { return r == ',' || r == ' ' })
}

// Version returns the server's major version.
func (p *Postgres) Version(tb testing.TB) int {
	tb.Helper()
	var n int
	if err := p.DB.QueryRow("SELECT current_setting('server_version_num')::int / 10000").Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// postgresBins finds the folder of programs of each major version.
func postgresBins() map[string]string {
	bins := map[string]string{}
	for _, pattern := range []string{filepath.Join(postgresCache(), "*/bin/postgres"), "/usr/lib/postgresql/*/bin/postgres"} {
		found, _ := filepath.Glob(pattern) // fails for a bad pattern alone
		for _, path := range found {
			dir := filepath.Dir(path)
			if version := filepath.Base(filepath.Dir(dir)); isNumber(version) {
				bins[version] = dir
			}
		}
	}
	return bins
}

func isNumber(text string) bool {
	_, err := strconv.Atoi(text)
	return err == nil
}

// postgresCache is where install-postgres.sh puts servers.
func postgresCache() string {
	if dir := os.Getenv("WAYBILL_CACHE"); dir != "" {
		return filepath.Join(dir, "postgres")
	}
	if os.Geteuid() == 0 { // the servers run as another user, who cannot look into root's home
		return "/var/cache/waybill/postgres"
	}
	dir, err := os.UserCacheDir()
	if err != nil { // no home: nothing was fetched either
		return "/nonexistent"
	}
	return filepath.Join(dir, "waybill/postgres")
}

// postgresBin finds the programs of a version; of none in particular, those in PATH or else Debian's newest.
func postgresBin(version string) (string, error) {
	if version != "" {
		if bin := postgresBins()[version]; bin != "" {
			return bin, nil
		}
		return "", fmt.Errorf("no PostgreSQL %s in /usr/lib/postgresql or %s (run cdc/cdctest/install-postgres.sh)", version, postgresCache())
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no PostgreSQL server in PATH or /usr/lib/postgresql (apt-get install postgresql)")
	}
	return filepath.Dir(found[len(found)-1]), nil
}
