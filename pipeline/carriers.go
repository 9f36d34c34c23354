package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// activation is the payload of a checkpoint.Mapping entry, and what the state keeps of it. Without a carrier it is the only
// mapping from then on, as in a daemon that runs one; with one it is one of several.
type activation struct {
	mappingEntry
	Carrier string `json:"carrier,omitempty"`
	Retired bool   `json:"retired,omitempty"` // the carrier was taken out of the configuration: what it holds stays
	By      string `json:"by,omitempty"`      // the person who activated it; none when a start found it in its configuration
	Why     string `json:"why,omitempty"`
}

// homeKey is where the state keeps the first mapping that it knew, whose keys carry no name (transform.Carriers). The others lie
// behind it by their names.
const homeKey = "mapping"

func scopeKey(scope string) string {
	if scope == "" {
		return homeKey
	}
	return homeKey + "/" + scope
}

// activations are the mappings of the state by scope, retired ones too.
func (s *state) activations() (map[string]activation, error) {
	all := map[string]activation{}
	err := s.Scan(bucketSystem, homeKey, "", func(k string, raw []byte) (bool, error) {
		if k != homeKey && !strings.HasPrefix(k, homeKey+"/") {
			return true, nil
		}
		var a activation
		if err := json.Unmarshal(raw, &a); err != nil {
			return false, fmt.Errorf("reading %s %q from the state: %w", bucketSystem, k, err)
		}
		all[strings.TrimPrefix(strings.TrimPrefix(k, homeKey), "/")] = a
		return true, nil
	})
	return all, err
}

// carrierOf is the name of the mapping: "northstar" of northstar/7.
func (a *activation) carrierOf() string {
	if a.Carrier != "" {
		return a.Carrier
	}
	return a.Version[:max(0, strings.LastIndexByte(a.Version, '/'))]
}

// activate applies a Mapping entry: from here on its rules hold.
func (p *projector) activate(s *state, e checkpoint.Entry) error {
	var a activation
	if err := json.Unmarshal(e.Payload, &a); err != nil {
		return fmt.Errorf("reading mapping entry: %w", err)
	}
	known, err := s.activations()
	if err != nil {
		return err
	}
	changed := join(known, a)
	for _, scope := range changed {
		if err := s.save(bucketSystem, scopeKey(scope), known[scope]); err != nil {
			return err
		}
	}
	if err := p.use(known); err != nil {
		return err
	}
	s.carriers = p.mapper
	line := AuditLine{At: e.At, By: cmp.Or(a.By, daemon), Action: "activate mapping", Target: a.Version, Why: a.Why, Index: e.Index}
	if a.Retired {
		line.Action = "retire mapping"
		return s.audit(line)
	}
	if err := p.follow(s); err != nil {
		return err
	}
	if err := p.planReadings(s, e.At); err != nil {
		return err
	}
	if err := s.addWork(work{Kind: workActivate, Key: changed[0]}); err != nil {
		return err
	}
	return s.audit(line)
}

// join puts an activation among the mappings that are known. One without a carrier retires the others. It returns the scopes
// that changed, that of the activation first.
func join(known map[string]activation, a activation) (changed []string) {
	scope := place(known, &a)
	changed = []string{scope}
	if a.Carrier == "" { // alone from now on
		for _, other := range slices.Sorted(maps.Keys(known)) {
			if was := known[other]; other != scope && !was.Retired {
				was.Retired = true
				known[other] = was
				changed = append(changed, other)
			}
		}
	}
	known[scope] = a
	return changed
}

// renewed is the activation of another version of a mapping that is active, beside the others that are; ok is false when none of
// its name is.
func renewed(known map[string]activation, m mappingEntry) (was, a activation, ok bool) {
	a = activation{mappingEntry: m}
	active := 0
	for _, o := range known {
		if o.Retired {
			continue
		}
		if active++; o.carrierOf() == a.carrierOf() {
			was, ok = o, true
		}
	}
	if a.Carrier = was.Carrier; active > 1 {
		a.Carrier = a.carrierOf()
	}
	return was, a, ok
}

// place finds the scope of an activation. The first mapping of a state has none; one that alone replaces the only one takes its
// place, whatever it is called.
func place(known map[string]activation, a *activation) string {
	home, any := known[""]
	name := a.carrierOf()
	switch {
	case !any || home.carrierOf() == name:
		return ""
	case a.Carrier == "" && len(known) == 1:
		return ""
	}
	return name
}

