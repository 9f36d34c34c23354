package mysql

import (
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func TestConfigReportsEveryFault(t *testing.T) {
	err := Config{Flavor: "oracle", Port: 70000, GTID: "maybe", TLS: TLS{Mode: "please", Cert: "c"}, Heartbeat: time.Millisecond,
		ConnectTimeout: time.Hour, Masked: []string{"secret"}}.Validate()
	if err == nil {
		t.Fatal("no fault was found")
	}
	want := []string{
		"name: must not be empty", "host: must not be empty", "database: must not be empty", "user: must not be empty",
		`flavor: must be one of mariadb, mysql (got "oracle")`, `gtid: must be one of auto, on, off (got "maybe")`,
		`tls.mode: must be one of off, require, verify-ca, verify (got "please")`, "port: must be between 1 and 65535 (got 70000)",
		"heartbeat: must be between 100ms and 1h (got 1ms)", "connect_timeout: must be between 1s and 10m (got 1h0m0s)",
		"tls.cert, tls.key: must be given together", `masked[0]: must be table.column (got "secret")`,
	}
	if got := strings.Split(err.Error(), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s", err)
	}
}

func TestConfigDefaults(t *testing.T) {
	var c Config
	if err := yaml.Unmarshal([]byte("{host: db, database: billing, user: waybill, heartbeat: 2s}"), &c); err != nil {
		t.Fatal(err)
	}
	c.Name = "billing"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	d := c.withDefaults()
	if d.Port != 3306 || d.Flavor != MariaDB || d.Heartbeat != 2*time.Second || d.ServerID < 1<<30 || d.ServerID != c.withDefaults().ServerID {
		t.Errorf("%+v", d)
	}
}
