package demo

import (
	"context"
	"os"
	"slices"
	"time"

	"waybill/pipeline"
)

// repair mends each mishap where it belongs, in billing, in the mapping or in the ERP, and asks Waybill to try again.
func (s *show) repair(ctx context.Context) error {
	s.console.say("$ waybill exceptions list")
	text, err := s.daemon.command(ctx, "exceptions", "list")
	if err != nil {
		return err
	}
	s.console.say("%s", text)
	for _, r := range s.script.Repairs {
		s.console.say("repair: %s", r.Story)
		switch r.Where {
		case InMapping:
			err = s.upgrade(ctx)
		case InERP:
			err = s.addSubdivision(ctx)
		case InBilling:
			err = s.stores.apply(ctx, r.Transactions)
		}
		if err != nil {
			return err
		}
	}
	since := time.Now()
	if err := s.poll(ctx, "capturing the repairs", func(status pipeline.Status) (bool, error) { return captured(status, since), nil }); err != nil {
		return err
	}
	return s.retry(ctx)
}

// upgrade gives Waybill the second version of the mapping.
func (s *show) upgrade(ctx context.Context) error {
	if err := s.configure(2); err != nil {
		return err
	}
	s.console.say("$ waybill map check")
	if _, err := s.daemon.command(ctx, "map", "check"); err != nil {
		return err
	}
	s.daemon.stop()
	s.console.say("waybill is stopped, and started with the new mapping")
	return s.daemon.start()
}

// retry asks for each exception that is still open; some have closed by themselves when the missing data came in.
func (s *show) retry(ctx context.Context) error {
	open, err := s.exceptions(ctx)
	if err != nil {
		return err
	}
	for _, x := range open {
		why := x.Code
		for _, r := range s.script.Repairs {
			if slices.ContainsFunc(subjects(x), func(n string) bool { return slices.Contains(r.Waiting, n) }) {
				why = r.Story
			}
		}
		s.console.say("$ waybill exceptions retry %s --why %q", x.ID, why)
		text, err := s.daemon.command(ctx, "exceptions", "retry", x.ID, "--why", why)
		if err != nil {
			return err
		}
		s.console.say("%s", text)
	}
	if closed := len(s.script.Repairs) - len(open); closed > 0 {
		s.console.say("%d exceptions had closed by themselves when the repair came in", closed)
	}
	return nil
}

// next says what to look at.
func (s *show) next() {
	rebill := s.script.Rebilled[0]
	say := s.console.say
	if !s.Keep {
		say("done in %.0f s. To look around: make demo KEEP=1, which leaves everything running.", time.Since(s.console.began).Seconds())
		return
	}
	t := s.servers.tryton
	say("everything is still running. In another terminal:")
	say("  export WAYBILL_CONFIG=%s/waybill.yaml", s.Dir)
	for _, line := range []string{"status", "trace invoice/" + rebill, "exceptions list --state all", "events list --limit 20", "replay --all --dry-run"} {
		say("  %s %s", s.Binary, line)
	}
	say("  the ERP: %s   log in as admin, password %s (RPC: %s/%s/)", t.WebURL(), t.Password(), t.URL(), t.Database())
	say("  dispatch: psql -h 127.0.0.1 -p %d -U nstar %s   (password nstar)", s.servers.postgres.Port, dispatchDatabase)
	say("  billing:  mariadb -h 127.0.0.1 -P %d -u %s -p%s %s", s.servers.mariadb.Port, s.servers.mariadb.User, s.servers.mariadb.Password, billingDatabase)
	say("  logs: %s", s.Dir)
	say("to stop everything: Ctrl-C here, or kill %d", os.Getpid())
}
