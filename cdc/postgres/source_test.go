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

func TestContract(t *testing.T) {
	p := cdctest.StartPostgres(t)
	source := func(t *testing.T, name string, selection []cdc.Selection) *postgres.Source {
		return postgres.New(config(p, name), selection, logger(t))
	}
	cdctest.TestSource(t, cdctest.Harness{
		DB:     p.DB,
		Schema: "public",
		Codecs: cdc.Codecs{postgres.CodecName: postgres.Codec()},
		New: func(t *testing.T, name string, selection []cdc.Selection) cdc.Source {
			return source(t, name, selection)
		},
		Heartbeat: time.Second,
		Kill:      func(*testing.T) { p.Kill() },
		Restart: func(t *testing.T) {
			if err := p.Restart(); err != nil {
				t.Fatal(err)
			}
		},
		Confirmed: func(t *testing.T, name string) cdc.Position { return confirmed(t, p, name) },
		Release: func(t *testing.T, name string) {
			if err := source(t, name, nil).Release(context.Background()); err != nil {
				t.Errorf("Release: %v", err)
			}
		},
	})
}

// confirmed reads what the slot keeps, as a position.
func confirmed(t testing.TB, p *cdctest.Postgres, name string) cdc.Position {
	t.Helper()
	var pos string
	err := p.DB.QueryRow(`SELECT 'pg/' || system_identifier || '/' || timeline_id || '/' || confirmed_flush_lsn
		FROM pg_control_system(), pg_control_checkpoint(), pg_replication_slots WHERE slot_name = $1`, "waybill_"+name).Scan(&pos)
	if err != nil {
		t.Fatal(err)
	}
	return cdc.Position(pos)
}
