package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// change is a change of one row: "dispatch loads update load_no=1 status_cd=ASG". ~ is NULL, _ a blank; what an insert does not name is NULL, what an
// update does not name was not in the log.
type change string

// thread is what happens to some rows, transaction by transaction: its order is kept, whatever the interleaving.
type thread [][]change

func (tx change) source() string { return strings.Fields(string(tx))[0] }

// one makes a thread of transactions of one change each.
func one(changes ...change) (t thread) {
	for _, c := range changes {
		t = append(t, []change{c})
	}
	return t
}

var (
	createTable = regexp.MustCompile(`(?s)CREATE TABLE (\S+) \((.*?)\n\)`)
	columnLine  = regexp.MustCompile(`(?m)^ +([a-z_0-9]+) +([a-z]+)`)
	keyLine     = regexp.MustCompile(`PRIMARY KEY \(([^)]*)\)`)
)

var columnKinds = map[string]cdc.Kind{"varchar": cdc.KindText, "char": cdc.KindText, "text": cdc.KindText, "jsonb": cdc.KindJSON, "integer": cdc.KindInt,
	"int": cdc.KindInt, "bigint": cdc.KindInt, "bigserial": cdc.KindInt, "smallint": cdc.KindInt, "numeric": cdc.KindDecimal, "decimal": cdc.KindDecimal,
	"boolean": cdc.KindBool, "date": cdc.KindDate, "time": cdc.KindTime, "timestamp": cdc.KindTimestamp, "datetime": cdc.KindTimestamp}

// readCatalog adds the tables of a carrier's schema file: source and table → schema.
func readCatalog(t *testing.T, into map[string]*cdc.Schema, source, own, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range createTable.FindAllStringSubmatch(string(text), -1) {
		schema, name, two := strings.Cut(m[1], ".")
		if !two {
			schema, name = own, m[1]
		}
		s := &cdc.Schema{Source: source, Table: cdc.Table{Schema: schema, Name: name}, Codec: "plain/1"}
		keys := ""
		if k := keyLine.FindStringSubmatch(m[2]); k != nil {
			keys = " " + strings.ReplaceAll(k[1], ",", "") + " "
		}
		for _, line := range strings.Split(m[2], "\n") {
			c := columnLine.FindStringSubmatch(line)
			if c == nil {
				continue
			}
			kind, known := columnKinds[c[2]]
			if !known {
				t.Fatalf("%s: the type %s", file, c[2])
			}
			s.Columns = append(s.Columns, cdc.Column{Name: c[1], Type: c[2], Kind: kind,
				Key: strings.Contains(line, " PRIMARY KEY") || strings.Contains(keys, " "+c[1]+" ")})
		}
		into[source+" "+m[1]] = s
	}
}

// database is a database as Waybill sees it: a log of batches.
type database struct {
	name  string
	clock time.Time
	n     int // transactions
	open  []pendingTx
	last  cdc.Position
}

// pendingTx is a transaction that is in no batch yet.
type pendingTx struct {
	tx      cdc.Tx
	changes []change
}

// books is what the model of the ERP holds, and what it saw.
type books struct {
	bodies map[string]json.RawMessage // entity and external id → last body
	done   map[string]int             // external id and step → times
	posted []string                   // external ids of invoices and credits, in the order of their posting
}

// world is three carriers' databases, a daemon without sessions, and an ERP. All that is random is drawn from the seed.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	parsed  []*transform.Mapping // parsing is what takes the time
	dir     string
	older   string // a copy of the state from before
	catalog map[string]*cdc.Schema
	store   *checkpoint.Store
	project *projector
	sources map[string]*database
	erp     *books
	entries []checkpoint.Entry
	at      time.Time // of journal entries
}

// worldBase is when the history begins.
var worldBase = time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)

