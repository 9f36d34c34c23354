package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/transform"
)

func publication(n int) sinks.Publication {
	at := time.Date(2026, 10, 1, 19, 30, 0, 0, time.UTC)
	return sinks.Publication{Topic: "milestones", Sequence: uint64(n), Event: &transform.Event{ID: fmt.Sprintf("e%d", n), Type: "shipment.delivered", Source: "/northstar/dispatch/public.loads",
		Entity: "shipment", Key: "88121", Company: "NSTAR", Lane: transform.LaneTransactional, OrderKey: "shipment/NSTAR:88121", Occurred: at, Recorded: at.Add(time.Second),
		Observed: at.Add(2 * time.Second), MapVersion: "northstar/7", Position: "0/16B3748", Data: json.RawMessage(`{"pieces":20,"receiver":"Günter; \"GB\"","amount":{"amount":"12.50","currency":"USD"}}`)}}
}

func some(from, to int) (list []sinks.Publication) {
	for n := from; n <= to; n++ {
		list = append(list, publication(n))
	}
	return list
}

func publisher(t *testing.T, c Config) *Publisher {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p := New(c)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func write(t *testing.T, p *Publisher, list []sinks.Publication) {
	t.Helper()
	for i, o := range p.Publish(t.Context(), list) {
		if o.Class != sinks.Applied {
			t.Fatalf("event %d: %+v", i, o)
		}
	}
}

// visible are the files that a partner sees.
func visible(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// ids are the events of all visible JSON Lines, in the order of the files.
func ids(t *testing.T, folder string) (all []string) {
	t.Helper()
	for _, name := range visible(t, folder) {
		if strings.Contains(name, "manifest") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var e struct{ ID string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v in %q", name, err, line)
			}
			all = append(all, e.ID)
		}
	}
	return all
}

func expected(n int) (all []string) {
	for i := 1; i <= n; i++ {
		all = append(all, fmt.Sprintf("e%d", i))
	}
	return all
}

func TestFilesAreClosedBySizeAndAtTheEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	p := publisher(t, Config{Folder: dir, MaxBytes: 2000, Manifest: true})
	write(t, p, some(1, 7))
	write(t, p, some(8, 8))
	before := len(visible(t, dir))
	if before == 0 {
		t.Error("no file was closed by its size")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, dir); !slices.Equal(got, expected(8)) {
		t.Errorf("%v", got)
	}
	names := visible(t, dir)
	if len(names) != before+1 {
		t.Errorf("%d files before the end, then %v", before, names)
	}
	text, err := os.ReadFile(filepath.Join(dir, "milestones.manifest.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	records, files := 0, 0
	for line := range strings.Lines(string(text)) {
		var m manifested
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(filepath.Join(dir, m.File))
		if err != nil || int64(len(body)) != m.Bytes || len(m.SHA256) != 64 || strings.Count(string(body), "\n") != m.Records || len(body) > 2000 {
			t.Errorf("%v %+v", err, m)
		}
		files, records = files+1, records+m.Records
	}
	if records != 8 || files != len(names)-1 {
		t.Errorf("%d records, %d files in the manifest", records, files)
	}
	// The next run goes on with the next number.
	again := publisher(t, Config{Folder: dir})
	write(t, again, some(9, 9))
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	last := slices.Max(slices.DeleteFunc(visible(t, dir), func(n string) bool { return strings.Contains(n, "manifest") }))
	if want := fmt.Sprintf("-%06d.jsonl", files+1); !strings.HasSuffix(last, want) || strings.Join(ids(t, dir), " ") != strings.Join(expected(9), " ") {
		t.Errorf("%s, want %s", last, want)
	}
}

func TestCSV(t *testing.T) {
	dir := t.TempDir()
	p := publisher(t, Config{Folder: dir, Format: CSV, Separator: ";", Columns: []string{"id", "time", "sequence", "order_key", "data.pieces", "data.receiver", "data.amount.currency", "data.nothing", "data.amount"}})
	write(t, p, some(1, 2))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	names := visible(t, dir)
	if len(names) != 1 {
		t.Fatal(names)
	}
	text, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := `id;time;sequence;order_key;data.pieces;data.receiver;data.amount.currency;data.nothing;data.amount
e1;2026-10-01T19:30:00Z;1;shipment/NSTAR:88121;20;"Günter; ""GB""";USD;;"{""amount"":""12.50"",""currency"":""USD""}"
e2;2026-10-01T19:30:00Z;2;shipment/NSTAR:88121;20;"Günter; ""GB""";USD;;"{""amount"":""12.50"",""currency"":""USD""}"
`
	if string(text) != want {
		t.Errorf("%s", text)
	}
}

// A kill at any byte: what counts stays, the rest goes, and what was said to be applied is seen.
func TestAfterAKill(t *testing.T) {
	for _, cut := range []struct{ data, list int64 }{{0, 0}, {7, 0}, {-7, 0}, {0, -3}, {9, 4}, {-1 << 20, 0}, {0, -1 << 20}} {
		t.Run(fmt.Sprintf("%+v", cut), func(t *testing.T) {
			dir := t.TempDir()
			p := New(Config{Folder: dir})
			write(t, p, some(1, 5))
			if err := p.topics["milestones"].abandon(); err != nil { // as a kill does
				t.Fatal(err)
			}
			p.topics = map[string]*topic{}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			shape(t, filepath.Join(dir, ".milestones.part"), cut.data)
			shape(t, filepath.Join(dir, ".milestones.list"), cut.list)
			again := publisher(t, Config{Folder: dir})
			seen, err := again.Seen(t.Context(), some(1, 8))
			if err != nil {
				t.Fatal(err)
			}
			var rest []sinks.Publication
			for i, e := range some(1, 8) {
				if !seen[i] {
					rest = append(rest, e)
				}
			}
			if known := 8 - len(rest); cut.data >= 0 && cut.list >= 0 && known != 5 || known > 5 {
				t.Errorf("%d of 5 are seen", known)
			}
			write(t, again, rest)
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if got := ids(t, dir); !slices.Equal(got, expected(8)) {
				t.Errorf("%v", got)
			}
		})
	}
}

// shape lengthens a file by rubbish, or shortens it.
func shape(t *testing.T, path string, by int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if by > 0 {
		text = append(text, strings.Repeat("9", int(by))...)
	}
	if err := os.WriteFile(path, text[:max(0, int64(len(text))+min(by, 0))], 0o644); err != nil {
		t.Fatal(err)
	}
}

// Between the rename and the end of the list: the file counts, is told once in the manifest, and its events are seen, even when a partner has taken it.
func TestAKillWhileAFileIsClosed(t *testing.T) {
	for _, taken := range []bool{false, true} {
		dir := t.TempDir()
		p := New(Config{Folder: dir, Manifest: true})
		write(t, p, some(1, 3))
		top := p.topics["milestones"]
		name := filepath.Join(dir, top.final())
		if err := errors.Join(top.abandon(), os.Rename(filepath.Join(dir, ".milestones.part"), name)); err != nil {
			t.Fatal(err)
		}
		p.topics = map[string]*topic{}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if taken {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // and once more
			again := publisher(t, Config{Folder: dir, Manifest: true})
			seen, err := again.Seen(t.Context(), some(1, 4))
			if err != nil || !slices.Equal(seen, []bool{true, true, true, false}) {
				t.Errorf("%v %v", seen, err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, "milestones.manifest.jsonl"))
		if err != nil || strings.Count(string(text), "\n") != 1 || strings.Contains(string(text), "sha256") == taken {
			t.Errorf("%v %s", err, text)
		}
	}
}

func TestDue(t *testing.T) {
	day := time.Date(2026, 10, 2, 4, 59, 0, 0, time.UTC) // a minute before midnight in Chicago
	c := (Config{Day: "America/Chicago", MaxAge: 2 * time.Hour, MaxBytes: 100}).withDefaults()
	top := &topic{cfg: &c, list: &list{began: day, records: []listed{{60, "e1"}}}}
	for _, d := range []struct {
		after time.Duration
		more  int
		due   bool
	}{{0, 0, false}, {30 * time.Second, 40, false}, {30 * time.Second, 41, true}, {time.Minute, 0, true}} {
		if top.due(day.Add(d.after), d.more) != d.due {
			t.Errorf("%+v", d)
		}
	}
	if c.Day = ""; top.due(day.Add(time.Hour), 0) || !top.due(day.Add(2*time.Hour), 0) {
		t.Error("by age")
	}
	top.list.records = nil
	if top.due(day.Add(48*time.Hour), 1000) {
		t.Error("a file without records")
	}
}

// A file whose time has come is closed although nothing more comes.
func TestClosedByTime(t *testing.T) {
	dir := t.TempDir()
	p := publisher(t, Config{Folder: dir, MaxAge: time.Millisecond})
	write(t, p, some(1, 1))
	for deadline := time.Now().Add(10 * time.Second); len(visible(t, dir)) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no file after 10 s")
		}
		time.Sleep(10 * time.Millisecond) // polling, with the deadline above
	}
}

// Other columns begin another file; the one that was open is whole as it is.
func TestOtherColumns(t *testing.T) {
	dir := t.TempDir()
	p := New(Config{Folder: dir, Format: CSV, Columns: []string{"id"}})
	write(t, p, some(1, 1))
	if err := p.topics["milestones"].abandon(); err != nil {
		t.Fatal(err)
	}
	p.topics = map[string]*topic{}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again := publisher(t, Config{Folder: dir, Format: CSV, Columns: []string{"id", "key"}})
	write(t, again, some(2, 2))
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, name := range visible(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if want := []string{"id\ne1\n", "id,key\ne2,88121\n"}; !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
}

// A folder that cannot be written is told and goes on when it can; an event that has no form is refused, and its order key waits.
func TestWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "out")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p := publisher(t, Config{Folder: blocked, Format: CSV, Columns: []string{"id", "data.pieces"}})
	if o := p.Publish(t.Context(), some(1, 1))[0]; o.Class != sinks.RetryLater || !o.Outage {
		t.Errorf("%+v", o)
	}
	if found, err := p.Check(t.Context()); err != nil || found[0].Level != cdc.LevelFail {
		t.Errorf("%v %+v", err, found)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	list := some(1, 3)
	list[0].Event.Data = json.RawMessage(`{`)
	list[2].Event.OrderKey = "shipment/other"
	var is []string
	for _, o := range p.Publish(t.Context(), list) {
		is = append(is, string(o.Class)+" "+o.Code)
	}
	if want := []string{"rejected NOT_WRITTEN", "retry_later BEHIND", "applied "}; !slices.Equal(is, want) {
		t.Errorf("%q", is)
	}
	if found, err := p.Check(t.Context()); err != nil || found[0].Level != cdc.LevelOK {
		t.Errorf("%v %+v", err, found)
	}
}
