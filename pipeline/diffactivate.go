package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// ActivateRequest asks that a mapping holds from now on.
type ActivateRequest struct {
	Mapping MappingText `json:"mapping"`
	By      string      `json:"by"`
	Why     string      `json:"why"`
}

// Activated says which mapping holds, and from which journal entry on.
type Activated struct {
	Before  string `json:"before"`
	Version string `json:"version"`
	Entry   uint64 `json:"entry"` // 0: it was active already
}

// ActivateMapping journals the activation of a mapping while the daemon runs, and returns when what was held has been looked at
// again. It refuses one that needs what only a start brings: other columns or tables, or a sink that is not configured. The
// file of the configuration must hold the same text, or the next start activates that.
func (p *Pipeline) ActivateMapping(ctx context.Context, q ActivateRequest) (v Activated, err error) {
	if q.By == "" || q.Why == "" {
		return v, errors.New("an activation needs the name of the person who decides, and a reason")
	}
	m, err := transform.Parse(q.Mapping.File, []byte(q.Mapping.Text))
	if err != nil {
		return v, err
	}
	known, err := (&History{store: p.store}).activations()
	if err != nil {
		return v, err
	}
	active, fresh, ok := renewed(known, mappingEntry{m.Version(), q.Mapping.File, q.Mapping.Text})
	if !ok {
		return v, fmt.Errorf("mapping %s is of another carrier than those that are active (%s): add it to the configuration and start the daemon again", m.Version(), versions(known))
	}
	v.Before, v.Version = active.Version, m.Version()
	if active.Text == q.Mapping.Text {
		return v, nil
	}
	if active.Version == v.Version {
		return v, fmt.Errorf("%s is active with another text: raise the version in %s, so that what each made can be told apart", v.Version, q.Mapping.File)
	}
	if err := p.runs(m); err != nil {
		return v, err
	}
	fresh.By, fresh.Why = q.By, q.Why
	payload, err := json.Marshal(fresh)
	if err != nil {
		return v, err
	}
	if v.Entry, err = p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Mapping, Payload: payload}); err != nil {
		return v, fmt.Errorf("journalling the activation of %s: %w", v.Version, err)
	}
	join(known, fresh)
	now := versions(known)
	p.activated.Store(&now)
	p.log.Info("mapping activated", "mapping", v.Version, "before", v.Before, "by", q.By)
	return v, p.project.settled(ctx, v.Entry)
}

// runs reports why a mapping cannot hold without a new start.
func (p *Pipeline) runs(m *transform.Mapping) error {
	i := slices.IndexFunc(p.o.Carriers.Mappings(), func(o *transform.Mapping) bool { return o.Name() == m.Name() })
	if i < 0 {
		return fmt.Errorf("mapping %s is not in the configuration that the daemon was started with: start it again", m.Version())
	}
	started := p.o.Carriers.Mappings()[i]
	if m.Company() != started.Company() {
		return fmt.Errorf("mapping %s is of the company %q, what was captured is of %q: its documents would not be found again; keep the company", m.Version(), m.Company(), started.Company())
	}
	if missing := uncaptured(started, m); len(missing) > 0 {
		return fmt.Errorf("mapping %s reads what is not captured: %s. Put it into the configuration's file and start the daemon again: "+
			"a new table is then read beside the stream, and the start says what new columns need", m.Version(), strings.Join(missing[:min(len(missing), 10)], ", "))
	}
	for _, t := range m.Targets() {
		sink, entity := splitTarget(t)
		if p.o.Sinks[sink] == nil {
			return fmt.Errorf("mapping %s posts to sink %q, which is not configured: add it and start the daemon again", m.Version(), sink)
		}
		if _, err := p.o.Sinks[sink].Entity(entity); err != nil {
			return fmt.Errorf("mapping %s posts to %s: %w", m.Version(), t, err)
		}
	}
	if err := errors.Join(p.uncovered(m.Publishers()), p.answerable(m.Asks())); err != nil {
		return fmt.Errorf("mapping %s: %w", m.Version(), err)
	}
	return nil
}
