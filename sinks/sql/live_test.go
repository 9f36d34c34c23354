package sql

import (
	"context"
	db "database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/cdc/cdctest"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/sinks/web"
)

// site is a real server with a legacy table, and the sink before it.
type site struct {
	product string
	admin   *db.DB
	proxy   *tcpProxy
	cfg     Config
	sink    *Sink
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	p := cdctest.StartPostgres(t)
	p.Exec(t, `CREATE SCHEMA tms; CREATE TYPE tms.grade AS ENUM ('A', 'B', 'C');
CREATE DOMAIN tms.cust_no AS char(8);
CREATE TABLE tms.terms (code varchar(4) PRIMARY KEY);
INSERT INTO tms.terms VALUES ('N30');
CREATE TABLE tms."Cust Mst" (cust_no tms.cust_no PRIMARY KEY, cust_nm varchar(20) NOT NULL, hold_fl char(1) NOT NULL DEFAULT 'N' CHECK (hold_fl IN ('Y', 'N')),
  cr_lmt numeric(12,2), bal numeric, since date, chg_ts timestamp(0), chg_tz timestamptz, grade tms.grade, act boolean, rate double precision, opens time(0),
  terms varchar(4) REFERENCES tms.terms, alt_no varchar(10) UNIQUE, upd_by varchar(10), lock_no integer NOT NULL DEFAULT 0, doc jsonb, uid uuid, n8 bigint);
CREATE ROLE clerk LOGIN PASSWORD 'clerk-test'; GRANT USAGE ON SCHEMA tms TO clerk; GRANT SELECT, INSERT, UPDATE, DELETE ON tms."Cust Mst" TO clerk;
CREATE ROLE guest LOGIN PASSWORD 'guest-test'; GRANT USAGE ON SCHEMA tms TO guest; GRANT SELECT ON tms."Cust Mst" TO guest;
CREATE TABLE tms.bare (a integer, b integer NOT NULL, c money, d integer GENERATED ALWAYS AS (a + 1) STORED); GRANT SELECT, INSERT ON tms.bare TO clerk`)
	s := &site{product: Postgres, admin: p.DB, proxy: startProxy(t, fmt.Sprintf("127.0.0.1:%d", p.Port))}
	s.cfg = Config{Product: Postgres, Host: "127.0.0.1", Port: s.proxy.port(), Database: p.Database, User: "clerk", Password: web.Plain("clerk-test"), Schema: "tms",
		TimeZone: "America/Chicago", TLS: TLS{Mode: tlsOff}}
	s.run(t)
	t.Run("standby", func(t *testing.T) { s.standby(t, p.Standby(t, "copy").Port) })
}

