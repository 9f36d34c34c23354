package s4hana

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"waybill/sinks"
	"waybill/sinks/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it differs from %s (run with -update and review):\n%s", golden, got)
	}
}

// wireCase is an answer in the form that the reference or a public sample gives.
type wireCase struct {
	Name, Type, Body string
	Status           int
	Soap             bool // it is the answer of the journal's service
	CSRF             bool // with X-CSRF-Token: Required
}

// TestClassification writes down what each answer of testdata/answers.json, and each line of the tables, makes of a write and of a read.
func TestClassification(t *testing.T) {
	raw, err := os.ReadFile("testdata/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []wireCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	x := &exchange{Sink: &Sink{cfg: good().withDefaults()}}
	var got strings.Builder
	for _, c := range cases {
		var w, r sinks.Outcome
		header := http.Header{"Content-Type": {c.Type}}
		if c.CSRF {
			header.Set("X-CSRF-Token", "Required")
		}
		if c.Soap && c.Status == 200 {
			p, out := x.confirmed([]byte(c.Body))
			if out == nil {
				fmt.Fprintf(&got, "%s\n  posted %s\n", c.Name, p.ref())
				continue
			}
			w = *out
		} else {
			w = x.classified(writes, c.Status, header, []byte(c.Body), 0)
		}
		r = x.classified(reads, c.Status, header, []byte(c.Body), 0)
		fmt.Fprintf(&got, "%s\n  write  %s %s outage=%t field=%q transaction=%q\n  read   %s %s\n  says   %s\n  hint   %s\n", c.Name, w.Class, w.Code, w.Outage, w.Field, w.Facts["transactionid"], r.Class, r.Code, w.Message, w.Hint)
		if w.Done() || w.Class == sinks.Absent || r.Done() {
			t.Errorf("%s: a fault is taken for knowledge: %s, %s", c.Name, w.Class, r.Class)
		}
	}
	for name, table := range map[string][]web.Case{"writes": writes, "reads": reads} {
		for i, c := range table {
			code := strings.TrimSuffix(c.Code, "*")
			if strings.HasSuffix(c.Code, "*") {
				code += "any"
			}
			o := web.Classify(table, web.Said{Status: c.From, Code: code})
			if o.Class != c.Class || o.Code != c.As || o.Outage != c.Outage {
				t.Errorf("line %d of %s, %d %s: a line above it takes its answers: %s %s", i, name, c.From, c.Code, o.Class, o.Code)
			}
		}
	}
	for _, c := range writes {
		fmt.Fprintf(&got, "line %d-%d %q: %s %s\n", c.From, c.To, c.Code, c.Class, c.As)
	}
	for _, c := range reads {
		fmt.Fprintf(&got, "read %d-%d %q: %s %s\n", c.From, c.To, c.Code, c.Class, c.As)
	}
	if o := x.classified(writes, 418, http.Header{"Content-Type": {"text/plain"}}, []byte("teapot"), 0); o.Class != sinks.Unknown {
		t.Errorf("what nobody knows is %s", o.Class)
	}
	if o := x.classified(writes, 400, http.Header{"Content-Type": {"text/html"}}, []byte("<html>proxy</html>"), 0); o.Class != sinks.Unknown {
		t.Errorf("a page of a proxy is %s", o.Class)
	}
	compare(t, "testdata/classify.golden", got.String())
}
