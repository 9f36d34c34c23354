package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/pipeline"
	"waybill/transform"
)

// scenes tells each mishap, mends it where it belongs – at the source, in the mapping, by a decision – and shows what becomes of it.
func (s *show) scenes(ctx context.Context) error {
	for n, m := range s.script.Mishaps {
		if n > 0 {
			s.console.blank()
		}
		s.console.say("%d. %s · %s", n+1, strings.ToUpper(m.Name[:1])+m.Name[1:], m.Carrier)
		s.console.point("happened", m.Story)
		if err := s.scene(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func (s *show) scene(ctx context.Context, m Mishap) error {
	id := ""
	if err := s.servers.stores.apply(ctx, m.Now); err != nil {
		return err
	}
	if m.Code == "" {
		s.console.point("Waybill", m.Handled)
		if len(m.Remedy) > 0 {
			if err := s.gate(ctx, m.About); err != nil {
				return err
			}
		}
	} else {
		open, err := s.exceptions(ctx)
		if err != nil {
			return err
		}
		x := find(open, m)
		if x == nil {
			return fmt.Errorf("no exception %s of %s is open", m.Code, m.About)
		}
		id = x.ID
		s.console.point("Waybill", fmt.Sprintf("%s %s, for %s: %s\n%s", x.ID, x.Code, x.Owner, stake(x), x.Title))
	}
	word := "a person"
	for _, r := range m.Remedy {
		if err := s.mend(ctx, r, id, word); err != nil {
			return err
		}
		word = ""
	}
	return s.result(ctx, m, id)
}

// stake is what waits for an exception, and what it is worth.
func stake(x *pipeline.ExceptionView) string {
	text := "1 waits"
	if x.Waiting != 1 {
		text = fmt.Sprintf("%d wait", x.Waiting)
	}
	var money []string
	for _, currency := range []string{"USD", "CAD"} {
		if x.Money[currency] != "" {
			money = append(money, grouped(x.Money[currency])+" "+currency)
		}
	}
	if money == nil {
		return text + ", no money yet"
	}
	return text + ", " + strings.Join(money, " and ") + " at risk"
}

// gate shows what the posting of a document waits for.
func (s *show) gate(ctx context.Context, ref string) error {
	events, err := ask[[]pipeline.StoredEvent](ctx, s.daemon, "events", "list", "--type", "invoice.released", "--key", ref)
	if err != nil {
		return err
	}
	if len(events) != 1 {
		return fmt.Errorf("%s was released %d times", ref, len(events))
	}
	e, err := ask[pipeline.StoredEvent](ctx, s.daemon, "events", "show", events[0].ID)
	if err != nil {
		return err
	}
	s.console.point("", "$ waybill events show "+e.ID)
	for _, d := range e.Deliveries {
		s.console.point("", fmt.Sprintf("%s %s is %s: %s", d.Entity, d.ExternalID, d.State, d.Why))
	}
	return nil
}

// mend does what people do, and shows it.
func (s *show) mend(ctx context.Context, r Remedy, exception, word string) error {
	switch {
	case r.Upgrade:
		return s.upgrade(ctx, word)
	case r.Command != nil:
		return s.decide(ctx, r.Command, exception, word)
	}
	for _, t := range r.Transactions {
		last := ""
		for _, statement := range t.Statements {
			text := statement.text()
			if table := strings.Join(strings.Fields(text)[:3], " "); table != last { // of many lines the first
				s.console.point(word, clip(string(t.Database)+"> "+text))
				word, last = "", table
			}
		}
		if err := s.servers.stores.commit(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// decide runs a command of waybill.
func (s *show) decide(ctx context.Context, command []string, exception, word string) error {
	command = slices.Clone(command)
	for i, arg := range command {
		switch arg {
		case "{exception}":
			command[i] = exception
		case "{row}":
			rows, err := ask[[]transform.RegistryRow](ctx, s.daemon, "xref", "list", "--state", "proposed")
			if err != nil {
				return err
			}
			if len(rows) != 1 {
				return fmt.Errorf("%d rows of the registry are proposed, want one", len(rows))
			}
			command[i] = rows[0].ID
		}
	}
	s.console.point(word, "$ waybill "+quoted(command))
	_, err := s.daemon.command(ctx, command...)
	return err
}

// upgrade gives Waybill the second version of Northstar's mapping, and shows first what it would change.
func (s *show) upgrade(ctx context.Context, word string) error {
	if err := s.writeMapping(&northstar, 2); err != nil {
		return err
	}
	s.console.point(word, fmt.Sprintf("northstar.yaml, version 2: charge: { %s: TARPING, … }", newChargeCode))
	diff := []string{"map", "diff", "active", northstar.folder + ".yaml"}
	s.console.point("", "$ waybill "+quoted(diff))
	v, err := ask[pipeline.MappingDiff](ctx, s.daemon, diff...)
	if err != nil {
		return err
	}
	a := v.Activation
	s.console.point("", fmt.Sprintf("documents that it would post: %d added, %d gone, %d changed", a.Posts.Added, a.Posts.Gone, a.Posts.Changed))
	for _, d := range a.Documents {
		if d.New != nil {
			s.console.point("", fmt.Sprintf("%s %s, %s %s", d.Kind, d.ExternalID, grouped(d.New.Amount), d.New.Currency))
		}
	}
	return s.decide(ctx, []string{"map", "activate", northstar.folder, "--why", "tarping has a code", "--yes"}, "", "")
}

// result waits until the mishap's documents are posted and its exception is closed, and tells it.
func (s *show) result(ctx context.Context, m Mishap, exception string) error {
	began := time.Now()
	var posted map[string]posting
	err := s.poll(ctx, "mending it", func(pipeline.Status) (bool, error) {
		var err error
		if posted, err = s.posted(ctx); err != nil {
			return false, err
		}
		if slices.ContainsFunc(m.Posted, func(id string) bool { return posted[id].Number == "" }) {
			return false, nil
		}
		if exception == "" {
			return true, nil
		}
		x, err := ask[pipeline.ExceptionView](ctx, s.daemon, "exceptions", "show", exception)
		return err == nil && x.ClosedAt != nil, err
	})
	if err != nil {
		return err
	}
	var all []string
	for _, id := range m.Posted {
		all = append(all, fmt.Sprintf("%s is %s, %s %s", id, posted[id].Number, grouped(posted[id].Total), posted[id].Currency))
	}
	if exception != "" {
		all = append(all, fmt.Sprintf("%s closed by itself (%.0f s)", exception, time.Since(began).Seconds()))
	}
	s.console.point("result", strings.Join(all, "\n"))
	if err := s.attempts(ctx, m.Trace); err != nil {
		return err
	}
	return s.note(ctx, m.Notes)
}

// attempts shows what was sent to the ERP about something, and what became of it.
func (s *show) attempts(ctx context.Context, key string) error {
	if key == "" {
		return nil
	}
	items, err := ask[[]pipeline.TraceItem](ctx, s.daemon, "trace", key)
	if err != nil {
		return err
	}
	s.console.point("", "$ waybill trace "+key)
	for _, i := range items {
		if i.Kind == "intent" || i.Kind == "outcome" || i.Kind == "verify" {
			s.console.point("", i.At.In(s.zone).Format(time.TimeOnly)+"  "+i.Text)
		}
	}
	return nil
}

// note shows the notes of a case.
func (s *show) note(ctx context.Context, ref string) error {
	if ref == "" {
		return nil
	}
	v, err := ask[pipeline.CaseView](ctx, s.daemon, "case", "show", ref)
	if err != nil {
		return err
	}
	for _, n := range v.Notes {
		s.console.point("", n)
	}
	return nil
}

// posting is what the ERP said of a document.
type posting struct {
	ExternalID string `json:"external_id"`
	Number     string `json:"number"`
	Total      string `json:"total"`
	Currency   string `json:"currency"`
}

// posted is what the events say that the ERP has posted, by external id.
func (s *show) posted(ctx context.Context) (map[string]posting, error) {
	events, err := ask[[]pipeline.StoredEvent](ctx, s.daemon, "events", "list", "--type", "erp.posted", "--limit", "10000")
	if err != nil {
		return nil, err
	}
	all := map[string]posting{}
	for _, e := range events {
		var p posting
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return nil, fmt.Errorf("reading the event %s: %w", e.ID, err)
		}
		all[p.ExternalID] = p
	}
	return all, nil
}
