package sql

import (
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	good := Config{Product: Postgres, Host: "h", Database: "d", User: "u", Entities: map[string]Entity{"customer": {Table: "cust", Key: map[string]string{"no": "code"},
		Columns: map[string]string{"hold": "credit.hold"}, Booleans: map[string]Words{"hold": {"Y", "N"}}}}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	entity := func(change func(*Entity)) func(*Config) {
		return func(c *Config) {
			e := c.Entities["customer"]
			change(&e)
			c.Entities = map[string]Entity{"customer": e}
		}
	}
	for want, change := range map[string]func(*Config){
		`host: found ""`:                         func(c *Config) { c.Host = "" },
		`port: found "70000"`:                    func(c *Config) { c.Port = 70000 },
		`tls.mode: found "maybe"`:                func(c *Config) { c.TLS.Mode = "maybe" },
		`tls.cert: found "c"`:                    func(c *Config) { c.TLS.Cert = "c" },
		`time_zone: found "Mars"`:                func(c *Config) { c.TimeZone = "Mars" },
		`lock_timeout: found "2m0s"`:             func(c *Config) { c.LockTimeout = 2 * time.Minute },
		`connections: found "-1"`:                func(c *Config) { c.Connections = -1 },
		`entities: found ""`:                     func(c *Config) { c.Entities = nil },
		`entities.customer.table: found "a.b.c"`: entity(func(e *Entity) { e.Table = "a.b.c" }),
		`entities.customer.key: found ""`:        entity(func(e *Entity) { e.Key = nil }),
		`entities.customer.missing: found "no"`:  entity(func(e *Entity) { e.Missing = "no" }),
		`entities.customer.columns.no: found "no", expected a column once; it is in key`: entity(func(e *Entity) { e.Columns = map[string]string{"no": "x"}; e.Booleans = nil }),
		`entities.customer.columns.hold: found "a..b"`:                                   entity(func(e *Entity) { e.Columns = map[string]string{"hold": "a..b"} }),
		`entities.customer.insert_only: found "x"`:                                       entity(func(e *Entity) { e.InsertOnly = []string{"x"} }),
		`entities.customer.booleans.hold: found "Y"`:                                     entity(func(e *Entity) { e.Booleans = map[string]Words{"hold": {"Y", "Y"}} }),
		`entities.customer.version: found "hold"`:                                        entity(func(e *Entity) { e.Version = "hold" }),
		`entities.customer.existing: found "keep", expected update, where`:               entity(func(e *Entity) { e.Existing, e.UnlessChanged = existingKeep, true }),
		`entities.customer.delete_unless: found "active"`:                                entity(func(e *Entity) { e.Existing, e.DeleteUnless = existingKeep, "active" }),
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if n := strings.Count((Config{Product: MySQL}).Validate().Error(), "\n"); n != 3 {
		t.Errorf("%d lines for four faults", n+1)
	}
	if my := (Config{Product: MySQL, Database: "bill"}).withDefaults(); my.Schema != "bill" || my.Port != 3306 {
		t.Errorf("defaults of MySQL: %+v", my)
	}
}
