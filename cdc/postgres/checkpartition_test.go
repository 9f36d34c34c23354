package postgres_test

import (
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/cdc/cdctest"
	"waybill/cdc/postgres"
)

// TestCheckPartitions finds partitions whose replica identity is another than their table's, and pastes what is printed. Before
// PostgreSQL 15 it tells what a session makes of a partition that comes later.
func TestCheckPartitions(t *testing.T) {
	cdctest.EachPostgres(t, func(t *testing.T, p *cdctest.Postgres) {
		p.Exec(t, `CREATE TABLE whole (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE whole_1 PARTITION OF whole FOR VALUES FROM (0) TO (10);
			CREATE TABLE "whole 2" PARTITION OF whole FOR VALUES FROM (10) TO (20); ALTER TABLE whole REPLICA IDENTITY FULL; ALTER TABLE whole_1 REPLICA IDENTITY FULL;
			CREATE TABLE keyed (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id); CREATE TABLE keyed_1 PARTITION OF keyed FOR VALUES FROM (0) TO (10);
			CREATE UNIQUE INDEX by_n ON keyed_1 (n); ALTER TABLE keyed_1 REPLICA IDENTITY USING INDEX by_n;
			CREATE TABLE same (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE same_1 PARTITION OF same FOR VALUES FROM (0) TO (10); CREATE TABLE plain (id int PRIMARY KEY)`)
		s := postgres.New(config(p, "parts"), []cdc.Selection{selection("whole", "n"), selection("keyed", "n"), selection("same"), selection("plain")}, logger(t))
		check := func() map[string]cdc.Finding {
			t.Helper()
			findings, err := s.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]cdc.Finding{}
			for _, x := range findings {
				if strings.Contains(x.Check, "partitions of") {
					found[x.Check] = x
				}
			}
			return found
		}
		const of = "identity of partitions of public."
		first := check()
		for table, want := range map[string]string{"whole": `ALTER TABLE "public"."whole 2" REPLICA IDENTITY FULL;`, "keyed": `ALTER TABLE "public"."keyed_1" REPLICA IDENTITY DEFAULT;`} {
			x := first[of+table]
			if x.Level != cdc.LevelWarn || x.Fix != want {
				t.Errorf("%s: %+v", table, x)
			}
			if x.Fix != "" {
				p.Exec(t, x.Fix)
			}
		}
		left := check()
		for _, table := range []string{"whole", "keyed", "same"} {
			if x := left[of+table]; x.Level != cdc.LevelOK {
				t.Errorf("left: %+v", x)
			}
			later := left["new partitions of public."+table]
			if old := p.Version(t) < 15; old != (later.Level == cdc.LevelWarn) || old != strings.Contains(later.Fix, "connects again by itself; then: waybill snapshot parts public."+table) {
				t.Errorf("%+v", later)
			}
		}
		if len(left) != 6 {
			t.Errorf("%d findings of partitions: %v", len(left), left)
		}
	})
}
