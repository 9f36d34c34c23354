package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"waybill/pipeline"
)

// TestStories tells every row of the failure table on a real PostgreSQL, MariaDB and Tryton, and compares what became of it – events,
// exceptions, cases, ERP documents – with the golden file beside the story, byte for byte after masking what masks.yaml lists. All stories
// live in one stream of work; those that disturb the world come at the end, one after the other. STORIES=02,11 tells some of them.
func TestStories(t *testing.T) {
	all := readStories(t)
	coversTable(t, all)
	if some := os.Getenv("STORIES"); some != "" {
		all = slices.DeleteFunc(all, func(s *story) bool { return !strings.Contains(some, s.name[:2]) })
	}
	w := newWorld(t)
	w.masks = readMasks(t, w.now)
	w.quiet() // the first readings are over: what comes now is news
	var beside sync.WaitGroup
	failed := map[*story]error{}
	var mu sync.Mutex
	for _, s := range all {
		s.world = w
		if s.Alone {
			continue
		}
		beside.Go(func() {
			err := s.live()
			mu.Lock()
			defer mu.Unlock()
			failed[s] = err
		})
	}
	beside.Wait()
	w.quiet()
	for _, s := range all {
		if !s.Alone {
			t.Run(s.name, func(t *testing.T) { s.compare(t, failed[s]) })
		}
	}
	for _, s := range all {
		if s.Alone {
			t.Run(s.name, func(t *testing.T) {
				err := s.live()
				w.quiet()
				s.compare(t, err)
			})
		}
	}
	w.untold(all)
	w.stop()
}

func readStories(t *testing.T) []*story {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(stories, "[0-9]*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no stories: ", err)
	}
	var all []*story
	for _, f := range files {
		s, err := readStory(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// coversTable fails when a row has no story, or a story tells of no row.
func coversTable(t *testing.T, all []*story) {
	t.Helper()
	told := map[tableRow]bool{}
	for _, s := range all {
		for _, c := range s.Codes {
			r := tableRow{s.Row, c}
			if told[r] = true; !slices.Contains(failureTable, r) {
				t.Errorf("%s tells of %q %s, which is no row of the table", s.name, s.Row, c)
			}
		}
	}
	for _, r := range failureTable {
		switch why := untold[r.code]; {
		case told[r] && why != "":
			t.Errorf("%s has a story: take it out of the list of those that have none", r.code)
		case !told[r] && why == "":
			t.Errorf("the row %q (%s) has no story in %s", r.name, r.code, stories)
		}
	}
}

// compare compares the story with its golden file.
func (s *story) compare(t *testing.T, err error) {
	t.Helper()
	got, bookErr := s.book()
	if err != nil {
		t.Fatalf("%s: %v\nSo far:\n%s", s.name, err, got)
	}
	if bookErr != nil {
		t.Fatal(bookErr)
	}
	golden := filepath.Join(stories, s.name+".golden")
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
		t.Errorf("%s is told otherwise; run go test ./cmd/internal/e2e -run TestStories -update and look at the difference:\n%s", s.name, firstDifference(string(want), got))
	}
}

// firstDifference shows the first lines that differ.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		at := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+6, len(lines))], "\n") }
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return "golden:\n" + at(a) + "\nnow:\n" + at(b)
		}
	}
	return ""
}

// untold fails when something happened that no story is about.
func (w *world) untold(all []*story) {
	w.t.Helper()
	about := []string{"customer/P10001", "customer/P10002", "customer/P10003", "customer/P10004"} // of the world
	for _, s := range all {
		about = append(about, s.About...)
	}
	known := func(refs []string) bool {
		return slices.ContainsFunc(refs, func(r string) bool { return slices.Contains(about, r) })
	}
	events, err := w.api.Events(context.Background(), pipeline.EventQuery{Limit: storyLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		if !known(append(e.Refs, e.Entity+"/"+e.Key)) {
			w.t.Errorf("no story tells of the event %s %s", e.Type, e.Key)
		}
	}
	exceptions, err := w.api.Exceptions(context.Background(), pipeline.ExceptionQuery{State: "all", Limit: storyLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range exceptions {
		if !known(x.Subjects) {
			w.t.Errorf("no story tells of the exception %s %v: %s", x.Code, x.Subjects, x.Title)
		}
	}
}
