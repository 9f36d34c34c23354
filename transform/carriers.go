package transform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"waybill/cdc"
)

// Carriers are the mappings that one daemon runs, each over sources of its own. They have the methods of a Mapper and give each call to
// the mapping that it concerns, with a State and an Output in which that mapping is alone: its buckets "map/…", timers and
// problems do not meet those of another. Like a Mapper they must not be used by two goroutines.
type Carriers struct {
	all []*carrier // as they were added
}

// carrier is one mapping with its place in the state.
type carrier struct {
	m     *Mapping
	p     *Mapper
	scope string // "" for the first mapping that a state knew, else the mapping's name
	// retired mappings have no sources any more; what they hold still waits, and people may give it up.
	retired bool
	buckets map[string]string // "map/…" → in the scope
}

// carrierForm is what may name one of several mappings: it becomes part of the names of buckets, timers and problems.
var carrierForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// NewCarriers puts mappings beside each other. The error is Faults, when two of them cannot be: of one name, with a source in common, or without
// companies to tell their documents apart.
func NewCarriers(mappings ...*Mapping) (*Carriers, error) {
	c := &Carriers{}
	var faults Faults
	for i, m := range mappings {
		if len(mappings) > 1 {
			faults = append(faults, c.conflicts(m)...)
		}
		scope := m.name
		if i == 0 {
			scope = ""
		}
		if err := c.Add(m, scope, false); err != nil {
			return nil, err
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// conflicts are the faults of a mapping beside those that are there.
func (c *Carriers) conflicts(m *Mapping) Faults {
	var faults Faults
	fault := func(line int, found, expected, fix string) {
		faults = append(faults, Fault{m.file, line, found, expected, fix})
	}
	if !carrierForm.MatchString(m.name) {
		fault(m.line, fmt.Sprintf("the name %q of one of several mappings", m.name), "small letters, digits, _ and -, at most 32", "")
	}
	for _, o := range c.all {
		if o.m.name == m.name {
			fault(m.line, fmt.Sprintf("the mapping %s, which %s:%d is, too", m.name, o.m.file, o.m.line), "one file for a carrier", "")
			continue
		}
		if o.m.company == "" && m.company == "" {
			fix := ""
			if name := strings.ToUpper(m.name); companyForm.MatchString(name) {
				fix = "company: " + name
			}
			fault(m.line, fmt.Sprintf("no company here and none in %s:%d: documents of the same number would be one", o.m.file, o.m.line),
				"a company in each mapping, but one at most", fix)
		}
		for _, name := range m.Sources() {
			if s := o.m.sources[name]; s != nil {
				fault(m.sources[name].line, fmt.Sprintf("the source %s, which %s:%d reads, too", name, o.m.file, s.line),
					"a source of this mapping alone: move its rules into one of the two", "")
			}
		}
	}
	return faults
}

// Add puts a mapping into its place, where it takes the place of the mapping that was there: "" for the first that the state
// knew, else the mapping's name. A retired mapping reads no source.
func (c *Carriers) Add(m *Mapping, scope string, retired bool) error {
	p, err := NewMapper(m)
	if err != nil {
		return err
	}
	fresh := &carrier{m: m, p: p, scope: scope, retired: retired, buckets: map[string]string{}}
	if i := slices.IndexFunc(c.all, func(o *carrier) bool { return o.scope == scope }); i >= 0 {
		c.all[i] = fresh
		return nil
	}
	c.all = append(c.all, fresh)
	sort.Slice(c.all, func(i, j int) bool { return c.all[i].scope < c.all[j].scope })
	return nil
}

// Version names the mappings and their versions: "northstar/7, pinevalley/2".
func (c *Carriers) Version() string {
	var all []string
	for _, o := range c.active() {
		all = append(all, o.m.Version())
	}
	return strings.Join(all, ", ")
}

// Mappings returns those that are active.
func (c *Carriers) Mappings() []*Mapping {
	var all []*Mapping
	for _, o := range c.active() {
		all = append(all, o.m)
	}
	return all
}

// Reader returns the mapping that reads the source, or read it before it was retired; nil when none did.
func (c *Carriers) Reader(source string) *Mapping {
	if o := c.of(source); o != nil {
		return o.m
	}
	for _, o := range c.all {
		if o.m.sources[source] != nil {
			return o.m
		}
	}
	return nil
}

// Sources returns the names of all sources, sorted.
func (c *Carriers) Sources() []string { return c.names((*Mapping).Sources) }

// Targets returns the "<sink>.<entity>" that posts go to, sorted.
func (c *Carriers) Targets() []string { return c.names((*Mapping).Targets) }

// Governed returns the "<sink>.<entity>" that take entities whose versions are governed, sorted.
func (c *Carriers) Governed() []string { return c.names((*Mapping).Governed) }

func (c *Carriers) names(of func(*Mapping) []string) []string {
	all := []string{}
	for _, o := range c.active() {
		all = append(all, of(o.m)...)
	}
	sort.Strings(all)
	return slices.Compact(all)
}

// Selections says which tables and columns of the source the rules read.
func (c *Carriers) Selections(source string) []cdc.Selection {
	if o := c.of(source); o != nil {
		return o.m.Selections(source)
	}
	return nil
}

// GateEvents returns the types of events that postings wait for.
func (c *Carriers) GateEvents() map[string]bool {
	types := map[string]bool{}
	for _, o := range c.active() {
		maps.Copy(types, o.m.GateEvents())
	}
	return types
}

// Check proves every mapping against the live catalogs.
func (c *Carriers) Check(catalog map[string][]*cdc.Schema) []Fault {
	var faults []Fault
	for _, o := range c.active() {
		faults = append(faults, o.m.Check(catalog)...)
	}
	return faults
}

func (c *Carriers) active() []*carrier {
	return slices.DeleteFunc(slices.Clone(c.all), func(o *carrier) bool { return o.retired })
}

// of returns the carrier that reads the source, or nil.
func (c *Carriers) of(source string) *carrier {
	for _, o := range c.all {
		if !o.retired && o.m.sources[source] != nil {
			return o
		}
	}
	return nil
}

// at returns the carrier in a scope, or nil.
func (c *Carriers) at(scope string) *carrier {
	for _, o := range c.all {
		if o.scope == scope {
			return o
		}
	}
	return nil
}
