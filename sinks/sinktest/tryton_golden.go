package sinktest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// makeGolden builds the database that every Reset copies, unless the cache has it. It is keyed by everything that it
// is made of; the year counts, for the fiscal years are those around today.
func (t *Tryton) makeGolden(ctx context.Context) error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	kind := "sqlite"
	if t.opts.Postgres != "" {
		kind = "dump"
	}
	today := time.Now()
	key := hash(t.prefix.versions, string(setupScript), t.opts.Company, t.opts.CompanyCode, t.opts.Database, t.opts.Password, today.Format("2006"))
	t.golden = filepath.Join(cache, fmt.Sprintf("tryton-%s.%s", key, kind))
	unlock, err := lockFile(filepath.Join(cache, "tryton.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(t.golden); err == nil {
		return nil
	}
	if err := t.emptyDatabase(ctx); err != nil {
		return fmt.Errorf("making an empty database for Tryton: %w", err)
	}
	for _, cmd := range [][]string{
		{t.prefix.bin("trytond-admin"), "-c", filepath.Join(t.dir, "trytond.conf"), "-d", t.opts.Database, "--all",
			"-u", "account_invoice", "account_product", "--activate-dependencies", "--email", "admin@northstar.example"},
		{filepath.Join(t.dir, "setup_tryton.py"), "--config", filepath.Join(t.dir, "trytond.conf"), "--database", t.opts.Database,
			"--company", t.opts.Company, "--company-code", t.opts.CompanyCode, "--today", today.Format("2006-01-02"),
			"--user", t.User(), "--password", t.opts.Password},
	} {
		c := t.command("")
		c.Args = append([]string{"/usr/bin/python3"}, cmd...)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("setting up Tryton's database with %s: %w\n%s", filepath.Base(cmd[0]), err, out)
		}
	}
	return t.keepGolden(ctx)
}

func (t *Tryton) sqlite() string { return filepath.Join(t.dir, "db", t.opts.Database+".sqlite") }

func (t *Tryton) emptyDatabase(ctx context.Context) error {
	if t.opts.Postgres == "" {
		if err := os.WriteFile(t.sqlite(), nil, 0o644); err != nil {
			return err
		}
		return t.own()
	}
	return t.recreate(ctx)
}

func (t *Tryton) recreate(ctx context.Context) error {
	for _, sql := range []string{
		fmt.Sprintf(`DROP DATABASE IF EXISTS "%s" WITH (FORCE)`, t.opts.Database),
		fmt.Sprintf(`CREATE DATABASE "%s" TEMPLATE template0 ENCODING 'UTF8'`, t.opts.Database),
	} {
		if err := t.psql(ctx, "postgres", sql); err != nil {
			return err
		}
	}
	return nil
}

// keepGolden copies the database that was just set up into the cache.
func (t *Tryton) keepGolden(ctx context.Context) error {
	part := t.golden + ".part"
	var err error
	if t.opts.Postgres == "" {
		err = copyFile(t.sqlite(), part)
	} else {
		_, err = t.postgresTool(ctx, "pg_dump", "-Fc", "-f", part, t.postgres(t.opts.Database))
	}
	if err == nil {
		err = os.Rename(part, t.golden)
	}
	if err != nil {
		return fmt.Errorf("keeping the golden database: %w", err)
	}
	return nil
}

// Reset gives the server a fresh database. It must not be running.
func (t *Tryton) Reset() error {
	if t.cmd != nil {
		return fmt.Errorf("resetting Tryton's database: stop the server first")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	if t.opts.Postgres == "" {
		_ = os.Remove(t.sqlite() + "-journal") // of a killed server; it is usually not there
		if err = copyFile(t.golden, t.sqlite()); err == nil {
			err = t.own()
		}
	} else if err = t.recreate(ctx); err == nil {
		_, err = t.postgresTool(ctx, "pg_restore", "--no-owner", "-d", t.postgres(t.opts.Database), t.golden)
	}
	if err != nil {
		return fmt.Errorf("resetting Tryton's database: %w", err)
	}
	return nil
}

// SQL runs a statement in Tryton's database, for what the API does not offer (a unique index). PostgreSQL only.
func (t *Tryton) SQL(sql string) error {
	return t.psql(context.Background(), t.opts.Database, sql)
}

func (t *Tryton) psql(ctx context.Context, database, sql string) error {
	_, err := t.postgresTool(ctx, "psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-c", sql, t.postgres(database))
	return err
}

func (t *Tryton) postgresTool(ctx context.Context, tool string, args ...string) (string, error) {
	bin := t.opts.PostgresBin
	if bin == "" {
		all, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
		if len(all) == 0 {
			return "", fmt.Errorf("no PostgreSQL under /usr/lib/postgresql; run: apt-get install -y --no-install-recommends postgresql")
		}
		bin = all[len(all)-1]
	}
	return run(ctx, t.dir, []string{"PGOPTIONS=-c client_min_messages=warning"}, filepath.Join(bin, tool), args...)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
