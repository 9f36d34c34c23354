package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// noteTargets notes what the targets demand of governed entities, as their adapters declare it: versions are judged by the journal alone.
const noteTargets = "targets"

// demands journals what the targets of governed entities demand, when it is another than the state knows.
func (p *Pipeline) demands(ctx context.Context) error {
	want := map[string]*transform.TargetTable{}
	for _, name := range p.o.Carriers.Governed() {
		sink, entity := splitTarget(name)
		s := p.o.Sinks[sink]
		if s == nil {
			continue // covered has told
		}
		ent, err := s.Entity(entity)
		if err != nil {
			return fmt.Errorf("asking what %s demands: %w", name, err)
		}
		if ent.Takes != nil {
			want[name] = ent.Takes
		}
	}
	same, err := p.demanded(want)
	if err != nil || same {
		return err
	}
	payload, err := json.Marshal(noteEntry{Action: noteTargets, Target: strings.Join(names(want), " "), Targets: want})
	if err != nil {
		return err
	}
	if _, err := p.store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Note, Payload: payload}); err != nil {
		return fmt.Errorf("journalling what the targets demand: %w", err)
	}
	return p.project.catchUp(ctx)
}

// demanded reports whether the state knows the tables already.
func (p *Pipeline) demanded(want map[string]*transform.TargetTable) (same bool, err error) {
	known := map[string]*transform.TargetTable{}
	err = p.store.View(func(tx *checkpoint.Txn) error {
		return transform.Targets(tx, func(name string, t transform.TargetTable) error {
			known[name] = &t
			return nil
		})
	})
	return len(known) == len(want) && (len(want) == 0 || reflect.DeepEqual(known, want)), err
}

// targets applies what the targets demand from now on, and judges again what could not be taken.
func (s *state) targets(n noteEntry) error {
	var gone []string
	err := transform.Targets(s, func(name string, _ transform.TargetTable) error {
		if n.Targets[name] == nil {
			gone = append(gone, name)
		}
		return nil
	})
	for _, name := range slices.Concat(gone, names(n.Targets)) {
		if err == nil {
			err = transform.SetTarget(s, name, n.Targets[name])
		}
	}
	if err != nil {
		return err
	}
	return s.addWork(work{Kind: workTargets})
}

// settles gives the exception of a record that somebody changed the number that it has here.
func (h *supposition) settles(s *state, d *decisionEntry) error {
	if d.Master == nil || d.Master.Exception == "" {
		return nil
	}
	fp, err := h.cause(d.Master.Exception)
	if err != nil {
		return err
	}
	here, err := s.Get(bucketOpen, fp)
	d.Master.Exception = string(here)
	return err
}

// rejudge looks again at the versions that targets could not take, some at a time.
func (s *state) rejudge(w *work) (done bool, err error) {
	return s.each(bucketOpen, "", &w.Cursor, func(fp string, _ []byte) (bool, error) {
		if !strings.Contains(fp, "MASTER/INCOMPATIBLE_MASTER/") {
			return true, nil
		}
		return true, s.addWorks(work{Kind: workRetry, Key: fp}, work{Kind: workTimers})
	})
}
