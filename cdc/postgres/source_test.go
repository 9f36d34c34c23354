package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(p *cdctest.Postgres, name string) postgres.Config {
	return postgres.Config{Name: name, Host: p.Host, Port: p.Port, Database: p.Database, User: p.User, Password: p.Password,
		Heartbeat: time.Second}
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func TestSmoke(t *testing.T) {
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE TABLE loads (id int primary key, note text, amt numeric(10,2)); INSERT INTO loads SELECT i, 'n'||i, i FROM generate_series(1,10) i`)
	s := postgres.New(config(p, "smoke"), []cdc.Selection{{Table: cdc.Table{Name: "loads"}, Columns: []string{"note"}}}, logger(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f, err := s.Check(ctx)
	for _, x := range f {
		t.Logf("%+v", x)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(ctx, ""); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p.Exec(t, `UPDATE loads SET note='x' WHERE id=3; INSERT INTO loads VALUES (11,'y',1); DELETE FROM loads WHERE id=4`)
	for range 4 {
		b, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", b)
		if b.Position != "" {
			s.Confirm(b.Position)
		}
		t.Logf("%+v", s.Lag())
	}
}
