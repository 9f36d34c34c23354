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
	billingDatabase = "billing" // as the mapping calls it
	captureUser     = "waybill_capture"
	capturePassword = "capture-demo"
)

// postgresDatabases are the databases on the PostgreSQL server; a database's owner has its name.
var postgresDatabases = map[Database]string{Dispatch: "nstar_tms", PineValley: "pinevalley", GulfCoast: "gulfcoast"}

// servers is the machine room: the carriers' databases, and the ERP behind a proxy that can lose its answers.
type servers struct {
	postgres *cdctest.Postgres
	mariadb  *cdctest.MariaDB
	tryton   *sinktest.Tryton
	proxy    *sinktest.FaultProxy
	stores   stores
}

// startServers starts all three under dir, at the same time. What it returns must be stopped even when there is an error.
func startServers(ctx context.Context, dir string, say func(string, ...any)) (*servers, error) {
	s := &servers{stores: stores{}}
	slow := time.AfterFunc(8*time.Second, func() { say("the first time on a machine Tryton is fetched and set up, which takes half a minute") })
	defer slow.Stop()
	var starting errgroup.Group
	start := func(name string, begin func(dir string) error) {
		starting.Go(func() error {
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
		if s.tryton, err = sinktest.NewTryton(dir, sinktest.TrytonOptions{Company: group, CompanyCode: "NFG"}); err != nil {
			return err
		}
		if s.proxy, err = sinktest.NewFaultProxy(s.tryton.Addr(), 1); err != nil {
			return err
		}
		return s.tryton.Start()
	})
	return s, errors.Join(starting.Wait(), ctx.Err())
}

// stop ends all of them and waits.
func (s *servers) stop() {
	for _, db := range s.stores {
		db.Close()
	}
	if s.proxy != nil {
		s.proxy.Close()
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

// createStores makes the legacy databases with the carriers' own schemas, and the role that Waybill reads them with.
func (s *servers) createStores(ctx context.Context, carriers string) error {
	if _, err := s.postgres.DB.ExecContext(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN REPLICATION PASSWORD '%s'", captureUser, capturePassword)); err != nil {
		return fmt.Errorf("creating the role of capture: %w", err)
	}
	for _, c := range []struct {
		name Database
		file string
	}{{Dispatch, "northstar/dispatch.sql"}, {PineValley, "pinevalley/carrier.sql"}, {GulfCoast, "gulfcoast/broker.sql"}} {
		if err := s.createPostgres(ctx, c.name, filepath.Join(carriers, c.file)); err != nil {
			return fmt.Errorf("creating the database %s: %w", c.name, err)
		}
	}
	billing, err := os.ReadFile(filepath.Join(carriers, "northstar/billing.sql"))
	if err != nil {
		return fmt.Errorf("reading the schema of billing: %w", err)
	}
	grants := fmt.Sprintf("CREATE DATABASE %[1]s CHARACTER SET latin1; USE %[1]s; %[2]s; CREATE USER %[3]s@'%%' IDENTIFIED BY '%[4]s'; "+
		"GRANT SELECT ON %[1]s.* TO %[3]s@'%%'; GRANT REPLICATION SLAVE, BINLOG MONITOR, REPLICATION SLAVE ADMIN, SLAVE MONITOR ON *.* TO %[3]s@'%%'",
		billingDatabase, strings.TrimSuffix(strings.TrimSpace(string(billing)), ";"), captureUser, capturePassword)
	if _, err := s.mariadb.DB.ExecContext(ctx, grants); err != nil {
		return fmt.Errorf("creating the billing database: %w", err)
	}
	m := s.mariadb
	s.stores[Billing], err = books.OpenBilling(fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?charset=utf8mb4", m.User, m.Password, m.Host, m.Port, billingDatabase))
	return err
}

// createPostgres makes one of the databases, owned by the carrier's own role, which capture is a member of.
func (s *servers) createPostgres(ctx context.Context, name Database, file string) error {
	schema, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	database := postgresDatabases[name]
	for _, statement := range []string{
		fmt.Sprintf("CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s'", database),
		fmt.Sprintf("GRANT %s TO %s", database, captureUser),
		fmt.Sprintf("CREATE DATABASE %[1]s OWNER %[1]s ENCODING 'UTF8' TEMPLATE template0", database),
	} {
		if _, err := s.postgres.DB.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	p := s.postgres
	s.stores[name], err = sql.Open("pgx", fmt.Sprintf("host=%s port=%d dbname=%[3]s user=%[3]s password=%[3]s sslmode=disable timezone=America/Chicago", p.Host, p.Port, database))
	if err != nil {
		return err
	}
	_, err = s.stores[name].ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS public;"+string(schema))
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
