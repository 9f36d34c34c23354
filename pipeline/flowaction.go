package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"waybill/checkpoint"
	"waybill/sinks"
)

// Flows lists the sinks and how what goes to them stands, by name.
func (p *Pipeline) Flows(context.Context) ([]SinkView, error) {
	var views []SinkView
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		for _, name := range names(p.governed()) {
			v, err := p.flowsOf(s, name)
			if err != nil {
				return err
			}
			views = append(views, v)
		}
		return nil
	})
	return views, err
}

func (p *Pipeline) flowsOf(s *state, name string) (SinkView, error) {
	v := SinkView{Sink: name, Flows: []FlowView{}}
	paused, err := s.paused(name)
	if err != nil {
		return v, err
	}
	if r, ok := paused[""]; ok {
		v.Paused = &r
	}
	entities := p.posted(name)
	for entity := range paused {
		if entity != "" && !slices.Contains(entities, entity) {
			entities = append(entities, entity)
		}
	}
	slices.Sort(entities)
	for _, entity := range entities {
		f := FlowView{Entity: entity}
		if r, ok := paused[entity]; ok {
			f.Paused = &r
		}
		v.Flows = append(v.Flows, f)
	}
	g := p.governed()[name]
	if g == nil {
		return v, nil
	}
	stand := g.Account().Stand()
	v.Account, v.DryRun = &stand, g.DryRun()
	if until, why := g.Shut(""); !until.IsZero() && v.Paused == nil {
		until = until.UTC()
		v.Until, v.Shut = &until, why
	}
	return v, nil
}

// posted lists the entities that the mappings post to a sink.
func (p *Pipeline) posted(sink string) (entities []string) {
	for _, t := range p.o.Carriers.Targets() {
		if of, entity := splitTarget(t); of == sink && !slices.Contains(entities, entity) {
			entities = append(entities, entity)
		}
	}
	return entities
}

// PauseFlow journals that nothing new of a flow is sent, and returns its sink when that holds. The error is a *FlowError when there is no such
// flow, or it is paused already.
func (p *Pipeline) PauseFlow(ctx context.Context, r FlowRequest) (SinkView, error) {
	return p.switchFlow(ctx, actionPauseFlow, r)
}

// ResumeFlow journals that a flow goes on. The error is a *FlowError when it is not paused.
func (p *Pipeline) ResumeFlow(ctx context.Context, r FlowRequest) (SinkView, error) {
	return p.switchFlow(ctx, actionResumeFlow, r)
}

func (p *Pipeline) switchFlow(ctx context.Context, action string, r FlowRequest) (SinkView, error) {
	if strings.TrimSpace(r.Why) == "" {
		return SinkView{}, &FlowError{Reason: "to pause or to resume needs a reason", Hint: "Give why; it is kept in the audit."}
	}
	p.flows.Lock()
	defer p.flows.Unlock()
	if err := p.switchable(action, r); err != nil {
		return SinkView{}, err
	}
	if err := p.decide(ctx, decisionEntry{Action: action, Flow: &r, By: r.By, Why: r.Why}); err != nil {
		return SinkView{}, err
	}
	if err := p.shutDoors(); err != nil {
		return SinkView{}, err
	}
	p.kickLanes(r.Sink)
	var v SinkView
	err := p.store.View(func(tx *checkpoint.Txn) (err error) {
		v, err = p.flowsOf(newState(tx), r.Sink)
		return err
	})
	return v, err
}

// switchable refuses what names no flow, and what changes nothing.
func (p *Pipeline) switchable(action string, r FlowRequest) error {
	if _, known := p.governed()[r.Sink]; !known {
		return &FlowError{Absent: true, Reason: fmt.Sprintf("there is no sink %q", r.Sink), Hint: "waybill sink list shows those that there are."}
	}
	if sink := p.o.Sinks[r.Sink]; r.Entity != "" && !slices.Contains(p.posted(r.Sink), r.Entity) {
		if sink == nil {
			return &FlowError{Absent: true, Reason: r.Sink + " has one flow", Hint: "Name the sink alone."}
		}
		if _, err := sink.Entity(r.Entity); err != nil {
			return &FlowError{Absent: true, Reason: err.Error(), Hint: "waybill sink list shows what goes to it."}
		}
	}
	var paused map[string]sinks.Reason
	err := p.store.View(func(tx *checkpoint.Txn) (err error) {
		paused, err = newState(tx).paused(r.Sink)
		return err
	})
	if err != nil {
		return err
	}
	was, is := paused[r.Entity]
	switch {
	case action == actionPauseFlow && is:
		return &FlowError{Reason: fmt.Sprintf("%s is %s already", r.text(), was), Hint: "waybill sink resume lets it go on."}
	case action == actionResumeFlow && !is && len(paused) > 0:
		var those []string
		for _, entity := range names(paused) {
			those = append(those, (&FlowRequest{Sink: r.Sink, Entity: entity}).text())
		}
		return &FlowError{Reason: r.text() + " is not paused as such", Hint: "Paused: " + strings.Join(those, ", ") + "."}
	case action == actionResumeFlow && !is:
		return &FlowError{Reason: r.text() + " is not paused", Hint: "waybill sink list shows what is."}
	}
	return nil
}

// shutDoors tells the sinks which flows are paused.
func (p *Pipeline) shutDoors() error {
	return p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		for name, g := range p.governed() {
			flows, err := s.paused(name)
			if err != nil {
				return err
			}
			if g != nil {
				g.Pause(flows)
			}
		}
		return nil
	})
}

// kickLanes lets the lanes of a sink, or its feed, look again at once.
func (p *Pipeline) kickLanes(sink string) {
	for _, f := range p.feeds {
		if f.name == sink {
			f.kick()
		}
	}
	for _, l := range p.lanes {
		if l.target.name == sink {
			l.kick()
		}
	}
}

// Reload reads the configuration again, by Options.Reread, and takes what a running daemon can take: journalled first, then all of it at once. The
// error says what is wrong with the file, or what of it needs a restart; then nothing was taken.
func (p *Pipeline) Reload(ctx context.Context, by, why string) (Reload, error) {
	if p.o.Reread == nil {
		return Reload{}, &FlowError{Reason: "this daemon has no configuration to read again", Hint: "Restart it."}
	}
	p.flows.Lock()
	defer p.flows.Unlock()
	r, apply, err := p.o.Reread()
	if err != nil || len(r.Changes) == 0 {
		return r, err
	}
	if err := p.decide(ctx, decisionEntry{Action: actionReload, Reload: &r, By: by, Why: why}); err != nil {
		return r, err
	}
	for name, t := range apply() {
		p.tune(name, t)
	}
	p.log.Info("configuration read again", "by", by, "changes", r.Changes)
	return r, nil
}
