package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options are the demo's flags.
type Options struct {
	Seed     uint64    // of the carriers, their days and the disasters
	Dir      string    // folder of its own, made when missing, empty when there; "" is a fresh one under $TMPDIR
	Carriers string    // folder with the carriers' schemas and mappings; "" looks for testdata/carriers
	Invoices int       // documents that Northstar's days release; at least 40
	History  int       // documents from before the cut-over
	Keep     bool      // leave everything running until the context ends
	Fast     bool      // play the days in a third of the time
	Binary   string    // the waybill program; "" is this one
	Out      io.Writer // where progress is printed
}

// DefaultOptions are the options of `make demo`.
func DefaultOptions() Options { return Options{Seed: 1, Invoices: 60, History: 2000, Out: os.Stdout} }

// ErrBooksDiffer says that the demo ran to its end, and that the ERP does not hold what billing released.
var ErrBooksDiffer = errors.New("the books differ")

// show is one run of the demo.
type show struct {
	Options
	console *console
	zone    *time.Location
	cutover time.Time
	servers *servers
	daemon  *daemon
	script  Script
}

// Run runs the demo and prints its progress. Whatever it starts has ended when it returns: also when ctx ends, and when it fails. Its
// folder is removed when it made it and all went well.
func Run(ctx context.Context, o Options) (err error) {
	s := &show{Options: o, console: &console{out: o.Out, began: time.Now(), of: 9}}
	made, err := s.prepare()
	if err != nil {
		return err
	}
	s.console.say("%s: three carriers, five databases, one Waybill, one ERP. Seed %d, in %s", group, s.Seed, s.Dir)
	defer func() {
		s.daemon.stop()
		if s.servers != nil {
			s.servers.stop()
		}
		if made && err == nil {
			err = os.RemoveAll(s.Dir)
		}
	}()
	err = s.acts(ctx)
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.Is(err, ErrBooksDiffer):
		s.console.say("the folder is kept: %s", s.Dir)
	default:
		s.console.say("failed; the logs are in %s", s.Dir)
		s.console.say("%s", s.lastExceptions(ctx))
		s.console.say("--- log of waybill\n%s", s.daemon.logTail())
		if s.servers != nil {
			s.console.say("%s", s.servers.tail())
		}
	}
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return err // none when a kept demo was stopped after its end
}

// lastExceptions is what a person would have to settle when the demo fails, or why Waybill does not say.
func (s *show) lastExceptions(ctx context.Context) string {
	if s.daemon.ended() {
		return "waybill ended by itself"
	}
	text, err := s.daemon.command(ctx, "exceptions", "list")
	if err != nil {
		return err.Error()
	}
	return text
}

// acts runs the steps in order.
func (s *show) acts(ctx context.Context) error {
	for _, act := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"starting PostgreSQL and MariaDB (the carriers) and Tryton (the ERP)", s.start},
		{fmt.Sprintf("seeding Northstar (truckload), Pine Valley (LTL) and Gulf Coast (bulk); %d old invoices", s.History), s.seed},
		{"waybill check, and waybill plan: what would be sent", s.preview},
		{fmt.Sprintf("%d working days, with ten mishaps and two disasters", workingDays), s.days},
		{"waiting until all is posted but what people must settle", s.settle},
		{"ten mishaps, as people meet them", s.scenes},
		{"waiting until all is posted", s.drain},
		{"one case of each carrier, from order to cash", s.cases},
		{"the books: each source by SQL against the ERP by RPC, document by document", s.audit},
	} {
		s.console.title("%s", act.title)
		if err := act.run(ctx); err != nil {
			return err
		}
	}
	s.next()
	if s.Keep {
		<-ctx.Done()
		s.console.say("stopping everything")
		return nil
	}
	return nil
}

