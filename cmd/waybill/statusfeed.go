package main

import "waybill/pipeline"

// printFeeds shows the publishers: what each has, and what it does not have yet.
func (a *app) printFeeds(feeds []pipeline.FeedStatus) {
	if len(feeds) == 0 {
		return
	}
	a.printf("\nFeeds\n")
	t := newTable("SINK", "STATE", ">PUBLISHED", ">BEHIND", ">ASIDE", ">DISCARDED", ">OLDEST")
	t.indent = "  "
	for _, f := range feeds {
		oldest := "-"
		if f.Oldest != nil {
			oldest = a.ago(*f.Oldest)
		}
		t.row(f.Sink, f.State, count(f.Published), count(f.Behind), count(f.Aside), count(f.Discarded), oldest)
	}
	t.print(a.out)
	for _, f := range feeds {
		text := f.Error
		if text == "" && f.LastError != "" && f.Behind > f.Aside {
			text = "last error: " + f.LastError
		}
		if text != "" {
			a.printf("  %s: %s\n", f.Sink, oneLine(text, 300))
		}
	}
}
