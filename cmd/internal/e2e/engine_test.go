package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// engine is a site of which only one database is captured, under the name db. The stress tests of the capture run on each
// engine alone.
type engine struct {
	*site
	kind string // postgres or mariadb
	more string // lines of the source's configuration
	db   *sql.DB
	host string
	port int // of the server, or of a proxy before it
	erp  *sinktest.LedgerProcess
	api  *admin.Client
}

var engines = []string{"postgres", "mariadb"}

// newEngine makes the databases and the simulated ERP.
func newEngine(t *testing.T, kind string) *engine {
	t.Helper()
	e := &engine{site: newSite(t), kind: kind, host: "127.0.0.1", port: pg.Port}
	e.db = e.site.dispatch
	if kind == "mariadb" {
		e.db, e.port = e.site.billing, maria.Port
	}
	e.erp = e.ledger()
	e.api = admin.Dial(filepath.Join(e.dir, "data", "waybill.sock"), "waybill.yaml")
	t.Cleanup(e.api.Close)
	return e
}

// configure writes the mapping and waybill.yaml. more is added to it.
func (e *engine) configure(mapping, more string) {
	e.t.Helper()
	e.file("mapping.yaml", "mapping: stress\nversion: 1\ncutover: "+e.cutover.Format(time.RFC3339)+"\nsources:\n  db: { zone: UTC, dst: earlier }\n"+mapping)
	source := fmt.Sprintf("    type: mariadb\n    database: %s\n    user: %s\n    password: %s\n", e.myName, maria.User, maria.Password)
	if e.kind == "postgres" {
		source = fmt.Sprintf("    type: postgres\n    database: %s\n    user: %s\n    password: %s\n    ssl_mode: disable\n    slot: %s\n    publication: %s\n",
			e.pgName, pg.User, pg.Password, e.pgName, e.pgName)
	}
	e.file("waybill.yaml", fmt.Sprintf("data: data\nmapping: mapping.yaml\nsources:\n  db:\n%s    host: %s\n    port: %d\n    heartbeat: 1s\n%ssinks:\n%s"+
		"disk: { free_floor: 64MiB }\n%s", source, e.host, e.port, e.more, e.sink, more))
}

// customersOf maps the rows of a table for which when holds to customers; two of its columns are their code and name.
func customersOf(table, when, code, name string) string {
	return fmt.Sprintf(`
events:
  customer.changed:
    from: db.%s
    lane: master
    when: %s
    key: %s
    set: { code: %[3]s, name: %s }
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, name: name }
`, table, when, code, name)
}

var placeholder = regexp.MustCompile(`\$\d+`)

// text is a statement as the engine writes it: MariaDB's arguments are question marks.
func (e *engine) text(statement string) string {
	if e.kind == "postgres" {
		return statement
	}
	return placeholder.ReplaceAllString(statement, "?")
}

// series is a FROM item with the numbers from 1 to last in the column n.
func (e *engine) series(last int) string {
	if e.kind == "postgres" {
		return fmt.Sprintf("generate_series(1, %d) s(n)", last)
	}
	return fmt.Sprintf("(SELECT seq n FROM seq_1_to_%d) s", last)
}

// asked is the daemon's status, asked without a process of its own.
func (e *engine) asked() (pipeline.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return e.api.Status(ctx)
}

// source is what the status says of the one source; a problem of its own state is in the text that people read.
func (e *engine) source() (src pipeline.SourceStatus, problems string) {
	st, err := e.asked()
	if err != nil || len(st.Sources) != 1 {
		return src, ""
	}
	return st.Sources[0], strings.Join(st.Problems, "\n")
}

// effects counts what the ERP did, by external id.
func (e *engine) effects() map[string]int {
	e.t.Helper()
	report, err := sinktest.Ledger(e.erp.File, nil, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	seen := map[string]int{}
	for _, x := range report.Effects {
		seen[x.ExternalID]++
	}
	return seen
}

// delivered is of how many records the ERP did something.
func (e *engine) delivered() int { return len(e.effects()) }

// plainBinary makes the program without the race detector the one under test: memory and time are measured of what is
// shipped. Tests that run beside others may not use it.
func plainBinary(t *testing.T) {
	t.Helper()
	fast := filepath.Join(scratch, "waybill-plain")
	if _, err := os.Stat(fast); err != nil {
		if out, err := exec.Command("go", "build", "-o", fast, "waybill/cmd/waybill").CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	racy := binary
	binary = fast
	t.Cleanup(func() { binary = racy })
}

// setting is a number from the environment.
func setting(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n >= 0 {
		return n
	}
	return standard
}

// soak is a number from the environment that must be there: without it the test is not part of the run.
func soak(t *testing.T, name string) int {
	t.Helper()
	n := setting(name, 0)
	if n == 0 {
		t.Skipf("%s is not set: make soak runs this test", name)
	}
	return n
}
