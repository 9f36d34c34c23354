// Command bench measures Waybill against the best that the databases' own tools and a bare reader can do, on one backlog, in one
// run, on real servers of its own. `make bench` runs it; the table goes to standard output, the ratios into bench.json.
//
// Reference and subject run alternately and each figure is a median, because single runs differ by 15 %. What is ours runs in
// a process of its own, so that its CPU seconds and memory are its own.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// settings say how much is measured. BENCH_ROWS, BENCH_RUNS and BENCH_SECONDS (of the outbox part) shrink a run.
type settings struct {
	Rows    int      // changes of the backlog
	Runs    int      // of each measurement
	Only    []string // parts to run: pg, mariadb, snapshot, engine, latency, outbox, http-sink, kafka-sink, daemon; empty is all
	Waybill string   // the program
	Out     string   // bench.json
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		if err := child(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	s := settings{Rows: number("BENCH_ROWS", 1_000_000), Runs: number("BENCH_RUNS", 3)}
	only := flag.String("only", "", "parts to run, by comma: pg, mariadb, snapshot, engine, latency, outbox, http-sink, kafka-sink, daemon")
	flag.StringVar(&s.Waybill, "waybill", "bin/waybill", "the program")
	flag.StringVar(&s.Out, "out", "bench.json", "file for the ratios")
	flag.Parse()
	if *only != "" {
		s.Only = strings.Split(*only, ",")
	}
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func number(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return standard
}

func (s settings) wants(part string) bool {
	for _, p := range s.Only {
		if p == part {
			return true
		}
	}
	return len(s.Only) == 0
}

// run starts the servers, measures every part and reports. What was measured before an error is reported too.
func run(s settings) error {
	dir, err := os.MkdirTemp("", "waybill-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the servers run as other users
		return err
	}
	r := &report{rows: s.Rows, runs: s.Runs}
	var errs []error
	for _, part := range []struct {
		names   []string
		measure func(settings, string, *report) error
	}{
		{[]string{"pg", "snapshot", "engine", "latency", "outbox", "http-sink", "daemon"}, measurePostgres},
		{[]string{"mariadb", "snapshot", "latency"}, measureMariaDB},
		{[]string{"daemon"}, measureBinary},
		{[]string{"kafka-sink"}, measureKafka},
	} {
		for _, name := range part.names {
			if s.wants(name) {
				if err := part.measure(s, dir, r); err != nil {
					errs = append(errs, err)
				}
				break
			}
		}
	}
	r.print(os.Stdout)
	return errors.Join(append(errs, r.write(s.Out))...)
}

// write keeps the figures that others compare.
func (r *report) write(file string) error {
	list := []figure{}
	for _, f := range r.figures {
		if f.Name != "" {
			list = append(list, f)
		}
	}
	raw, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}
