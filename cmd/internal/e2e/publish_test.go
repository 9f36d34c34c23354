package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/pipeline"
)

// milestonesMapping tells the carrier's milestones of its dispatch database, and publishes them.
const milestonesMapping = `
codes:
  load_status: { AVL: planned, LDD: departed, MTY: delivered, _unknown: hold }
  stop_type: { P: pickup, D: delivery, _unknown: hold }
events:
  shipment.departed: { from: db.loads, when: "became(status_cd, code.load_status.departed)", key: load_no, set: { pieces: pcs_ord } }
  shipment.delivered: { from: db.loads, when: "became(status_cd, code.load_status.delivered)", key: load_no, set: { pieces: pcs_dlv } }
  stop.arrived: { from: db.stops, when: filled(arr_ts), key: "{load_no}-{stop_seq}", correlate: { shipment: load_no }, set: { stop: stop_seq, stop_type: code.stop_type(stop_typ), location: loc_cd } }
publish:
  shipment.*, stop.arrived -> hook.milestones:
  shipment.* , stop.* -> files.milestones:
`

// published is an event as a receiver got it.
type published struct {
	ID           string
	Type         string
	PartitionKey string
	Sequence     string
}

// TestPublish carries milestones into a webhook and into files, and kills the daemon in the middle. Of each order key they come in order; to
// the webhook at least once, into files once.
func TestPublish(t *testing.T) {
	const loads = 40
	var mu sync.Mutex
	var got []published
	rng := rand.New(rand.NewPCG(1, 2))
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a killed sender does not end it
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPost {
			return // check looks whether somebody is there
		}
		if rng.IntN(10) == 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		got = append(got, published{r.Header.Get("ce-id"), r.Header.Get("ce-type"), r.Header.Get("ce-partitionkey"), r.Header.Get("ce-sequence")})
	}))
	defer hook.Close()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}

	e := newEngine(t, "postgres")
	e.sink += fmt.Sprintf("  hook:\n    type: webhook\n    url: %s/{topic}\n    mode: binary\n    policy: { concurrency: 8, backoff_base: 10ms, backoff_cap: 100ms }\n"+
		"  files:\n    type: file\n    folder: out\n    max_bytes: 8KiB\n    manifest: true\n", hook.URL)
	e.configure(milestonesMapping, "")
	if out := e.must("check"); !strings.Contains(out, "hook") || !strings.Contains(out, "files") {
		t.Errorf("check:\n%s", out)
	}
	e.start()
	e.settled(60 * time.Second) // what the first readings bring is no news
	work := func(from, to int) {
		for n := from; n < to; n++ {
			e.sql(e.db, fmt.Sprintf(`INSERT INTO loads (load_no, cust_cd, status_cd, pcs_ord, ord_ts) VALUES (%[1]d, '100100', 'AVL', 20, now());
				INSERT INTO stops (load_no, stop_seq, stop_typ, loc_cd) VALUES (%[1]d, 1, 'D', 'DAL')`, n))
			e.sql(e.db, fmt.Sprintf(`UPDATE loads SET status_cd = 'LDD' WHERE load_no = %d`, n))
			e.sql(e.db, fmt.Sprintf(`UPDATE stops SET arr_ts = now() WHERE load_no = %d`, n))
			e.sql(e.db, fmt.Sprintf(`UPDATE loads SET status_cd = 'MTY', pcs_dlv = 20 WHERE load_no = %d`, n))
		}
	}
	work(1, loads/2)
	e.until(60*time.Second, "a part is published", func() bool { return count() > loads/4 })
	e.kill()
	work(loads/2, loads+1)
	e.start()
	e.until(90*time.Second, "everything is published", func() bool {
		st, err := e.asked()
		if err != nil || len(st.Feeds) != 2 || st.Journal.Applied != st.Journal.Last {
			return false
		}
		return !slices.ContainsFunc(st.Feeds, func(f pipeline.FeedStatus) bool { return f.Behind > 0 || f.Published < 3*loads })
	})
	if out := e.must("status"); !strings.Contains(out, "Feeds") || !strings.Contains(out, "hook") {
		t.Errorf("status:\n%s", out)
	}
	e.stop()

	mu.Lock()
	defer mu.Unlock()
	hooked := inOrder(t, "webhook", got)
	filed := readFiles(t, filepath.Join(e.dir, "out"))
	once := inOrder(t, "files", filed)
	if len(hooked) != 3*loads || len(once) != 3*loads || len(filed) != 3*loads {
		t.Errorf("%d events came to the webhook and %d into files, in %d records; %d were made", len(hooked), len(once), len(filed), 3*loads)
	}
	for id := range once {
		if !hooked[id] {
			t.Errorf("event %s is in the files and did not come to the webhook", id)
		}
	}
	t.Logf("%d requests for %d events", len(got), 3*loads)
}

// inOrder are the events that came. New ones of an order key come by their numbers, without a gap.
func inOrder(t *testing.T, where string, all []published) map[string]bool {
	t.Helper()
	seen, last := map[string]bool{}, map[string]int{}
	for _, p := range all {
		if seen[p.ID] {
			continue
		}
		seen[p.ID] = true
		last[p.PartitionKey]++
		if want := fmt.Sprintf("%020d", last[p.PartitionKey]); p.Sequence != want {
			t.Errorf("%s: %s of %s has the number %s, want %s", where, p.Type, p.PartitionKey, p.Sequence, want)
		}
	}
	return seen
}

// readFiles reads the records of all closed files, and holds them against the manifest.
func readFiles(t *testing.T, folder string) (all []published) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "milestones-*.jsonl"))
	if err != nil || len(names) < 3 {
		t.Fatalf("files %v, %v", names, err)
	}
	manifest, err := os.ReadFile(filepath.Join(folder, "milestones.manifest.jsonl"))
	if err != nil || strings.Count(string(manifest), "\n") != len(names) {
		t.Errorf("%v: the manifest of %d files\n%s", err, len(names), manifest)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var p published
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				t.Fatalf("%s: %v in %q", name, err, line)
			}
			all = append(all, p)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, ".*.part")); err != nil || len(left) > 0 {
		t.Errorf("unfinished files %v, %v", left, err)
	}
	return all
}
