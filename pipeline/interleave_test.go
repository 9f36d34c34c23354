package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/cdc"
	"waybill/transform"
)

// The databases have no common clock, their logs come at different speeds, daemons are killed and targets fail. Whatever the interleaving:
// rows keep their order, transactions stay whole, and in the end there are the same cases, documents, open exceptions and books. What may
// depend on the order is listed, with reasons, in testdata/order-dependent.yaml.
//
// That a source brings nothing twice is proved of each by cdctest ("resume after every batch"); what does come twice is the tail of the journal, when
// the state has fallen back, and the parts of a transaction whose session ended.
//
// INTERLEAVINGS says how many are tried (default 100) in at most INTERLEAVING_SECONDS (default 25), INTERLEAVING_SEED with which seed to begin; the
// seed alone makes a run.
func TestInterleavingsEndAlike(t *testing.T) {
	f := newFair(t)
	runs, first := setting("INTERLEAVINGS", 100), setting("INTERLEAVING_SEED", 1)
	want := f.run(t, nil)
	if n := strings.Count(want, "\nbook sales_invoice"); n < 10 || !strings.Contains(want, `"stage":"posted"`) {
		t.Fatalf("the history ends too early, with %d documents in the books:\n%s", n, want)
	}
	began, tried := time.Now(), 0
	for seed := first; seed < first+runs && !t.Failed() && time.Since(began) < time.Duration(setting("INTERLEAVING_SECONDS", 25))*time.Second; seed++ {
		got := f.run(t, rand.New(rand.NewPCG(uint64(seed), 0x77617962)))
		if tried++; got != want {
			t.Errorf("seed %d ends otherwise (INTERLEAVING_SEED=%[1]d INTERLEAVINGS=1 runs it alone):\n%s", seed, difference(want, got))
		}
	}
	t.Logf("seeds %d to %d end alike, in %s", first, first+tried-1, time.Since(began).Round(time.Millisecond))
}

func setting(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return standard
}

// difference lists the lines that only one of two texts has; of two lines about the same thing the part where they part ways.
func difference(want, got string) string {
	var b strings.Builder
	missing, extra := without(want, got), without(got, want)
	for _, m := range missing {
		what := strings.SplitN(m, " {", 2)[0]
		i := slices.IndexFunc(extra, func(x string) bool { return strings.HasPrefix(x, what+" {") })
		if i < 0 {
			fmt.Fprintf(&b, "- %s\n", m)
			continue
		}
		n := 0
		for n < min(len(m), len(extra[i])) && m[n] == extra[i][n] {
			n++
		}
		from := max(n-60, 0)
		fmt.Fprintf(&b, "%s\n\t- …%.160s\n\t+ …%.160s\n", what, m[from:], extra[i][from:])
		extra = slices.Delete(extra, i, i+1)
	}
	for _, x := range extra {
		fmt.Fprintf(&b, "+ %s\n", x)
	}
	return b.String()
}

// without lists the lines of a text that another one has not.
func without(text, other string) (all []string) {
	lines := strings.Split(other, "\n")
	for _, l := range strings.Split(text, "\n") {
		if !slices.Contains(lines, l) {
			all = append(all, l)
		}
	}
	return all
}

// fair is what all runs have in common.
type fair struct {
	catalog  map[string]*cdc.Schema
	mappings []string
	parsed   []*transform.Mapping
	empty    string // the store of a world in which nothing has happened yet
	free     []orderDependent
}

// orderDependent is a policy whose outcome may depend on the order in which things come.
type orderDependent struct {
	Policy string   `yaml:"policy"`
	Reason string   `yaml:"reason"`
	Left   string   `yaml:"left_out"` // what the comparison leaves out because of it, in words
	Fields []string `yaml:"fields"`   // of cases and documents, by name
	Pairs  bool     `yaml:"pairs"`    // an original and its whole credit: both in the books, or neither
}

