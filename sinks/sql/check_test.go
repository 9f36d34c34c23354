package sql

import (
	"strings"
	"testing"

	"waybill/cdc"
	"waybill/sinks/web"
)

// failing shows what is not right in a list of findings.
func failing(list []cdc.Finding) string {
	var b strings.Builder
	for _, f := range list {
		if f.Level != cdc.LevelOK {
			b.WriteString(string(f.Level) + " " + f.Check + ": " + f.Found + " | " + f.Fix + "\n")
		}
	}
	return b.String()
}

func (s *site) check(t *testing.T) {
	list, err := s.sink.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := failing(list)
	if s.product != Postgres { // clerk may not see triggers
		for _, e := range []string{"customer", "counted"} {
			if !strings.Contains(text, "warn "+e+": triggers: not visible to clerk") {
				t.Errorf("nothing about triggers of %s:\n%s", e, text)
			}
		}
	}
	if strings.Contains(text, "fail ") != strings.Contains(text, "fail once: new rows") { // cust_nm has a value everywhere
		t.Errorf("the clerk's sink:\n%s", text)
	}
	poor := s.cfg
	poor.User, poor.Password = "guest", web.Plain("guest-test")
	poor.Entities = map[string]Entity{
		"gone":     {Table: "nowhere", Key: map[string]string{"a": "a"}},
		"customer": {Table: "Cust Mst", Key: map[string]string{"cust_no": "code"}, Columns: map[string]string{"cust_nm": "name"}, DeleteUnless: "active"},
		"far":      {Table: "Cust Mst", Key: map[string]string{"alt_no": "code", "upd_by": "b"}, Columns: map[string]string{"no_such": "x"}, Missing: either},
		"loose":    {Table: "Cust Mst", Key: map[string]string{"upd_by": "b"}, Constants: map[string]string{"grade": "Z"}, Missing: either},
	}
	if list, err = s.open(t, poor).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	text = failing(list)
	for _, line := range []string{"fail gone: table: there is no table tms.nowhere", "fail customer: rights: guest lacks insert of", "; delete | GRANT INSERT (",
		"fail far: columns: no_such is not there", "fail loose: key: no unique index on upd_by | CREATE UNIQUE INDEX",
		`fail loose: columns: grade does not take "Z"`, "one of A, B, C"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
	if strings.Contains(text, "far: key") {
		t.Errorf("a key with a unique part is unique:\n%s", text)
	}
	bare := s.cfg
	bare.Entities = map[string]Entity{"bare": {Table: "bare", Key: map[string]string{"a": "a"}, Columns: map[string]string{"c": "c", "d": "d"}}}
	if list, err = s.open(t, bare).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	text = failing(list)
	for _, line := range []string{"c is of type", "which is not written", "d is generated", "fail bare: new rows: b must have a value", "CREATE UNIQUE INDEX", "lacks update of"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
	wrong := s.cfg
	wrong.Password = web.Plain("wrong")
	if list, err = s.open(t, wrong).Check(t.Context()); err != nil || len(list) != 1 || list[0].Level != cdc.LevelFail || strings.Contains(list[0].Found, "wrong") {
		t.Errorf("a wrong password: %v, %v", list, err)
	}
}
