package sql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/cdc"
	"waybill/sinks"
)

// Check implements sinks.Sink: the server, and of each entity its table, columns, key, rights and triggers.
func (s *Sink) Check(ctx context.Context) ([]cdc.Finding, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	x, err := s.session(ctx)
	if err != nil {
		if o := s.outcome(err, reading, nil); o.Class == sinks.Setup {
			return []cdc.Finding{{Check: "login", Level: cdc.LevelFail, Found: o.Message, Why: "Nothing can be written.", Fix: o.Hint}}, nil
		}
		return nil, fmt.Errorf("connecting to %s: %w", s.cfg.address(), err)
	}
	defer x.close()
	out := []cdc.Finding{{Check: "login", Level: cdc.LevelOK, Found: s.cfg.User + " at " + s.cfg.address() + "/" + s.cfg.Database}}
	settings, err := x.settings(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its settings: %w", s.cfg.address(), err)
	}
	for _, t := range settings {
		out = append(out, t.finding())
	}
	why, err := x.primary(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("asking %s whether it is the primary: %w", s.cfg.address(), err)
	}
	role := cdc.Finding{Check: "primary", Level: cdc.LevelOK, Found: "takes writes"}
	if why != "" {
		role = cdc.Finding{Check: "primary", Level: cdc.LevelFail, Found: why, Want: "the primary", Why: "Nothing can be written, and what is not there may be on its way.", Fix: hintPrimary}
	}
	out = append(out, role)
	s.forget() // what was read before may be old
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Entities)) {
		t, err := s.table(ctx, x, name)
		if err != nil {
			return nil, fmt.Errorf("reading the catalogue of %s: %w", s.cfg.address(), err)
		}
		out = append(out, s.checkEntity(name, s.cfg.Entities[name], t)...)
	}
	return out, nil
}

func (t setting) finding() cdc.Finding {
	f := cdc.Finding{Check: t.check, Level: cdc.LevelOK, Found: t.found, Want: t.want, Why: t.why, Fix: t.fix}
	switch {
	case t.fail:
		f.Level = cdc.LevelFail
	case t.warn:
		f.Level = cdc.LevelWarn
	default:
		f.Want = ""
	}
	return f
}

// entityCheck collects the findings about one table.
type entityCheck struct {
	name string
	e    Entity
	t    *table
	s    *Sink
	out  []cdc.Finding
}

func (s *Sink) checkEntity(name string, e Entity, t *table) []cdc.Finding {
	if t == nil {
		o := s.noTable(e)
		return []cdc.Finding{{Check: name + ": table", Level: cdc.LevelFail, Found: o.Message, Why: "Nothing of this entity can be written.", Fix: o.Hint}}
	}
	k := &entityCheck{name: name, e: e, t: t, s: s}
	k.relation()
	k.columns()
	k.key()
	k.rights()
	k.demands()
	k.triggers()
	return k.out
}

func (k *entityCheck) add(what string, level cdc.Level, found, want, why, fix string) {
	k.out = append(k.out, cdc.Finding{Check: k.name + ": " + what, Level: level, Found: found, Want: want, Why: why, Fix: fix})
}

func (k *entityCheck) full() string {
	return k.s.dialect.quote(k.t.schema) + "." + k.s.dialect.quote(k.t.name)
}

func (k *entityCheck) relation() {
	if k.t.sort != "" {
		k.add("table", cdc.LevelFail, k.t.sort, "an ordinary table", "A row cannot be locked, compared and written in one transaction there.", "Name the table behind it.")
		return
	}
	found := k.t.schema + "." + k.t.name
	if len(k.t.notes) > 0 {
		k.add("table", cdc.LevelWarn, found+": "+strings.Join(k.t.notes, "; "), "", "A hidden row would look absent, so it is an error.", "Let "+k.s.cfg.User+" bypass the policies (BYPASSRLS).")
		return
	}
	k.add("table", cdc.LevelOK, found, "", "", "")
}

// named are all columns that the entity names.
func (k *entityCheck) named() []string {
	var all []string
	for _, part := range []map[string]string{k.e.Key, k.e.Columns, k.e.Constants} {
		all = slices.AppendSeq(all, maps.Keys(part))
	}
	if k.e.Version != "" {
		all = append(all, k.e.Version)
	}
	slices.Sort(all)
	return all
}

func (k *entityCheck) columns() {
	var good, bad []string
	for _, name := range k.named() {
		c := k.t.columns[name]
		switch {
		case c == nil:
			bad = append(bad, name+" is not there")
		case c.kind == "":
			bad = append(bad, name+" is of type "+c.typ+", which is not written")
		case c.generated:
			bad = append(bad, name+" is generated: nobody can write it")
		case name == k.e.Version && c.kind != kindInteger:
			bad = append(bad, name+" is of type "+c.typ+", and a version is a whole number")
		default:
			good = append(good, name+" "+c.typ)
			bad = append(bad, k.words(c)...)
		}
	}
	if len(bad) > 0 {
		k.add("columns", cdc.LevelFail, strings.Join(bad, "; "), "columns that can be written", "Every posting of this entity would fail.",
			"Correct the sink's entity; the table has "+strings.Join(k.t.order, ", ")+".")
		return
	}
	k.add("columns", cdc.LevelOK, strings.Join(good, ", "), "", "", "")
}