func newFair(t *testing.T) *fair {
	t.Helper()
	f := &fair{catalog: map[string]*cdc.Schema{}}
	folder := "../testdata/carriers/"
	for _, c := range []struct{ source, own, file string }{{"dispatch", "public", "northstar/dispatch.sql"}, {"billing", "billing", "northstar/billing.sql"},
		{"pvly", "public", "pinevalley/carrier.sql"}, {"gcbk", "public", "gulfcoast/broker.sql"}} {
		readCatalog(t, f.catalog, c.source, c.own, folder+c.file)
	}
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	north := read(folder+"northstar/mapping.yaml") + "\n" + read("../testdata/mapping/cases.yml")
	north = strings.Replace(north, "    at: first(dep_ts, upd_ts)\n", "    at: first(dep_ts, upd_ts)\n    correlate: { load: load_no, pro: \"NSTR:{load_no}\", bol: bol_no, po: note }\n", 1)
	north = strings.Replace(north, "  backdated: 72h\n", "", 1) // goes by commit times, which each interleaving has its own of
	f.mappings = []string{north, strings.Replace(read(folder+"pinevalley/mapping.yaml"), "version: 1\n", "version: 1\ncompany: PVLY\n", 1) + "\ncases:\n  keys: { shipment: strong }\n  wait: 15m\n",
		strings.Replace(read(folder+"gulfcoast/mapping.yaml"), "version: 1\n", "version: 1\ncompany: GCBK\n", 1) + "\ncases:\n  keys: { shipment: strong }\n  wait: 15m\n"}
	for i, text := range f.mappings {
		m, err := transform.Parse(fmt.Sprintf("%d.yaml", i+1), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f.parsed = append(f.parsed, m)
	}
	list := yaml.NewDecoder(bytes.NewReader([]byte(read("testdata/order-dependent.yaml"))))
	list.KnownFields(true)
	if err := list.Decode(&f.free); err != nil {
		t.Fatal(err)
	}
	for _, o := range f.free {
		if o.Policy == "" || o.Reason == "" || o.Left == "" {
			t.Errorf("a policy without its reason: %+v", o)
		}
	}
	w := newWorld(t, rand.New(rand.NewPCG(0, 0)), f)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.empty = w.dir
	t.Cleanup(func() {
		if err := os.RemoveAll(f.empty); err != nil {
			t.Error(err)
		}
	})
	return f
}

// run lets the history happen and tells how it ends. Without a random source it happens in its own order, each step delivered at once.
func (f *fair) run(t *testing.T, rng *rand.Rand) string {
	t.Helper()
	plain := rng == nil
	if plain {
		rng = rand.New(rand.NewPCG(0, 0))
	}
	w := newWorld(t, rng, f)
	defer w.close()
	if plain {
		for _, th := range week() {
			for _, tx := range th {
				w.commit(tx)
			}
		}
		w.pass(time.Second)
		for w.work(true) {
		}
	} else {
		f.shuffle(w)
	}
	w.rest()
	w.corrections()
	return f.end(w)
}

// shuffle draws the interleaving, and what goes wrong meanwhile.
func (f *fair) shuffle(w *world) {
	w.shuffled(week(), func(tx []change) {
		w.commit(tx)
		switch w.rng.IntN(64) {
		case 0, 4, 5, 6:
			w.flush()
			w.work(false)
		case 1:
			w.restart()
		case 2:
			w.relapse()
		case 3:
			w.pass(time.Duration(w.rng.IntN(90)) * time.Second)
		}
	})
}

// corrections proves by what the ERP saw that never two invoices of one correction were open.
func (w *world) corrections() {
	w.t.Helper()
	for _, c := range corrected {
		open := 0
		for _, id := range w.erp.posted {
			switch id {
			case c.original, c.replacement:
				open++
			case c.credit:
				open--
			}
			if open < 0 || open > 1 {
				w.t.Errorf("%s: %d invoices are open after %s: %v", c.original, open, id, w.erp.posted)
			}
		}
		if open != 1 || !slices.Contains(w.erp.posted, c.replacement) {
			w.t.Errorf("%s: %d invoices are open in the end: %v", c.original, open, w.erp.posted)
		}
	}
}

// end reads the state and the ERP with eyes of its own.
func (f *fair) end(w *world) string {
	w.t.Helper()
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for k, body := range w.erp.bodies {
		if !f.paired(w.erp, k) {
			add("book %s %s", k, body)
		}
	}
	for _, scope := range []string{"map/", "maps/pinevalley/", "maps/gulfcoast/"} {
		w.scan(scope+"doc/invoice", func(k string, v []byte) { add("document %s%s %s", scope, k, f.masked(w, v)) })
		w.scan(scope+"case/view", func(k string, v []byte) { add("case %s%s %s", scope, k, f.masked(w, v)) })
	}
	w.scan("exs", func(k string, _ []byte) {
		id, subject, _ := strings.Cut(k, "\x00")
		var x struct {
			State   string
			Problem struct{ Code string }
		}
		w.load("ex", id, &x)
		if x.State == "open" {
			add("open %s %s", x.Problem.Code, subject)
		}
	})
	w.scan("del", func(k string, v []byte) {
		var d struct {
			State string
			Post  struct {
				ExternalID string `json:"external_id"`
				Entity     string
			}
			Unmet []struct{ Name, Key string }
		}
		if err := json.Unmarshal(v, &d); err != nil {
			w.t.Fatal(err)
		}
		if d.State != "done" && d.State != "discarded" {
			add("delivery of %s %s is %s for %v", d.Post.Entity, d.Post.ExternalID, d.State, d.Unmet)
		}
	})
	return "\n" + sorted(all)
}

func (f *fair) pairs() bool {
	return slices.ContainsFunc(f.free, func(o orderDependent) bool { return o.Pairs })
}

// half reports whether a document's number is that of an original or of its whole credit.
func half(number string) bool {
	for _, c := range corrected {
		if strings.Split(c.original, ":")[1] == number || strings.Split(c.credit, ":")[1] == number {
			return true
		}
	}
	return false
}

// paired reports whether a record in the ERP is half of what a withdrawal leaves out.
func (f *fair) paired(b *books, k string) bool {
	if !f.pairs() {
		return false
	}
	for _, c := range corrected {
		if k == "sales_invoice "+c.original || k == "sales_invoice "+c.credit {
			return slices.Contains(b.posted, c.original) && slices.Contains(b.posted, c.credit)
		}
	}
	return false
}

// masked is a JSON object without what the list leaves out, at any depth.
func (f *fair) masked(w *world, raw []byte) string {
	w.t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		w.t.Fatal(err)
	}
	drop := map[string]bool{}
	for _, o := range f.free {
		for _, name := range o.Fields {
			drop[name] = true
		}
	}
	var clean func(in string, v any)
	clean = func(in string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if name, ok := v["name"].(string); ok {
				in = name
			}
			if number, ok := v["number"].(string); ok && f.pairs() && half(number) {
				delete(v, "state")
			}
			if list, ok := v["documents"].([]any); ok && f.pairs() && slices.ContainsFunc(list, func(d any) bool { return half(fmt.Sprint(d.(map[string]any)["number"])) }) {
				delete(v, "waits") // names them
			}
			maps.DeleteFunc(v, func(k string, _ any) bool { return drop[k] || drop[in+"."+k] })
			for k, x := range v {
				clean(k, x)
			}
		case []any:
			for _, x := range v {
				clean(in, x)
			}
		}
	}
	clean("", v)
	text, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}