// standby: what is not there yet is not absent, and nothing is written. The server was restarted for it, under the sink.
func (s *site) standby(t *testing.T, port int) {
	in, out := s.sink.Prepare(t.Context(), customer("Z1", ""), stepUpsert, nil, time.Now())
	for try := 0; out != nil && out.Class == sinks.RetryLater && try < 10; try++ { // connections of before
		in, out = s.sink.Prepare(t.Context(), customer("Z1", ""), stepUpsert, nil, time.Now())
	}
	if out != nil {
		t.Fatal(*out)
	}
	cfg := s.cfg
	cfg.Port = port
	copied := s.open(t, cfg)
	want(t, "look", copied.Verify(t.Context(), in), sinks.RetryLater, codeReadOnly)
	want(t, "delivery", copied.Deliver(t.Context(), in), sinks.RetryLater, codeReadOnly)
	o := s.sink.Deliver(t.Context(), in)
	for try := 0; o.Class == sinks.RetryLater && try < 10; try++ { // connections of before
		o = s.sink.Deliver(t.Context(), in)
	}
	want(t, "delivery to the primary", o, sinks.Applied, "")
	a, err := s.sink.Identity(t.Context())
	if b, other := copied.Identity(t.Context()); err != nil || other != nil || a != b {
		t.Errorf("the primary is %q (%v), its standby %q (%v)", a, err, b, other)
	}
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	m := cdctest.StartMariaDB(t)
	m.Exec(t, "CREATE DATABASE tms; USE tms; CREATE TABLE terms (code varchar(4) PRIMARY KEY); INSERT INTO terms VALUES ('N30');"+
		"CREATE TABLE `Cust Mst` (cust_no char(8) PRIMARY KEY, cust_nm varchar(20) NOT NULL, hold_fl char(1) NOT NULL DEFAULT 'N' CHECK (hold_fl IN ('Y', 'N')),"+
		"cr_lmt decimal(12,2), bal decimal(20,6), since date, chg_ts datetime, chg_tz timestamp(6) NULL, grade enum('A','B','C'), act tinyint(1), rate double, opens time,"+
		"terms varchar(4), CONSTRAINT fk_terms FOREIGN KEY (terms) REFERENCES terms (code), alt_no varchar(10), UNIQUE KEY uq_alt (alt_no), upd_by varchar(10),"+
		"lock_no int NOT NULL DEFAULT 0, doc longtext, uid char(36), n8 bigint);"+
		"CREATE USER clerk@'%' IDENTIFIED BY 'clerk-test'; GRANT SELECT, INSERT, UPDATE, DELETE ON tms.`Cust Mst` TO clerk@'%';"+
		"CREATE USER guest@'%' IDENTIFIED BY 'guest-test'; GRANT SELECT ON tms.`Cust Mst` TO guest@'%';"+
		"CREATE TABLE bare (a int, b int NOT NULL, c geometry, d int AS (a + 1) STORED); GRANT SELECT, INSERT ON tms.bare TO clerk@'%'")
	s := &site{product: MariaDB, admin: m.DB, proxy: startProxy(t, fmt.Sprintf("127.0.0.1:%d", m.Port))}
	s.cfg = Config{Product: MariaDB, Host: "127.0.0.1", Port: s.proxy.port(), Database: "tms", User: "clerk", Password: web.Plain("clerk-test"),
		TimeZone: "America/Chicago", TLS: TLS{Mode: tlsOff}}
	s.run(t)
}

var custColumns = map[string]string{"cust_nm": "name", "hold_fl": "credit.hold", "cr_lmt": "credit.limit", "bal": "balance", "since": "since", "chg_ts": "changed",
	"chg_tz": "seen", "grade": "grade", "act": "active", "rate": "rate", "opens": "opens", "terms": "payment_term", "alt_no": "alias", "doc": "doc", "uid": "uid", "n8": "n8"}

func (s *site) run(t *testing.T) {
	yesNo := map[string]Words{"hold_fl": {"Y", "N"}}
	key := map[string]string{"cust_no": memberExternalID}
	holds := map[string]string{"hold_fl": "hold"}
	s.cfg.Entities = map[string]Entity{
		"customer": {Table: "Cust Mst", Key: map[string]string{"cust_no": "code"}, Columns: custColumns, Constants: map[string]string{"upd_by": "WAYBILL"},
			InsertOnly: []string{"upd_by"}, Booleans: yesNo},
		"hold":    {Table: "Cust Mst", Key: key, Columns: holds, Booleans: yesNo, Missing: either},
		"ignore":  {Table: "Cust Mst", Key: key, Columns: holds, Booleans: yesNo, Missing: missingIgnore},
		"once":    {Table: "Cust Mst", Key: key, Columns: map[string]string{"cust_nm": "name"}, Existing: either},
		"keep":    {Table: "Cust Mst", Key: key, Columns: map[string]string{"cust_nm": "name"}, Existing: existingKeep},
		"mayfly":  {Table: "Cust Mst", Key: key, Columns: map[string]string{"cust_nm": "name"}, DeleteUnless: "active"},
		"guarded": {Table: "Cust Mst", Key: key, Columns: map[string]string{"cust_nm": "name", "cr_lmt": "limit"}, UnlessChanged: true},
		"counted": {Table: "Cust Mst", Key: key, Columns: map[string]string{"cust_nm": "name"}, Version: "lock_no"},
	}
	s.cfg.LockTimeout = time.Second
	s.sink = s.open(t, s.cfg)
	t.Run("suite", s.suite)
	for name, f := range map[string]func(*testing.T){"values": s.values, "refusals": s.refusals, "equal rows are not written": s.equal, "modes": s.modes,
		"delete": s.deletes, "edits of others": s.edits, "versions": s.versions, "a key that is nearly ours": s.nearlyOurs, "locked": s.locked,
		"triggers": s.triggers, "check": s.check, "answers of the target": s.answers, "read only": s.readOnly} {
		t.Run(name, f)
	}
}

