package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// figure is one comparison of bench.json: ours and the limit in the unit, higher is better.
type figure struct {
	Name  string  `json:"name"`
	Ours  float64 `json:"ours"`
	Limit float64 `json:"limit"` // the best that was measured for the same work in this run
	Ratio float64 `json:"ratio"`
	Unit  string  `json:"unit"`
	CPU   float64 `json:"cpu_s"`  // of our process
	RSS   float64 `json:"rss_mb"` // its peak
}

// line is one row of the table.
type line struct {
	what   string
	value  string
	ratio  string
	cpu    float64 // seconds; 0 is not shown
	rss    float64 // MB
	anon   float64 // MB
	target string
}

type report struct {
	rows, runs int
	lines      []line
	figures    []figure
}

// sample is what one run of one drain gave.
type sample struct {
	Changes int     `json:"changes"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`  // user and system, of the measured part
	RSS     float64 `json:"rss"`  // peak, MB
	Anon    float64 `json:"anon"` // peak anonymous memory, MB
	P50     float64 `json:"p50"`  // ms
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
	Commit  float64 `json:"commit"` // p99 of the database's own commit, ms
	Pos     string  `json:"pos"`
}

func (s sample) rate() float64 { return float64(s.Changes) / s.Seconds }

// median picks the sample of the median rate, with the worst memory of all.
func median(samples []sample) sample {
	sorted := slices.Clone(samples)
	slices.SortFunc(sorted, func(a, b sample) int {
		switch {
		case a.rate() < b.rate():
			return -1
		case a.rate() > b.rate():
			return 1
		}
		return 0
	})
	m := sorted[len(sorted)/2]
	for _, s := range samples {
		m.RSS, m.Anon = max(m.RSS, s.RSS), max(m.Anon, s.Anon)
	}
	return m
}

// compared adds one part: the references, then ours against the best of them.
func (r *report) compared(name, unit, target string, ours []sample, references map[string][]sample, order []string) {
	best := 0.0
	for _, ref := range order {
		m := median(references[ref])
		best = max(best, m.rate())
		r.lines = append(r.lines, line{what: name + ": " + ref, value: rate(m.rate(), unit), cpu: m.CPU, rss: m.RSS, anon: m.Anon})
	}
	m := median(ours)
	ratio := m.rate() / best
	r.lines = append(r.lines, line{what: name + ": waybill", value: rate(m.rate(), unit), ratio: fmt.Sprintf("%.2f", ratio), cpu: m.CPU,
		rss: m.RSS, anon: m.Anon, target: target})
	r.figures = append(r.figures, figure{name, round(m.rate()), round(best), float64(int(ratio*1000)) / 1000, unit, float64(int(m.CPU*100)) / 100,
		float64(int(m.RSS*10)) / 10})
}

func (r *report) add(what, value, target string, m sample) {
	r.lines = append(r.lines, line{what: what, value: value, cpu: m.CPU, rss: m.RSS, anon: m.Anon, target: target})
}

func round(f float64) float64 { return float64(int64(f + 0.5)) }

func rate(f float64, unit string) string { return fmt.Sprintf("%.1f k %s", f/1000, unit) }

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nBacklog of %d changes; medians of %d runs, reference and subject alternately\n\n", r.rows, r.runs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tmeasured\tof the best\tCPU s\tpeak RSS MB\tpeak anon MB\ttarget")
	for _, l := range r.lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.what, l.value, l.ratio, some(l.cpu, "%.2f"), some(l.rss, "%.0f"), some(l.anon, "%.0f"), l.target)
	}
	t.Flush()
}

func some(f float64, format string) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf(format, f)
}