// prepare completes the options, finds what the demo needs and makes its folder; made says that the folder is a fresh one of ours.
func (s *show) prepare() (made bool, err error) {
	if s.Binary == "" {
		if s.Binary, err = os.Executable(); err != nil {
			return false, fmt.Errorf("finding the waybill program: %w", err)
		}
	}
	if s.Carriers, err = findCarriers(s.Carriers, s.Binary); err != nil {
		return false, err
	}
	if s.zone, err = time.LoadLocation("America/Chicago"); err != nil {
		return false, fmt.Errorf("loading the carrier's time zone: %w", err)
	}
	if s.Dir == "" {
		made = true
		if s.Dir, err = os.MkdirTemp("", "waybill-demo-"); err != nil {
			return false, fmt.Errorf("making the demo's folder: %w", err)
		}
	} else if err := emptyFolder(s.Dir); err != nil {
		return false, err
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return false, fmt.Errorf("finding the demo's folder: %w", err)
	}
	// The servers run as other users, who must be able to enter it.
	if err := os.Chmod(s.Dir, 0o755); err != nil {
		return false, fmt.Errorf("opening the demo's folder: %w", err)
	}
	s.daemon = &daemon{binary: s.Binary, dir: s.Dir}
	return made, nil
}

// findCarriers looks for the carriers' folder: as given, or below the working folder, or beside the program's own folder.
func findCarriers(given, binary string) (string, error) {
	const standard = "testdata/carriers"
	tried := []string{given}
	if given == "" {
		tried = []string{standard, filepath.Join(filepath.Dir(binary), "..", standard)}
	}
	for _, dir := range tried {
		if _, err := os.Stat(filepath.Join(dir, northstar.folder, "mapping.yaml")); err == nil {
			return filepath.Abs(dir)
		}
	}
	return "", fmt.Errorf("northstar/mapping.yaml is not in %q; run the demo from the source tree, or name the carriers' folder with --carriers", tried)
}

func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the demo's folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty (%s is in it); name another one with --dir, or remove it", dir, entries[0].Name())
	}
	return nil
}

func (s *show) start(ctx context.Context) (err error) {
	s.servers, err = startServers(ctx, s.Dir, s.console.say)
	return err
}

// seed fills the databases with everything from before the days, and fixes the cut-over: now, as Northstar's clock shows it.
func (s *show) seed(ctx context.Context) error {
	if err := s.servers.createStores(ctx, s.Carriers); err != nil {
		return err
	}
	if err := s.openAccounts(ctx); err != nil {
		return err
	}
	var err error
	// Through the clock's text, so that the hour that comes twice a year means the same here and in billing.
	if s.cutover, err = time.ParseInLocation(time.DateTime, time.Now().In(s.zone).Format(time.DateTime), s.zone); err != nil {
		return fmt.Errorf("fixing the cut-over: %w", err)
	}
	span := 40 * time.Second
	if s.Fast {
		span /= 3
	}
	s.script, err = NewScript(Plan{Seed: s.Seed, Start: s.cutover.Add(2 * time.Second), Zone: s.zone, Span: span, Invoices: s.Invoices})
	if err != nil {
		return err
	}
	if err := SeedHistory(ctx, s.servers.stores[Billing], s.History, s.Seed, s.cutover); err != nil {
		return err
	}
	if err := s.servers.stores.apply(ctx, s.script.Before); err != nil {
		return err
	}
	s.console.say("the cut-over is %s: what was released before is not ours to post", s.cutover.Format(time.RFC3339))
	if err := s.writeRegistry(); err != nil {
		return err
	}
	return s.configure()
}

// preview runs the two commands that people run before they go live.
func (s *show) preview(ctx context.Context) error {
	s.console.say("$ waybill check")
	text, err := s.daemon.command(ctx, "check")
	if err != nil {
		return err
	}
	s.console.say("%s (all of it: commands.log)", lastLine(text))
	s.console.say("$ waybill plan")
	if text, err = s.daemon.command(ctx, "plan"); err != nil {
		return err
	}
	s.console.say("%s", text)
	return nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// luck draws the moments of the disasters, apart from those of the days.
func (s *show) luck() *rand.Rand { return rand.New(rand.NewPCG(s.Seed, 0x6469736173746572)) }