// newWorld makes a world with the carriers' empty databases read; a copy of one, when there is one.
func newWorld(t *testing.T, rng *rand.Rand, f *fair) *world {
	t.Helper()
	w := &world{t: t, rng: rng, parsed: f.parsed, catalog: f.catalog, sources: map[string]*database{}, at: worldBase,
		erp: &books{map[string]json.RawMessage{}, map[string]int{}, nil}}
	for _, s := range f.catalog {
		if w.sources[s.Source] == nil {
			w.sources[s.Source] = &database{name: s.Source, clock: worldBase, last: cdc.Position(s.Source + "/0")}
		}
	}
	parent := ""
	if _, err := os.Stat("/dev/shm"); err == nil { // the disk's syncs prove nothing here
		parent = "/dev/shm"
	}
	var err error
	if w.dir, err = os.MkdirTemp(parent, "waybill-interleave-"); err != nil {
		t.Fatal(err)
	}
	if f.empty != "" {
		if err := os.CopyFS(w.dir, os.DirFS(f.empty)); err != nil {
			t.Fatal(err)
		}
		w.open(checkpoint.Options{Adopt: true})
		return w
	}
	w.open(checkpoint.Options{})
	p := &Pipeline{o: Options{Carriers: carriers(t, f.mappings...)}, store: w.store, project: w.project, log: slog.New(slog.DiscardHandler)}
	if err := p.configure(t); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(w.sources)) {
		w.append(cdc.Batch{Source: name, Identity: name, Snapshot: true, Tx: "snapshot", Position: w.sources[name].last})
	}
	w.flush()
	return w
}

// start opens the store and projects what is in its journal.
func (w *world) start() { w.open(checkpoint.Options{}) }

func (w *world) open(o checkpoint.Options) {
	w.t.Helper()
	o.Floor, o.Segment = 1<<20, 1<<20
	var err error
	if w.store, err = checkpoint.Open(w.dir, o); err != nil {
		w.t.Fatal(err)
	}
	w.project = newProjector(w.store, cdc.Codecs{"plain/1": plainCodec{}}, slog.New(slog.DiscardHandler), func() {})
	if w.project.mapper, err = transform.NewCarriers(w.parsed...); err != nil {
		w.t.Fatal(err)
	}
	w.catchUp()
}

func (w *world) close() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
	if err := errors.Join(os.RemoveAll(w.dir), os.RemoveAll(w.dir+"-older")); err != nil {
		w.t.Error(err)
	}
}