func (s *site) open(t *testing.T, cfg Config) *Sink {
	t.Helper()
	sink, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func (s *site) exec(t *testing.T, text string) {
	t.Helper()
	if s.product == Postgres {
		text = strings.ReplaceAll(text, "`", `"`)
	}
	if _, err := s.admin.Exec(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func (s *site) ask(t *testing.T, text string) string {
	t.Helper()
	if s.product == Postgres {
		text = strings.ReplaceAll(text, "`", `"`)
	}
	var out db.NullString
	if err := s.admin.QueryRow(text).Scan(&out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out.String
}

const custTable = "tms.`Cust Mst`"

func op(entity, key, body string) sinks.Operation {
	return sinks.Operation{ID: "d-" + key, Sink: "db", Entity: entity, Company: "ACME", ExternalID: key, OrderKey: entity + "/" + key, Body: json.RawMessage(body)}
}

func customer(key, more string) sinks.Operation {
	return op("customer", key, fmt.Sprintf(`{"code":%q,"name":"Northern Mills","credit":{"hold":true,"limit":"2500.50"}%s}`, key, more))
}

// post prepares and delivers.
func (s *site) post(t *testing.T, o sinks.Operation) sinks.Outcome {
	t.Helper()
	return deliver(t.Context(), s.sink, o)
}

func deliver(ctx context.Context, sink *Sink, o sinks.Operation) sinks.Outcome {
	in, out := sink.Prepare(ctx, o, stepUpsert, nil, time.Now())
	if out != nil {
		return *out
	}
	return sink.Deliver(ctx, in)
}

func want(t *testing.T, what string, o sinks.Outcome, class sinks.Class, code string) {
	t.Helper()
	if o.Class != class || o.Code != code {
		t.Errorf("%s: got %s %s, want %s %s\n%+v", what, o.Class, o.Code, class, code, o)
	}
}

func (s *site) suite(t *testing.T) {
	intruder := s.cfg
	intruder.Password = web.Plain("wrong")
	sinktest.TestSink(t, sinktest.Harness{Sink: s.sink,
		Operations: map[string]func(*testing.T, int) sinks.Operation{
			"customer": func(_ *testing.T, n int) sinks.Operation { return customer(fmt.Sprint("S", n), "") },
			"hold": func(t *testing.T, n int) sinks.Operation {
				key := fmt.Sprint("H", n)
				s.exec(t, fmt.Sprintf("INSERT INTO "+custTable+" (cust_no, cust_nm) VALUES ('%s', 'There already')", key))
				return op("hold", key, `{"hold":true}`)
			}},
		Altered: func(o sinks.Operation) sinks.Operation {
			o.Body = json.RawMessage(strings.NewReplacer(`"hold":true`, `"hold":false`).Replace(string(o.Body)))
			return o
		},
		Refused: func(_ *testing.T, n int) sinks.Operation {
			return op("customer", fmt.Sprint("R", n), `{"code":"R1","name":"A name of more than twenty characters"}`)
		},
		LoseAnswer:  func(string, string) { s.proxy.loseCommit() },
		Heal:        s.proxy.heal,
		Unreachable: s.proxy.unreachable,
		Intruder:    func(t *testing.T) sinks.Sink { return s.open(t, intruder) },
	})
	if s.proxy.lost != 2 {
		t.Errorf("%d answers to COMMIT were lost, want 2", s.proxy.lost)
	}
}

// values come out as they went in, in the target's own types.
func (s *site) values(t *testing.T) {
	o := customer("V1", `,"balance":-0.000001,"since":"2026-03-08","changed":"2026-11-23T14:30:00Z","seen":"2026-11-23T14:30:00.123456Z","grade":"B","active":true,
"rate":0.1,"opens":"07:30","payment_term":"N30","alias":"nm-1","doc":"a text","uid":"0198AB00-0000-7000-8000-00000000000A","n8":9007199254740993`)
	want(t, "post", s.post(t, o), sinks.Applied, "")
	for col, text := range map[string]string{"cust_no": "V1", "cust_nm": "Northern Mills", "hold_fl": "Y", "cr_lmt": "2500.50", "bal": "-0.000001", "since": "2026-03-08",
		"chg_ts": "2026-11-23 08:30:00", "grade": "B", "rate": "0.1", "opens": "07:30:00", "terms": "N30", "alt_no": "nm-1", "upd_by": "WAYBILL",
		"n8": "9007199254740993", "lock_no": "0"} {
		cast := col + "::text"
		if s.product != Postgres {
			cast = "CAST(" + col + " AS CHAR)"
		}
		if got := s.ask(t, "SELECT "+cast+" FROM "+custTable+" WHERE cust_no = 'V1'"); got != text {
			t.Errorf("%s is %q, want %q", col, got, text)
		}
	}
	want(t, "again", s.post(t, o), sinks.AlreadyApplied, "")
	nulls := customer("V1", `,"balance":null,"seen":null,"grade":null,"doc":null,"since":null`)
	want(t, "with nulls", s.post(t, nulls), sinks.Applied, "")
	if got := s.ask(t, "SELECT count(*) FROM "+custTable+" WHERE cust_no = 'V1' AND bal IS NULL AND chg_tz IS NULL AND grade IS NULL AND since IS NULL AND rate IS NOT NULL"); got != "1" {
		t.Error("a null was not written, or a member that is not there was")
	}
}

// refusals are made before anything is sent.
func (s *site) refusals(t *testing.T) {
	for _, c := range []struct{ more, code, field string }{
		{`,"balance":"12e4"`, codeType, "balance"},
		{`,"credit":{"limit":"1.005"}`, codeExact, "credit.limit"},
		{`,"credit":{"limit":"12345678901"}`, codeRange, "credit.limit"},
		{`,"n8":"9223372036854775808"`, codeRange, "n8"},
		{`,"n8":1.5`, codeExact, "n8"},
		{`,"rate":0.12345678901234567890`, codeExact, "rate"},
		{`,"since":"2026-02-30"`, codeType, "since"},
		{`,"since":"11/23/2026"`, codeType, "since"},
		{`,"changed":"2026-11-23T14:30:00.5Z"`, codeExact, "changed"},
		{`,"seen":"2026-11-01T01:30:00"`, codeExact, "seen"}, // twice in Chicago
		{`,"seen":"2026-03-08T02:30:00"`, codeExact, "seen"}, // never
		{`,"seen":"2026-11-23"`, codeType, "seen"},
		{`,"grade":"D"`, codeAllowed, "grade"},
		{`,"active":"maybe"`, codeType, "active"},
		{`,"name":"A name that is too long for it"`, codeTooLong, "name"},
		{`,"name":null`, codeRequired, "name"},
		{`,"name":true`, codeType, "name"},
		{`,"alias":["a"]`, codeType, "alias"},
		{`,"code":"123456789"`, codeTooLong, "code"},
		{`,"code":""`, codeRequired, "code"},
	} {
		o := s.post(t, op("customer", "R0", `{"code":"R0","name":"x"`+c.more+`}`))
		want(t, c.more, o, sinks.Rejected, c.code)
		if o.Field != c.field || o.Message == "" || o.Hint == "" {
			t.Errorf("%s: field %q, message %q, hint %q", c.more, o.Field, o.Message, o.Hint)
		}
	}
	want(t, "no object", s.post(t, op("customer", "R0", `[1]`)), sinks.Rejected, "BODY")
	if n := s.ask(t, "SELECT count(*) FROM "+custTable+" WHERE cust_no = 'R0'"); n != "0" {
		t.Errorf("%s rows of refused postings", n)
	}
}

// equal rows are not written: no trigger runs, no change is made that could be an echo.
func (s *site) equal(t *testing.T) {
	want(t, "first", s.post(t, customer("E1", "")), sinks.Applied, "")
	if s.product == Postgres {
		before := s.ask(t, "SELECT xmin::text FROM "+custTable+" WHERE cust_no = 'E1'")
		want(t, "again", s.post(t, customer("E1", `,"active":null`)), sinks.AlreadyApplied, "")
		if after := s.ask(t, "SELECT xmin::text FROM "+custTable+" WHERE cust_no = 'E1'"); after != before {
			t.Errorf("the row was written again: xmin %s, then %s", before, after)
		}
		return
	}
	want(t, "again", s.post(t, customer("E1", `,"active":null`)), sinks.AlreadyApplied, "")
}

func (s *site) modes(t *testing.T) {
	want(t, "update of what is not there", s.post(t, op("hold", "M1", `{"hold":true}`)), sinks.Rejected, "NO_ROW")
	want(t, "ignored", s.post(t, op("ignore", "M1", `{"hold":true}`)), sinks.AlreadyApplied, "")
	want(t, "made once", s.post(t, op("once", "M1", `{"name":"one"}`)), sinks.Applied, "")
	want(t, "made twice, the same", s.post(t, op("once", "M1", `{"name":"one"}`)), sinks.AlreadyApplied, "")
	want(t, "made twice, other", s.post(t, op("once", "M1", `{"name":"two"}`)), sinks.Conflict, "ROW_EXISTS")
	want(t, "kept", s.post(t, op("keep", "M1", `{"name":"three"}`)), sinks.AlreadyApplied, "")
	want(t, "updated", s.post(t, op("ignore", "M1", `{"hold":true}`)), sinks.Applied, "")
	if got := s.ask(t, "SELECT CONCAT(cust_nm, hold_fl) FROM "+custTable+" WHERE cust_no = 'M1'"); got != "oneY" {
		t.Errorf("the row is %q, want oneY", got)
	}
}

func (s *site) deletes(t *testing.T) {
	want(t, "made", s.post(t, op("mayfly", "D1", `{"name":"x","active":true}`)), sinks.Applied, "")
	o := op("mayfly", "D1", `{"name":"x","active":false}`)
	in, out := s.sink.Prepare(t.Context(), o, stepUpsert, nil, time.Now())
	if out != nil {
		t.Fatal(*out)
	}
	want(t, "verified before", s.sink.Verify(t.Context(), in), sinks.Absent, "")
	want(t, "deleted", s.sink.Deliver(t.Context(), in), sinks.Applied, "")
	want(t, "verified", s.sink.Verify(t.Context(), in), sinks.AlreadyApplied, "")
	want(t, "deleted again", s.sink.Deliver(t.Context(), in), sinks.AlreadyApplied, "")
	want(t, "active is no boolean", s.post(t, op("mayfly", "D1", `{"name":"x","active":"no"}`)), sinks.Rejected, codeType)
	if n := s.ask(t, "SELECT count(*) FROM "+custTable+" WHERE cust_no = 'D1'"); n != "0" {
		t.Errorf("%s rows are left", n)
	}
}

// edits: what somebody else wrote is not overwritten unless a person says so.
func (s *site) edits(t *testing.T) {
	first := op("guarded", "G1", `{"name":"one","limit":"10"}`)
	done := s.post(t, first)
	want(t, "first", done, sinks.Applied, "")
	s.exec(t, "UPDATE "+custTable+" SET cr_lmt = 99 WHERE cust_no = 'G1'")
	next := op("guarded", "G1", `{"name":"two","limit":"20"}`)
	next.Last = &sinks.Last{Body: first.Body, Facts: done.Facts}
	o := s.post(t, next)
	want(t, "edited meanwhile", o, sinks.Conflict, sinks.CodeChanged)
	if o.Facts["there.cr_lmt"] != "99" || o.Facts["last.cr_lmt"] != "10" || o.Facts["wanted.cr_lmt"] != "20" {
		t.Errorf("facts %v", o.Facts)
	}
	next.Take = sinks.TakeTheirs
	done = s.post(t, next)
	want(t, "theirs", done, sinks.Applied, "")
	if got := s.ask(t, "SELECT CONCAT(cust_nm, cr_lmt) FROM "+custTable+" WHERE cust_no = 'G1'"); got != "two99.00" || done.Facts[sinks.KeptFact+"cr_lmt"] != "99" {
		t.Errorf("the row is %q, facts %v", got, done.Facts)
	}
	// Nobody changed anything since: their value stays as long as ours stays.
	again := op("guarded", "G1", `{"name":"three","limit":"20"}`)
	again.Last = &sinks.Last{Body: next.Body, Facts: done.Facts}
	want(t, "kept", s.post(t, again), sinks.Applied, "")
	again.Body = json.RawMessage(`{"name":"three","limit":"30"}`)
	want(t, "wanted otherwise", s.post(t, again), sinks.Conflict, sinks.CodeChanged)
	again.Take = sinks.TakeOurs
	want(t, "ours", s.post(t, again), sinks.Applied, "")
	if got := s.ask(t, "SELECT CONCAT(cust_nm, cr_lmt) FROM "+custTable+" WHERE cust_no = 'G1'"); got != "three30.00" {
		t.Errorf("the row is %q", got)
	}
}

func (s *site) versions(t *testing.T) {
	first := op("counted", "C1", `{"name":"one"}`)
	done := s.post(t, first)
	want(t, "first", done, sinks.Applied, "")
	next := op("counted", "C1", `{"name":"two"}`)
	next.Last = &sinks.Last{Body: first.Body, Facts: done.Facts}
	done = s.post(t, next)
	want(t, "second", done, sinks.Applied, "")
	if done.Facts[factVersion] != "1" {
		t.Errorf("the version was not raised: %v", done.Facts)
	}
	s.exec(t, "UPDATE "+custTable+" SET lock_no = lock_no + 1 WHERE cust_no = 'C1'")
	third := op("counted", "C1", `{"name":"three"}`)
	third.Last = &sinks.Last{Body: next.Body, Facts: done.Facts}
	want(t, "somebody else raised it", s.post(t, third), sinks.Conflict, sinks.CodeChanged)
	third.Take = sinks.TakeOurs
	want(t, "ours", s.post(t, third), sinks.Applied, "")
	if got := s.ask(t, "SELECT CONCAT(cust_nm, lock_no) FROM "+custTable+" WHERE cust_no = 'C1'"); got != "three3" {
		t.Errorf("the row is %q", got)
	}
}

// nearlyOurs: a collation that takes abc for ABC must not let us write a stranger's row.
func (s *site) nearlyOurs(t *testing.T) {
	want(t, "ABC", s.post(t, customer("ABC", "")), sinks.Applied, "")
	o := s.post(t, customer("abc", `,"balance":1`))
	if s.product == Postgres {
		want(t, "abc", o, sinks.Applied, "")
		return
	}
	want(t, "abc", o, sinks.Conflict, "OTHER_KEY")
}

func (s *site) locked(t *testing.T) {
	want(t, "made", s.post(t, customer("L1", "")), sinks.Applied, "")
	tx, err := s.admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	text := "UPDATE " + custTable + " SET cust_nm = 'held' WHERE cust_no = 'L1'"
	if s.product == Postgres {
		text = strings.ReplaceAll(text, "`", `"`)
	}
	if _, err := tx.Exec(text); err != nil {
		t.Fatal(err)
	}
	want(t, "held by somebody", s.post(t, customer("L1", `,"balance":1`)), sinks.RetryLater, codeLocked)
	want(t, "another row", s.post(t, customer("L2", "")), sinks.Applied, "")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	want(t, "free again", s.post(t, customer("L1", `,"balance":1`)), sinks.Applied, "")
}

// triggers that change what is written are found out before the commit.
func (s *site) triggers(t *testing.T) {
	if s.product == Postgres {
		s.exec(t, `CREATE FUNCTION tms.shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF NEW.cust_nm = 'quiet' THEN NEW.cust_nm := 'QUIET'; END IF; IF NEW.cust_nm = 'never' THEN RAISE EXCEPTION 'not on our books'; END IF;
IF NEW.cust_nm = 'nobody' THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON tms."Cust Mst" FOR EACH ROW EXECUTE FUNCTION tms.shout()`)
	} else {
		s.exec(t, "CREATE TRIGGER tms.shout BEFORE INSERT ON tms.`Cust Mst` FOR EACH ROW BEGIN IF NEW.cust_nm = 'quiet' THEN SET NEW.cust_nm = 'QUIET'; END IF; "+
			"IF NEW.cust_nm = 'never' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not on our books'; END IF; END")
	}
	o := s.post(t, op("keep", "T1", `{"name":"quiet"}`))
	want(t, "changed by a trigger", o, sinks.Rejected, codeChangedBy)
	if o.Field != "name" || !strings.Contains(o.Message, "QUIET") {
		t.Errorf("%+v", o)
	}
	o = s.post(t, op("keep", "T1", `{"name":"never"}`))
	want(t, "refused by a trigger", o, sinks.Rejected, codeRefused)
	if !strings.Contains(o.Message, "not on our books") {
		t.Errorf("%+v", o)
	}
	if s.product == Postgres {
		want(t, "taken away by a trigger", s.post(t, op("keep", "T1", `{"name":"nobody"}`)), sinks.Rejected, codeChangedBy)
	}
	if n := s.ask(t, "SELECT count(*) FROM "+custTable+" WHERE cust_no = 'T1'"); n != "0" {
		t.Errorf("%s rows were left", n)
	}
	if s.product == Postgres {
		s.exec(t, `DROP TRIGGER shout ON tms."Cust Mst"`)
	} else {
		s.exec(t, "DROP TRIGGER tms.shout")
	}
}

// answers of the target to what the catalogue does not tell.
func (s *site) answers(t *testing.T) {
	want(t, "first alias", s.post(t, customer("A1", `,"alias":"same"`)), sinks.Applied, "")
	o := s.post(t, customer("A2", `,"alias":"same"`))
	want(t, "a unique column", o, sinks.Conflict, codeUnique)
	if o.Field != "alias" {
		t.Errorf("field %q: %+v", o.Field, o)
	}
	o = s.post(t, customer("A3", `,"payment_term":"N99"`))
	want(t, "a foreign key", o, sinks.Rejected, "FOREIGN_KEY")
	if o.Field != "payment_term" {
		t.Errorf("field %q: %+v", o.Field, o)
	}
	want(t, "no name", s.post(t, op("customer", "A4", `{"code":"A4"}`)), sinks.Rejected, "NOT_NULL")
	cfg := s.cfg
	cfg.User, cfg.Password = "guest", web.Plain("guest-test")
	guest := s.open(t, cfg)
	want(t, "a guest", deliver(t.Context(), guest, customer("A5", "")), sinks.Setup, codeRights)
	cfg = s.cfg
	cfg.Database = "nowhere"
	cfg.Schema = "tms"
	o = deliver(t.Context(), s.open(t, cfg), customer("A6", ""))
	if o.Class != sinks.Setup || o.Hint == "" {
		t.Errorf("no such database: %+v", o)
	}
	// A column that is gone: the catalogue is read again, and the next answer names it.
	s.exec(t, "ALTER TABLE "+custTable+" DROP COLUMN upd_by")
	defer s.exec(t, "ALTER TABLE "+custTable+" ADD COLUMN upd_by varchar(10)")
	want(t, "a column is gone", s.post(t, customer("A7", "")), sinks.Setup, codeTable)
	o = s.post(t, customer("A7", ""))
	if want(t, "asked again", o, sinks.Setup, codeTable); o.Field != "upd_by" {
		t.Errorf("%+v", o)
	}
	s.sink.forget()
}

func (s *site) readOnly(t *testing.T) {
	in, out := s.sink.Prepare(t.Context(), customer("P1", ""), stepUpsert, nil, time.Now())
	if out != nil {
		t.Fatal(*out)
	}
	if s.product == Postgres {
		s.exec(t, "ALTER ROLE clerk SET default_transaction_read_only = on")
		defer s.exec(t, "ALTER ROLE clerk RESET default_transaction_read_only")
	} else {
		s.exec(t, "SET GLOBAL read_only = ON")
		defer s.exec(t, "SET GLOBAL read_only = OFF")
	}
	other := s.open(t, s.cfg)
	want(t, "delivery", other.Deliver(t.Context(), in), sinks.RetryLater, codeReadOnly)
	want(t, "look", other.Verify(t.Context(), in), sinks.RetryLater, codeReadOnly)
	list, err := other.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := failing(list); !strings.Contains(text, "primary: ") {
		t.Errorf("check says nothing about it:\n%s", text)
	}
}