// words are constants and booleans that a column does not take.
func (k *entityCheck) words(c *column) (bad []string) {
	var texts []string
	if text, ok := k.e.Constants[c.name]; ok {
		texts = append(texts, text)
	}
	if w, ok := k.e.Booleans[c.name]; ok {
		texts = append(texts, w.True, w.False)
	}
	for _, text := range texts {
		if _, r := c.parse(text, k.s.zone); r != nil {
			bad = append(bad, fmt.Sprintf("%s does not take %q: found %s, expected %s", c.name, text, r.found, r.expected))
		}
	}
	return bad
}

func (k *entityCheck) key() {
	columns := slices.Sorted(maps.Keys(k.e.Key))
	if u, ok := k.t.uniqueOn(columns); ok {
		k.add("key", cdc.LevelOK, strings.Join(columns, ", ")+" by "+u.name, "", "", "")
		return
	}
	var quoted []string
	for _, c := range columns {
		quoted = append(quoted, k.s.dialect.quote(c))
	}
	k.add("key", cdc.LevelFail, "no unique index on "+strings.Join(columns, ", "), "a unique index on the key, or on some of its columns",
		"Two rows with one key can be made, and nobody can say which is meant.",
		fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s);", "waybill_"+k.t.name+"_key", k.full(), strings.Join(quoted, ", ")))
}

func (k *entityCheck) rights() {
	inserts, updates := k.e.Missing == missingInsert, k.e.Existing == existingUpdate
	var missing, grants []string
	for _, verb := range []struct {
		name  string
		asked bool
	}{{"select", true}, {"insert", inserts}, {"update", updates}} {
		var on []string
		for _, name := range k.named() {
			_, isKey := k.e.Key[name]
			c := k.t.columns[name]
			if !verb.asked || c == nil || c.may[verb.name] || verb.name == "update" && isKey || verb.name == "insert" && name == k.e.Version {
				continue
			}
			on = append(on, k.s.dialect.quote(name))
		}
		if len(on) > 0 {
			missing = append(missing, verb.name+" of "+strings.Join(on, ", "))
			grants = append(grants, fmt.Sprintf("%s (%s)", strings.ToUpper(verb.name), strings.Join(on, ", ")))
		}
	}
	if k.e.DeleteUnless != "" && !k.t.mayDelete {
		missing, grants = append(missing, "delete"), append(grants, "DELETE")
	}
	if len(missing) == 0 {
		k.add("rights", cdc.LevelOK, k.s.cfg.User+" may do what is needed", "", "", "")
		return
	}
	k.add("rights", cdc.LevelFail, k.s.cfg.User+" lacks "+strings.Join(missing, "; "), "all of them", "Every posting of this entity would be refused.",
		fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(grants, ", "), k.full(), k.s.dialect.quote(k.s.cfg.User)))
}

// demands looks for columns that must have a value when a row is made, and get none from us.
func (k *entityCheck) demands() {
	if k.e.Missing != missingInsert {
		return
	}
	ours := k.named()
	var bare []string
	for _, name := range k.t.order {
		if c := k.t.columns[name]; !c.nullable && !c.filled && !c.generated && !slices.Contains(ours, name) {
			bare = append(bare, name)
		}
	}
	if len(bare) == 0 {
		k.add("new rows", cdc.LevelOK, "every column has a value or a default", "", "", "")
		return
	}
	k.add("new rows", cdc.LevelFail, strings.Join(bare, ", ")+" must have a value and get none", "a value or a default for each",
		"A row that is not there yet cannot be made.", "Add them to columns or constants (with insert_only), or set missing to reject or ignore.")
}

func (k *entityCheck) triggers() {
	switch {
	case len(k.t.triggers) > 0:
		k.add("triggers", cdc.LevelWarn, strings.Join(k.t.triggers, "; "), "", "A trigger that changes what is written makes the posting fail (CHANGED_ON_WRITE); one that writes elsewhere makes changes that are no echo.",
			"Look at what they do to "+strings.Join(k.named(), ", ")+".")
	case k.t.hidden:
		k.add("triggers", cdc.LevelWarn, "not visible to "+k.s.cfg.User, "", "A trigger that changes what is written makes the posting fail (CHANGED_ON_WRITE).",
			fmt.Sprintf("Look with SHOW TRIGGERS, or GRANT TRIGGER ON %s TO %s;", k.full(), k.s.dialect.quote(k.s.cfg.User)))
	default:
		k.add("triggers", cdc.LevelOK, "none", "", "", "")
	}
}