func (w *world) catchUp() {
	w.t.Helper()
	if err := w.project.catchUp(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) entry(kind checkpoint.Kind, payload []byte) checkpoint.Entry {
	w.at = w.at.Add(time.Second)
	return checkpoint.Entry{Kind: kind, Payload: payload, At: w.at}
}

func (w *world) append(b cdc.Batch) {
	w.t.Helper()
	payload, err := b.AppendBinary(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.entries = append(w.entries, w.entry(checkpoint.Rows, payload))
}

// journal puts what is pending into the journal.
func (w *world) journal() {
	w.t.Helper()
	if len(w.entries) == 0 {
		return
	}
	if _, err := w.store.Append(context.Background(), w.entries...); err != nil {
		w.t.Fatal(err)
	}
	w.entries = nil
}

func (w *world) flush() {
	w.journal()
	w.catchUp()
}

// commit takes a transaction into the log of its database.
func (w *world) commit(changes []change) {
	w.t.Helper()
	m := w.sources[changes[0].source()]
	m.n++
	m.clock = m.clock.Add(time.Second)
	tx := cdc.Tx{Commit: fmt.Sprintf("%s-%04d", m.name, m.n), CommitAt: m.clock}
	m.open = append(m.open, pendingTx{tx, changes})
	m.last = cdc.Position(fmt.Sprintf("%s/%04d", m.name, m.n))
	if len(changes) > 1 && w.rng.IntN(3) == 0 {
		w.cut(m, len(m.open)-1)
		w.large(m, tx, changes)
		return
	}
	if w.rng.IntN(2) == 0 {
		w.cut(m, len(m.open))
	}
}

// cut makes a batch of the first n pending transactions, which are all but those behind a position.
func (w *world) cut(m *database, n int) {
	w.t.Helper()
	if n > 0 {
		var e cdc.Encoder
		for _, p := range m.open[:n] {
			e.Begin(p.tx)
			for _, c := range p.changes {
				w.encode(&e, c)
			}
		}
		at := cdc.Position(fmt.Sprintf("%s/%04d", m.name, m.n-len(m.open)+n))
		b := cdc.Batch{Source: m.name, Identity: m.name, CommitAt: m.open[n-1].tx.CommitAt, Position: at, Schemas: w.schemas(m.name)}
		b.Data, b.Changes = e.Take()
		w.append(b)
	}
	m.open = m.open[n:]
}

// large journals a transaction in parts. Some sessions end in the middle of it, and the next one sends it from its beginning.
func (w *world) large(m *database, tx cdc.Tx, changes []change) {
	w.t.Helper()
	m.open = nil
	for torn := w.rng.IntN(3) == 0; ; torn = false {
		for i, c := range changes {
			if torn && i == len(changes)-1 {
				w.flush()
				w.restart()
				break
			}
			var e cdc.Encoder
			e.Begin(tx)
			w.encode(&e, c)
			b := cdc.Batch{Source: m.name, Identity: m.name, Tx: tx.Commit, Part: i, More: i < len(changes)-1, CommitAt: m.clock, Schemas: w.schemas(m.name)}
			if b.Data, b.Changes = e.Take(); !b.More {
				b.Position = m.last
			}
			w.append(b)
		}
		if !torn {
			return
		}
	}
}

func (w *world) schemas(source string) (all []*cdc.Schema) {
	for _, k := range slices.Sorted(maps.Keys(w.catalog)) {
		if s := w.catalog[k]; s.Source == source {
			all = append(all, s)
		}
	}
	return all
}

func (w *world) encode(e *cdc.Encoder, c change) {
	w.t.Helper()
	words := strings.Fields(string(c))
	s := w.catalog[words[0]+" "+words[1]]
	if s == nil {
		w.t.Fatalf("no table in %q", c)
	}
	op, ok := map[string]cdc.Op{"insert": cdc.Insert, "update": cdc.Update, "delete": cdc.Delete}[words[2]]
	if !ok {
		w.t.Fatalf("%q", c)
	}
	vals := map[string]string{}
	for _, word := range words[3:] {
		col, v, ok := strings.Cut(word, "=")
		if !ok || s.Column(col) < 0 {
			w.t.Fatalf("%q in %q", word, c)
		}
		vals[col] = v
	}
	e.Change(op, s)
	for _, col := range s.Columns {
		v, named := vals[col.Name]
		switch {
		case !named && op != cdc.Insert:
			e.Absent()
		case !named || v == "~":
			e.Null()
		default:
			e.Value([]byte(strings.ReplaceAll(v, "_", " ")))
		}
	}
}

// restart ends the daemon, with entries in its journal that are not applied or without, and starts it again.
func (w *world) restart() {
	w.t.Helper()
	w.journal()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

// relapse ends the daemon, and starts it with an older state and the whole journal, as after a crash of the machine: the state is not synced. What came
// since is applied a second time.
func (w *world) relapse() {
	w.t.Helper()
	if w.older == "" {
		w.older = w.dir + "-older"
	}
	if _, err := os.Stat(w.older); err == nil {
		w.journal()
		if err := errors.Join(w.store.Close(), os.RemoveAll(w.state()), os.CopyFS(w.state(), os.DirFS(w.older)), os.RemoveAll(w.older)); err != nil {
			w.t.Fatal(err)
		}
		w.start()
		return
	}
	w.flush()
	if err := errors.Join(w.store.Close(), os.CopyFS(w.older, os.DirFS(w.state()))); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

func (w *world) state() string { return filepath.Join(w.dir, "state") }

// pass lets time pass in every source.
func (w *world) pass(by time.Duration) {
	w.t.Helper()
	newest := worldBase
	for _, m := range w.sources {
		if m.clock.After(newest) {
			newest = m.clock
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.sources)) {
		m := w.sources[name]
		w.cut(m, len(m.open))
		m.clock = newest.Add(by)
		w.append(cdc.Batch{Source: name, Identity: name, Position: m.last, CommitAt: m.clock})
	}
	w.flush()
}

// head is a delivery that a lane may take, as the state has it.
type head struct {
	Post  transform.Post             `json:"post"`
	State string                     `json:"state"`
	Done  map[string]json.RawMessage `json:"done"`
	Sent  *sinks.Intent              `json:"intent"`
	Sends int                        `json:"attempts"`
}

// heads are the deliveries that lanes may take, oldest first.
func (w *world) heads() (all []head) {
	w.t.Helper()
	w.scan("head", func(_ string, id []byte) {
		var h head
		w.load("del", string(id), &h)
		all = append(all, h)
	})
	return all
}

// scan and load read the state without the code that writes it.
func (w *world) scan(bucket string, fn func(k string, v []byte)) {
	w.t.Helper()
	type pair struct {
		k string
		v []byte
	}
	var all []pair
	err := w.store.View(func(tx *checkpoint.Txn) error {
		return tx.Scan(bucket, "", "", func(k string, v []byte) (bool, error) {
			all = append(all, pair{k, slices.Clone(v)})
			return true, nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		fn(p.k, p.v)
	}
}

func (w *world) load(bucket, k string, into any) {
	w.t.Helper()
	err := w.store.View(func(tx *checkpoint.Txn) error {
		raw, err := tx.Get(bucket, k)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, into)
	})
	if err != nil {
		w.t.Fatalf("%s %q: %v", bucket, k, err)
	}
}

// work lets the lanes take one step of each head, or of some of them, and reports whether there was one.
func (w *world) work(all bool) bool {
	w.t.Helper()
	some := false
	for _, h := range w.heads() {
		if !all && w.rng.IntN(3) == 0 {
			continue
		}
		some = true
		w.step(h, all)
	}
	return some
}

// step sends the next step of a delivery, or looks for one whose outcome is not known. Unless the ERP is well, answers and whole daemons get lost.
func (w *world) step(h head, well bool) {
	w.t.Helper()
	steps := map[string][]string{"customer": {"upsert"}, "sales_invoice": {"create", "post"}}[h.Post.Entity]
	i := slices.IndexFunc(steps, func(s string) bool { return h.Done[s] == nil })
	if i < 0 {
		w.t.Fatalf("%s is a head, but has no step left", h.Post.ExternalID)
	}
	name := steps[i]
	out := outcomeEntry{Delivery: h.Post.ID, Step: name, Final: i == len(steps)-1, Attempt: h.Sends + 1}
	out.Outcome = sinks.Outcome{Class: sinks.Applied, Ref: "ref-" + h.Post.ExternalID, Number: "N-" + h.Post.ExternalID}
	if h.State == "sent" { // Invariant 9
		out.Verify, out.Attempt = true, h.Sends
		if out.Outcome.Class = sinks.AlreadyApplied; !w.erp.has(h.Post, name) {
			out.Outcome = sinks.Outcome{Class: sinks.Absent}
		}
		w.take(checkpoint.Outcome, out)
		w.flush()
		return
	}
	w.take(checkpoint.Intent, sinks.Intent{Operation: sinks.OperationOf(h.Post), Step: name, Attempt: h.Sends + 1, Request: h.Post.Body, At: w.at})
	fate := w.rng.IntN(40)
	if well {
		fate = 39
	}
	switch fate {
	case 0: // nothing was sent, and nobody knows
		w.restart()
		return
	case 1: // it was sent, and nobody knows
		w.erp.do(w.t, h.Post, name)
		w.restart()
		return
	case 2, 3, 4: // the ERP is down
		out.Outcome = sinks.Outcome{Class: sinks.RetryLater, Code: "OUTAGE", Outage: true}
	default:
		w.erp.do(w.t, h.Post, name)
	}
	w.take(checkpoint.Outcome, out)
	w.flush()
}

func (w *world) take(kind checkpoint.Kind, v any) {
	w.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	w.entries = append(w.entries, w.entry(kind, raw))
}

func (b *books) has(p transform.Post, step string) bool {
	if step == "upsert" {
		return string(b.bodies[p.Entity+" "+p.ExternalID]) == string(p.Body)
	}
	return b.done[p.ExternalID+" "+step] > 0
}

// do takes what is posted. What comes twice, or before its draft, is the end of the test.
func (b *books) do(t *testing.T, p transform.Post, step string) {
	t.Helper()
	at := p.ExternalID + " " + step
	if b.done[at]++; b.done[at] > 1 && step != "upsert" {
		t.Errorf("%s was done twice", at)
	}
	b.bodies[p.Entity+" "+p.ExternalID] = p.Body
	if step == "post" {
		if b.done[p.ExternalID+" create"] == 0 {
			t.Errorf("%s before its draft", at)
		}
		b.posted = append(b.posted, p.ExternalID)
	}
}

// rest lets all sources come to their end, every timer fire, and the lanes finish.
func (w *world) rest() {
	w.t.Helper()
	w.pass(100 * time.Hour)
	for range 200 {
		if !w.work(true) {
			return
		}
	}
	w.t.Fatal("the lanes do not come to an end")
}

// sorted joins lines in an order of their own.
func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// shuffled hands out the transactions of the threads in a random order that keeps each thread's. Those of one source may all come last.
func (w *world) shuffled(threads []thread, fn func([]change)) {
	left := slices.Clone(threads)
	behind := cmp.Or([]string{"", "", "dispatch", "billing", "pvly", "gcbk"}[w.rng.IntN(6)], "nobody")
	for len(left) > 0 {
		i := w.rng.IntN(len(left))
		late := left[i][0][0].source() == behind
		if late && slices.ContainsFunc(left, func(t thread) bool { return t[0][0].source() != behind }) {
			continue
		}
		fn(left[i][0])
		if left[i] = left[i][1:]; len(left[i]) == 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
}
