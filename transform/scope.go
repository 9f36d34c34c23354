package transform

import (
	"slices"
	"strings"
	"time"
)

// The first mapping that a state knew has its keys under their own names, so that a store of one carrier stays what it is when a second
// one joins. Those of another are told apart by its name: buckets "maps/<name>/…" for "map/…", timers "maps/<name>/<id>", and
// problems "<name>:<fingerprint>". What all carriers share, the registry and the problems of its keys, has one name for all.

// state is the State in which the carrier is alone.
func (o *carrier) state(st State) State {
	if o.scope == "" {
		return st
	}
	return scopedState{st, o}
}

type scopedState struct {
	State
	of *carrier
}

func (s scopedState) bucket(name string) string {
	rest, own := strings.CutPrefix(name, "map/")
	if !own {
		return name
	}
	scoped, known := s.of.buckets[name]
	if !known {
		scoped = "maps/" + s.of.scope + "/" + rest
		s.of.buckets[name] = scoped
	}
	return scoped
}

func (s scopedState) Get(bucket, key string) ([]byte, error) {
	return s.State.Get(s.bucket(bucket), key)
}

func (s scopedState) Put(bucket, key string, value []byte) error {
	return s.State.Put(s.bucket(bucket), key, value)
}

func (s scopedState) Delete(bucket, key string) error { return s.State.Delete(s.bucket(bucket), key) }

func (s scopedState) Scan(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error {
	return s.State.Scan(s.bucket(bucket), prefix, from, fn)
}

// output is the Output in which the carrier is alone. A timer without sources concerns those of its own mapping, and so does the deadline
// of a gate: a carrier whose databases are away does not keep the timers of the others.
func (c *Carriers) output(o *carrier, out Output) Output {
	if o.scope == "" && len(c.all) == 1 {
		return out
	}
	return scopedOutput{out, o}
}

type scopedOutput struct {
	Output
	of *carrier
}

func (s scopedOutput) Problem(p Problem) error {
	p.Fingerprint = s.of.fingerprint(p.Fingerprint)
	return s.Output.Problem(p)
}

func (s scopedOutput) Resolve(fingerprint, subject string) error {
	return s.Output.Resolve(s.of.fingerprint(fingerprint), subject)
}

func (s scopedOutput) SetTimer(t Timer) error {
	if len(t.Sources) == 0 {
		t.Sources = s.of.m.Sources()
	}
	t.ID = s.of.timer(t.ID)
	return s.Output.SetTimer(t)
}

func (s scopedOutput) Post(p Post) error {
	if slices.ContainsFunc(p.Gates, func(g Gate) bool { return !g.Deadline.IsZero() }) {
		p.Sources = s.of.m.Sources()
	}
	return s.Output.Post(p)
}

func (s scopedOutput) ClearTimer(id string) error { return s.Output.ClearTimer(s.of.timer(id)) }

func (o *carrier) fingerprint(fp string) string {
	if o.scope == "" || shared(fp) {
		return fp
	}
	return o.scope + ":" + fp
}

func (o *carrier) timer(id string) string {
	if o.scope == "" {
		return id
	}
	return "maps/" + o.scope + "/" + id
}

// shared reports whether a problem is about a key of the registry: class, code, and RegistryKey.cause.
func shared(fp string) bool {
	parts := strings.SplitN(fp, "/", 4)
	return len(parts) == 4 && parts[2] == registryCause && strings.Count(parts[3], "/") >= 3
}

// ofFingerprint finds whose problem it is, and what that mapping calls it. Classes begin with a capital letter, names of mappings do not.
func (c *Carriers) ofFingerprint(fp string) (*carrier, string) {
	if scope, rest, ok := strings.Cut(fp, ":"); ok {
		if o := c.at(scope); o != nil && scope != "" {
			return o, rest
		}
	}
	return c.at(""), fp
}

// concerned are the mappings that a problem is of: all of them when they share it.
func (c *Carriers) concerned(fp string) ([]*carrier, string) {
	of, own := c.ofFingerprint(fp)
	switch {
	case shared(own):
		return c.all, own
	case of == nil:
		return nil, own
	}
	return []*carrier{of}, own
}

// ofTimer finds whose timer it is, and what that mapping calls it.
func (c *Carriers) ofTimer(id string) (*carrier, string) {
	if rest, ok := strings.CutPrefix(id, "maps/"); ok {
		scope, own, _ := strings.Cut(rest, "/")
		return c.at(scope), own
	}
	return c.at(""), id
}

// entry is what the carrier may know of the journal entry: its time is that of its own sources.
func (c *Carriers) entry(o *carrier, at Entry) Entry {
	if len(c.all) == 1 || at.Marks == nil {
		return at
	}
	at.Now = time.Time{}
	for i, name := range o.m.Sources() {
		if mark := at.Marks[name]; i == 0 || mark.Before(at.Now) {
			at.Now = mark
		}
	}
	return at
}

// Scoped returns, for each scope, the State in which its mapping is alone: for those who look at what several mappings keep.
func Scoped(st State, scopes []string) []State {
	var all []State
	for _, scope := range scopes {
		all = append(all, (&carrier{scope: scope, buckets: map[string]string{}}).state(st))
	}
	return all
}
