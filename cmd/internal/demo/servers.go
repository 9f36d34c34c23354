package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill/cdc/cdctest"
	"waybill/cmd/internal/books"
	"waybill/sinks/sinktest"
)

// The legacy databases' names, and the role that reads them for Waybill. The servers listen on 127.0.0.1 and die with the demo.
const (
	dispatchDatabase = "nstar_tms"
	billingDatabase  = "billing" // as the mapping calls it
	captureUser      = "waybill_capture"
	capturePassword  = "capture-demo"
)

// servers is the machine room: the carrier's two databases and the ERP.
type servers struct {
	postgres *cdctest.Postgres
	mariadb  *cdctest.MariaDB
	tryton   *sinktest.Tryton
	dispatch *sql.DB // as the carrier's own programs
	billing  *sql.DB
}

// startServers starts all three under dir, at the same time. What it returns must be stopped even when there is an error.
func startServers(ctx context.Context, dir string, say func(string, ...any)) (*servers, error) {
	s := &servers{}
	slow := time.AfterFunc(8*time.Second, func() { say("the first time on a machine Tryton is fetched and set up, which takes half a minute") })
	defer slow.Stop()
	var group errgroup.Group
	start := func(name string, begin func(dir string) error) {
		group.Go(func() error {
			began := time.Now()
			if err := begin(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("starting %s: %w", name, err)
			}
			say("%s is up (%.1f s)", name, time.Since(began).Seconds())
			return nil
		})
	}
	start("postgres", func(dir string) (err error) {
		s.postgres, err = cdctest.NewPostgres(dir, cdctest.PostgresOptions{})
		return err
	})
	start("mariadb", func(dir string) (err error) {
		s.mariadb, err = cdctest.NewMariaDB(dir, cdctest.MariaDBOptions{Args: []string{"--character-set-server=latin1"}})
		return err
	})
	start("tryton", func(dir string) (err error) {
		if s.tryton, err = sinktest.NewTryton(dir, sinktest.TrytonOptions{}); err != nil {
			return err
		}
		return s.tryton.Start()
	})
	return s, errors.Join(group.Wait(), ctx.Err())
}

// stop ends all of them and waits.
func (s *servers) stop() {
	for _, db := range []*sql.DB{s.dispatch, s.billing} {
		if db != nil {
			db.Close()
		}
	}
	if s.tryton != nil {
		s.tryton.Stop()
	}
	if s.mariadb != nil {
		s.mariadb.DB.Close()
		s.mariadb.Stop()
	}
	if s.postgres != nil {
		s.postgres.DB.Close()
		s.postgres.Stop()
	}
}

// createStores makes the two legacy databases with the carrier's own schemas, and the role that Waybill reads them with.
func (s *servers) createStores(ctx context.Context, carrier string) error {
	dispatch, err := os.ReadFile(filepath.Join(carrier, "dispatch.sql"))
	if err != nil {
		return fmt.Errorf("reading the schema of dispatch: %w", err)
	}
	billing, err := os.ReadFile(filepath.Join(carrier, "billing.sql"))
	if err != nil {
		return fmt.Errorf("reading the schema of billing: %w", err)
	}
	for _, statement := range []string{
		"CREATE ROLE nstar LOGIN PASSWORD 'nstar'",
		fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION IN ROLE nstar PASSWORD '%s'", captureUser, capturePassword),
		fmt.Sprintf("CREATE DATABASE %s OWNER nstar ENCODING 'UTF8' TEMPLATE template0", dispatchDatabase),
	} {
		if _, err := s.postgres.DB.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("creating the dispatch database: %w", err)
		}
	}
	p := s.postgres
	s.dispatch, err = sql.Open("pgx", fmt.Sprintf("host=%s port=%d dbname=%s user=nstar password=nstar sslmode=disable timezone=America/Chicago", p.Host, p.Port, dispatchDatabase))
	if err != nil {
		return fmt.Errorf("opening the dispatch database: %w", err)
	}
	if _, err := s.dispatch.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS public;"+string(dispatch)); err != nil {
		return fmt.Errorf("creating the tables of dispatch: %w", err)
	}
	grants := fmt.Sprintf("CREATE DATABASE %[1]s CHARACTER SET latin1; USE %[1]s; %[2]s; CREATE USER %[3]s@'%%' IDENTIFIED BY '%[4]s'; "+
		"GRANT SELECT ON %[1]s.* TO %[3]s@'%%'; GRANT REPLICATION SLAVE, BINLOG MONITOR, REPLICATION SLAVE ADMIN, SLAVE MONITOR ON *.* TO %[3]s@'%%'",
		billingDatabase, strings.TrimSuffix(strings.TrimSpace(string(billing)), ";"), captureUser, capturePassword)
	if _, err := s.mariadb.DB.ExecContext(ctx, grants); err != nil {
		return fmt.Errorf("creating the billing database: %w", err)
	}
	m := s.mariadb
	s.billing, err = books.OpenBilling(fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?charset=utf8mb4", m.User, m.Password, m.Host, m.Port, billingDatabase))
	return err
}

// tail is the end of each server's log, for a failure.
func (s *servers) tail() string {
	var text strings.Builder
	add := func(name, log string) {
		if len(log) > 1500 {
			log = "…" + log[len(log)-1500:]
		}
		fmt.Fprintf(&text, "--- log of %s\n%s\n", name, strings.TrimSpace(log))
	}
	if s.postgres != nil {
		add("postgres", s.postgres.Log())
	}
	if s.mariadb != nil {
		add("mariadb", s.mariadb.Log())
	}
	if s.tryton != nil {
		add("tryton", s.tryton.Log())
	}
	return text.String()
}
