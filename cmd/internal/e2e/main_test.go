package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"waybill/cdc/cdctest"
	"waybill/sinks/sinktest"
)

// The servers are started once for the package, each when the first test asks for it; every test has databases of its own.
var (
	binary  string
	scratch string

	pgOnce, mariaOnce sync.Once
	pg                *cdctest.Postgres
	maria             *cdctest.MariaDB
)

func TestMain(m *testing.M) {
	sinktest.ServeLedgerIfAsked()
	code, err := run(m)
	sinktest.RemoveBilling()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if scratch, err = os.MkdirTemp("", "waybill-e2e-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o755); err != nil {
		return 1, err
	}
	binary = filepath.Join(scratch, "waybill")
	build := exec.Command("go", "build", "-race", "-o", binary, "waybill/cmd/waybill")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1, fmt.Errorf("building the program under test: %w", err)
	}
	defer stopServers()
	code = m.Run()
	stopServers()
	if code == 0 {
		err = goleak.Find()
	}
	return code, err
}

func stopServers() {
	if pg != nil {
		pg.DB.Close()
		pg.Stop()
		pg = nil
	}
	if maria != nil {
		maria.DB.Close()
		maria.Stop()
		maria = nil
	}
}

func postgres(t *testing.T) *cdctest.Postgres {
	t.Helper()
	pgOnce.Do(func() {
		var err error
		if pg, err = cdctest.NewPostgres(filepath.Join(scratch, "pg"), cdctest.PostgresOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	if pg == nil {
		t.Fatal("PostgreSQL did not start")
	}
	return pg
}

func mariadb(t *testing.T) *cdctest.MariaDB {
	t.Helper()
	mariaOnce.Do(func() {
		var err error
		maria, err = cdctest.NewMariaDB(filepath.Join(scratch, "maria"), cdctest.MariaDBOptions{Args: []string{"--character-set-server=latin1"}})
		if err != nil {
			t.Fatal(err)
		}
	})
	if maria == nil {
		t.Fatal("MariaDB did not start")
	}
	return maria
}
