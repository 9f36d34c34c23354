package pipeline

import (
	"errors"
	"fmt"

	"waybill/transform"
)

// answerable refuses questions to those who are not configured, or do not know them.
func (p *Pipeline) answerable(asks []string) error {
	var errs []error
	for _, ask := range asks {
		name, question := splitTarget(ask)
		service, ok := p.o.Services[name]
		if !ok {
			errs = append(errs, fmt.Errorf("the mapping asks %q, which the configuration has neither under services nor under sinks", name))
			continue
		}
		if err := service.Answerer.Answers(question); err != nil {
			errs = append(errs, fmt.Errorf("the mapping asks %s: %w", ask, err))
		}
	}
	return errors.Join(errs...)
}

// servicesListed bounds the questions that a status counts.
const servicesListed = 10_000

// serviceStatus says how those stand whom the mappings ask.
func (p *Pipeline) serviceStatus(s *state, st *Status) error {
	for _, a := range p.askers {
		v := ServiceStatus{Name: a.name}
		a.mu.Lock()
		v.Silent, v.Error = a.silent, a.last
		if !a.since.IsZero() {
			since := a.since.UTC()
			v.Since = &since
		}
		a.mu.Unlock()
		err := transform.Questions(s, a.name, "", func(_ string, q *transform.Question) (bool, error) {
			if v.Questions++; q.Again > 0 {
				v.Unanswered++
			}
			if v.Oldest == nil || q.At.Before(*v.Oldest) {
				at := q.At
				v.Oldest = &at
			}
			return v.Questions < servicesListed, nil
		})
		if err != nil {
			return err
		}
		if v.Questions > 0 || v.Silent {
			st.Services = append(st.Services, v)
		}
	}
	return nil
}
