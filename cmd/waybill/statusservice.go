package main

import "waybill/pipeline"

// printServices shows the services that the mappings' lookups ask, when something is asked of them or they are silent.
func (a *app) printServices(services []pipeline.ServiceStatus) {
	if len(services) == 0 {
		return
	}
	a.printf("\nServices\n")
	t := newTable("SERVICE", "STATE", ">QUESTIONS", ">ASKED AGAIN", "OLDEST")
	t.indent = "  "
	for _, s := range services {
		state, oldest := "answers", ""
		switch {
		case s.Silent:
			state = "silent"
		case s.Error != "":
			state = "failing"
		}
		if s.Oldest != nil {
			oldest = a.time(*s.Oldest)
		}
		t.row(s.Name, state, count(s.Questions), count(s.Unanswered), oldest)
	}
	t.print(a.out)
	for _, s := range services {
		if s.Error != "" {
			a.printf("  %s: %s\n", s.Name, oneLine(s.Error, 300))
		}
	}
}
