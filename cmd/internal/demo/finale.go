package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"waybill/cmd/internal/books"
	"waybill/pipeline"
)

// drain waits until nothing is open and nothing under way.
func (s *show) drain(ctx context.Context) error {
	if err := s.quiet(ctx, "posting the rest", 0, nil); err != nil {
		return err
	}
	if err := s.reconcile(ctx); err != nil {
		return err
	}
	s.console.blank()
	if err := s.shown(ctx, "report", "backlog"); err != nil {
		return err
	}
	s.console.blank()
	if err := s.shown(ctx, "audit", "verify"); err != nil {
		return err
	}
	s.console.blank()
	return s.milestones(ctx)
}

// shown runs a command and prints it with what it says.
func (s *show) shown(ctx context.Context, args ...string) error {
	s.console.say("$ waybill %s", quoted(args))
	text, err := s.daemon.command(ctx, args...)
	if err != nil {
		return err
	}
	s.console.say("%s", text)
	return nil
}

// reconcile shows what Waybill says of each carrier and currency.
func (s *show) reconcile(ctx context.Context) error {
	s.console.say("$ waybill report reconcile")
	r, err := ask[pipeline.ReconcileReport](ctx, s.daemon, "report", "reconcile")
	if err != nil {
		return err
	}
	s.console.say("%-11s %-3s %19s %19s %16s %15s %10s", "", "", "released", "posted", "in exception", "in flight", "difference")
	for _, l := range r.Totals {
		s.console.say("%-11s %-3s %19s %19s %16s %15s %10s", carrierOf(l.Company), l.Currency, sum(l.Source), sum(l.Posted), sum(l.Exception), sum(l.InFlight), grouped(l.Difference.Amount))
	}
	for _, d := range r.Differences {
		s.console.say("%s: %s", d.Ref, d.Why)
	}
	return nil
}

func carrierOf(company string) string {
	for _, h := range fleet {
		if h.company == company {
			return h.name
		}
	}
	return company
}

func sum(s pipeline.ReportSum) string {
	if s.Count == 0 {
		return "–"
	}
	return fmt.Sprintf("%d · %s", s.Count, grouped(s.Amount))
}

// cases tells one case of each carrier from its order to the money.
func (s *show) cases(ctx context.Context) error {
	for n, ref := range s.script.Tell {
		if n > 0 {
			s.console.blank()
		}
		s.console.say("$ waybill case show %s   (in short)", ref)
		text, err := s.daemon.command(ctx, "case", "show", ref)
		if err != nil {
			return err
		}
		s.console.say("%s", brief(text))
	}
	return nil
}

// brief leaves out of a case what nobody reported and what there is nothing to say about, and cuts what is too wide.
func brief(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasSuffix(line, "implied: nobody reported it") || strings.HasPrefix(line, "Known by ") {
			continue
		}
		if wide := []rune(line); len(wide) > columns-2 {
			line = string(wide[:columns-3]) + "…"
		}
		kept = append(kept, line)
	}
	return strings.TrimRight(strings.Join(kept, "\n"), "\n")
}

// carriers are the books of the three sources, read by SQL.
func (s *show) carriers(ctx context.Context, invoices []books.Invoice) ([]books.Carrier, error) {
	terms := books.Terms{Cutover: s.cutover, Zone: s.zone}
	in := map[string]bool{}
	for _, i := range invoices {
		in[i.Reference] = true
	}
	stores := s.servers.stores
	truck, err := books.ReadBilling(ctx, stores[Billing], s.zone, reference)
	if err != nil {
		return nil, err
	}
	ltl, err := books.ReadPineValley(ctx, stores[PineValley], s.script.Accounts, func(reference string) bool { return in[reference] })
	if err != nil {
		return nil, err
	}
	bulk, err := books.ReadGulfCoast(ctx, stores[GulfCoast], s.script.Accounts)
	if err != nil {
		return nil, err
	}
	named := terms
	if named.Names, err = books.ReadNames(ctx, stores[Dispatch]); err != nil {
		return nil, err
	}
	return []books.Carrier{{Name: northstar.name, Prefix: northstar.prefix, Headers: truck, Terms: named},
		{Name: pineValley.name, Prefix: pineValley.prefix, Headers: ltl, Terms: terms}, {Name: gulfCoast.name, Prefix: gulfCoast.prefix, Headers: bulk, Terms: terms}}, nil
}

// reference is the key of a document of Northstar in the ERP, as its mapping writes it.
func reference(number string, revision int) string {
	return fmt.Sprintf("%s%s:%d", northstar.prefix, number, revision)
}

// audit compares the books of all carriers with the ERP's, by a program that shares nothing with Waybill.
func (s *show) audit(ctx context.Context) error {
	t := s.servers.tryton
	erp := &books.Tryton{URL: t.URL(), Database: t.Database(), User: t.User(), Password: t.Password()}
	invoices, err := erp.Invoices(ctx)
	if err != nil {
		return err
	}
	carriers, err := s.carriers(ctx, invoices)
	if err != nil {
		return err
	}
	paired, ok := 0, true
	for n, r := range books.CompareGroup(carriers, invoices) {
		if n > 0 {
			s.console.blank()
		}
		name := "of no carrier"
		if n < len(carriers) {
			name = carriers[n].Name
		}
		s.console.say("%s", name)
		if err := r.Write(s.console); err != nil {
			return err
		}
		paired, ok = paired+r.Paired, ok && r.OK()
	}
	if !ok {
		return ErrBooksDiffer
	}
	if paired != len(s.script.Released) {
		return fmt.Errorf("%w: %d documents are paired, but the days released %d", ErrBooksDiffer, paired, len(s.script.Released))
	}
	return nil
}

// next says what to look at.
func (s *show) next() {
	say := s.console.say
	s.console.blank()
	say("The books fit: %d documents of three carriers, each posted once. %.0f s.", len(s.script.Released), time.Since(s.console.began).Seconds())
	if !s.Keep {
		say("To look around: make demo KEEP=1, which leaves everything running.")
		return
	}
	t := s.servers.tryton
	say("Everything is still running. In another terminal:")
	say("  export WAYBILL_CONFIG=%s/waybill.yaml", s.Dir)
	for _, line := range []string{"status", "report reconcile", "case list --stage posted --limit 5", "case show " + s.script.Tell[0], "trace " + strings.Replace(s.script.Mishaps[len(s.script.Mishaps)-1].About, "invoice/", "", 1),
		"exceptions list --state all", "xref list", "replay --all --dry-run"} {
		say("  %s %s", s.Binary, line)
	}
	p, m := s.servers.postgres, s.servers.mariadb
	say("  the ERP: %s   log in as admin, password %s", t.WebURL(), t.Password())
	for _, name := range []Database{Dispatch, PineValley, GulfCoast} {
		say("  %-8s psql postgresql://%[2]s:%[2]s@127.0.0.1:%d/%[2]s", name, postgresDatabases[name], p.Port)
	}
	say("  %-8s mariadb -h 127.0.0.1 -P %d -u %s -p%s %s", Billing, m.Port, m.User, m.Password, billingDatabase)
	say("  logs     %s", s.Dir)
	say("To stop everything: Ctrl-C here, or kill %d.", os.Getpid())
}
