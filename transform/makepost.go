package transform

import "errors"

// makePosts evaluates what an event asks of the targets.
func (r *run) makePosts(all []*post, f *frame, ev *Event, by *cause) ([]Post, []*trouble, error) {
	var posts []Post
	var res result
	res.data = map[string]any{}
	for _, p := range all {
		out := Post{ID: hash(ev.ID, p.target()), Event: ev.ID, Sink: p.sink, Entity: p.entity, Lane: ev.Lane, OrderKey: ev.OrderKey,
			Amount: ev.Amount, Refs: ev.Refs, Adopt: by.Adopt, Company: ev.Company, Shadow: r.m.shadowOf(p)}
		where := p.target() + " of " + ev.Entity + "/" + ev.Key
		id, err := res.one(f, &setting{name: "external_id", e: p.external}, where)
		if err != nil {
			return nil, nil, err
		}
		out.ExternalID = textOfKey(id)
		body := map[string]any{}
		if err := res.build(f, p.body, where, body); err != nil {
			return nil, nil, err
		}
		if p.dated != nil {
			day, err := r.postingDay(p.dated, f, ev.Company, where, &res)
			if err != nil {
				return nil, nil, err
			}
			if day != "" {
				body[postingDateField] = day
			}
		}
		if out.Body, err = canonical(body); err != nil {
			return nil, nil, err
		}
		out.Sort = ev.Occurred.UTC().Format(civilDate)
		if p.sort != nil {
			if s := quietText(p.sort, f); s != "" {
				out.Sort = s
			}
		}
		if out.Gates, err = r.makeGates(p, f, &res, where, ev.Company, by); err != nil {
			return nil, nil, err
		}
		r.timed(p, by, &out)
		posts = append(posts, out)
	}
	return posts, res.troubles, nil
}

func (r *run) makeGates(p *post, f *frame, res *result, where, company string, by *cause) ([]Gate, error) {
	var gates []Gate
	for _, g := range p.gates {
		if g.when != nil {
			yes, err := g.when.holds(f)
			var t *trouble
			if errors.As(err, &t) {
				res.add(t)
				continue
			}
			if err != nil {
				return nil, err
			}
			if !yes {
				continue
			}
		}
		keys, err := r.gateKeys(&g, f, res, where)
		if err != nil {
			return nil, err
		}
		in := company
		if g.company != nil {
			if in, err = r.companyOf(g.company, f, res, where); err != nil {
				return nil, err
			}
		}
		for _, key := range keys {
			gate := Gate{Kind: g.kind, Name: g.name, Key: CompanyKey(in, key)}
			if g.wait > 0 {
				gate.Deadline = by.At.Add(g.wait)
			}
			if taken, err := r.taken(gate); err != nil {
				return nil, err
			} else if !taken {
				gates = append(gates, gate)
			}
		}
	}
	return gates, nil
}