// follow notes what the state must follow for the mapping: the events that postings wait for, and its company.
func (p *projector) follow(s *state) error {
	for _, typ := range slices.Sorted(maps.Keys(p.mapper.GateEvents())) {
		if p.awaited[typ] {
			continue
		}
		if err := s.mark(bucketAwaited, typ); err != nil {
			return err
		}
		p.awaited[typ] = true
		if err := s.addWork(work{Kind: workAwaited, Key: typ}); err != nil {
			return err
		}
	}
	for _, m := range p.mapper.Mappings() {
		if err := s.company(m.Company()); err != nil {
			return err
		}
	}
	return nil
}

// company notes a company, so that people find its documents by their numbers alone.
func (s *state) company(name string) error {
	if name == "" || s.floors != nil && s.floors.companies[name] {
		return nil
	}
	if s.floors != nil {
		if s.floors.companies == nil {
			s.floors.companies = map[string]bool{}
		}
		s.floors.companies[name] = true
	}
	return s.mark(bucketCompany, name)
}

// use compiles the mappings of the state and projects by them.
func (p *projector) use(known map[string]activation) error {
	fresh, err := compiled(known)
	if err == nil {
		p.mapper = fresh
		p.asks.Store(len(fresh.Asks()) > 0)
	}
	return err
}

// compiled makes the mappings of the state, for those who look beside the projector.
func (s *state) compiled() (*transform.Carriers, error) {
	known, err := s.activations()
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		return nil, errNoMapping
	}
	return compiled(known)
}

// compiled makes the mappings of the state from their texts.
func compiled(known map[string]activation) (*transform.Carriers, error) {
	fresh := &transform.Carriers{}
	for _, scope := range slices.Sorted(maps.Keys(known)) {
		a := known[scope]
		m, err := transform.Parse(a.File, []byte(a.Text))
		if err != nil {
			return nil, fmt.Errorf("compiling the active mapping %s: %w", a.Version, err)
		}
		if err := fresh.Add(m, scope, a.Retired); err != nil {
			return nil, fmt.Errorf("compiling the active mapping %s: %w", a.Version, err)
		}
	}
	return fresh, nil
}

// load takes up the mappings that the state says are known.
func (p *projector) load() (known map[string]activation, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) (err error) {
		known, err = newState(tx).activations()
		return err
	})
	if err != nil || len(known) == 0 {
		return known, err
	}
	return known, p.use(known)
}

// wanted are the entries that make the carriers the active ones, in order: those that leave first.
func wanted(known map[string]activation, carriers *transform.Carriers) []activation {
	list := carriers.Mappings()
	active := map[string]activation{}
	for _, a := range known {
		if !a.Retired {
			active[a.carrierOf()] = a
		}
	}
	entry := func(m *transform.Mapping) activation {
		return activation{mappingEntry: mappingEntry{m.Version(), m.File(), string(m.Text())}}
	}
	if len(list) == 1 {
		if was, ok := active[list[0].Name()]; ok && len(active) == 1 && was.Text == string(list[0].Text()) {
			return nil
		}
		return []activation{entry(list[0])}
	}
	var entries []activation
	for _, name := range slices.Sorted(maps.Keys(active)) {
		if slices.ContainsFunc(list, func(m *transform.Mapping) bool { return m.Name() == name }) {
			continue
		}
		was := active[name]
		was.Carrier, was.Retired, was.By, was.Why = name, true, "", ""
		entries = append(entries, was)
	}
	for _, m := range list {
		if was, ok := active[m.Name()]; ok && was.Text == string(m.Text()) {
			continue
		}
		a := entry(m)
		a.Carrier = m.Name()
		entries = append(entries, a)
	}
	return entries
}

// activate activates the mappings of the options that are not the active ones.
func (p *Pipeline) activate(ctx context.Context, known map[string]activation) error {
	entries := wanted(known, p.o.Carriers)
	if len(entries) == 0 {
		return nil
	}
	if p.project.mapper != nil {
		if err := p.extends(p.project.mapper, known); err != nil {
			return err
		}
		p.changed = p.project.mapper.Version()
	}
	for _, a := range entries {
		payload, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if _, err := p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Mapping, Payload: payload}); err != nil {
			return fmt.Errorf("journalling the activation of %s: %w", a.Version, err)
		}
		p.log.Info(map[bool]string{true: "mapping retired", false: "mapping activated"}[a.Retired], "mapping", a.Version, "before", p.changed)
	}
	return p.project.catchUp(ctx)
}

// versions names the active mappings.
func versions(known map[string]activation) string {
	var all []string
	for _, scope := range slices.Sorted(maps.Keys(known)) {
		if a := known[scope]; !a.Retired {
			all = append(all, a.Version)
		}
	}
	return strings.Join(all, ", ")
}
