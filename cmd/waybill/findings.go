package main

import (
	"strings"

	"waybill/cdc"
	"waybill/cmd/internal/config"
	"waybill/transform"
)

// finding is one line of check: where it was looked, and what was found.
type finding struct {
	Where string `json:"where"` // configuration, mapping, or the name of a source or sink
	cdc.Finding
	code int // exit code that a fail of it gives
}

// report collects findings. Fails of the configuration and the mapping end with 2, those of the environment with 3.
type report struct {
	Findings []finding `json:"findings"`
	Failed   int       `json:"failed"`
	Warned   int       `json:"warned"`
}

func (r *report) add(where string, code int, list ...cdc.Finding) {
	for _, f := range list {
		switch f.Level {
		case cdc.LevelFail:
			r.Failed++
		case cdc.LevelWarn:
			r.Warned++
		}
		r.Findings = append(r.Findings, finding{where, f, code})
	}
}

func (r *report) ok(where, check, found string) {
	r.add(where, exitOK, cdc.Finding{Check: check, Level: cdc.LevelOK, Found: found})
}

func (r *report) fail(where, check, found, fix string, code int) {
	r.add(where, code, cdc.Finding{Check: check, Level: cdc.LevelFail, Found: found, Fix: fix})
}

func (r *report) configFaults(faults config.Faults) {
	for _, f := range faults {
		r.fail("configuration", orDash(f.Field), f.String(), "", exitUsage)
	}
}

func (r *report) mappingFaults(faults []transform.Fault) {
	for _, f := range faults {
		r.fail("mapping", "rule", f.Error(), "", exitUsage)
	}
}

// code is the exit code: 2 before 3, because a wrong file must be corrected before the rest means anything.
func (r *report) code() int {
	code := exitOK
	for _, f := range r.Findings {
		if f.Level == cdc.LevelFail && (code == exitOK || f.code == exitUsage) {
			code = f.code
		}
	}
	return code
}

// maxFound is how much of what was found the table shows; a longer text follows below it.
const maxFound = 120

// printReport prints the table, then each finding that needs something, in full.
func (a *app) printReport(r *report, next string) error {
	if a.json {
		if r.Findings == nil {
			r.Findings = []finding{}
		}
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		a.printFindings(r, next)
	}
	if code := r.code(); code != exitOK {
		return shownError{code}
	}
	return nil
}

func (a *app) printFindings(r *report, next string) {
	t := newTable("LEVEL", "WHERE", "CHECK", "FOUND")
	for _, f := range r.Findings {
		t.row(string(f.Level), f.Where, oneLine(f.Check, 60), oneLine(f.Found, maxFound))
	}
	t.print(a.out)
	for _, f := range r.Findings {
		whole := f.Want == "" && f.Why == "" && f.Fix == "" && f.Found == oneLine(f.Found, maxFound)
		if f.Level == cdc.LevelOK || whole {
			continue // the table has said it all
		}
		a.printf("\n%s  %s: %s\n", strings.ToUpper(string(f.Level)), f.Where, f.Check)
		for _, part := range [][2]string{{"found", f.Found}, {"needs", f.Want}, {"why", f.Why}, {"fix", f.Fix}} {
			if part[1] != "" {
				a.printf("  %-6s %s\n", part[0], strings.ReplaceAll(part[1], "\n", "\n         "))
			}
		}
	}
	switch {
	case r.Failed > 0:
		a.printf("\n%s, %s. Run would refuse to start; settle what failed and check again.\n",
			plural(r.Failed, "failure", "failures"), plural(r.Warned, "warning", "warnings"))
	case r.Warned > 0:
		a.printf("\nNo failure, %s. %s\n", plural(r.Warned, "warning", "warnings"), next)
	default:
		a.printf("\nEverything is in order. %s\n", next)
	}
}
