package pipeline

import (
	"fmt"
	"strings"
	"time"

	"waybill/transform"
)

// The timers of an exception. Like all, they fire when every source is captured past their time: no false alarm after an outage.
const exceptionTimers = "exception/"

func dueTimer(id string) string  { return exceptionTimers + "due/" + id }
func waitTimer(id string) string { return exceptionTimers + "wait/" + id }

// duty gives a new exception its owner and its due time, as the mappings that it concerns declare them.
func (s *state) duty(x *exception, at time.Time) error {
	concerned, err := s.concerned(x)
	if err != nil {
		return err
	}
	if len(concerned) == 1 {
		x.Version = concerned[0].Version()
	}
	if owner := transform.Owner(concerned, x.Problem.Class, x.Problem.Code); owner != "" {
		x.Problem.Owner = owner
	}
	within := transform.Due(concerned, x.Problem.Class, x.Problem.Code)
	if within == 0 {
		return nil
	}
	due := at.Add(within)
	x.Due = &due
	return s.setTimer(transform.Timer{ID: dueTimer(x.ID), At: due, Payload: x.ID})
}

// concerned are the mappings that an exception is of: the one that told it, reads its source or made what is delivered; of a target,
// and of a gate, all that are active.
func (s *state) concerned(x *exception) ([]*transform.Mapping, error) {
	if s.carriers == nil {
		return nil, nil
	}
	var of *transform.Mapping
	switch x.Origin {
	case originMapping:
		of = s.carriers.OfProblem(x.Problem.Fingerprint)
	case originBlast:
		of = s.carriers.Named(blastCarrier(x.Problem.Fingerprint))
	case originTable, originReading:
		source, _, _ := strings.Cut(x.Problem.Subject, "/")
		of = s.carriers.Reader(source)
	case originDelivery:
		d, err := s.delivery(x.Delivery)
		if err != nil {
			return nil, err
		}
		if d != nil {
			if of, err = s.madeBy(d); err != nil {
				return nil, err
			}
		}
	}
	if of == nil {
		return s.carriers.Mappings(), nil
	}
	return []*transform.Mapping{of}, nil
}

// madeBy returns the mapping, in whatever version, that made the event of a delivery; nil when it is not there any more.
func (s *state) madeBy(d *delivery) (*transform.Mapping, error) {
	seq, err := s.Get(bucketEventID, d.Post.Event)
	if err != nil || seq == nil {
		return nil, err
	}
	ev, err := s.event(string(seq))
	if err != nil || ev == nil {
		return nil, err
	}
	name, _, _ := strings.Cut(ev.MapVersion, "/")
	return s.carriers.Named(name), nil
}

// fireException handles an exception's timer: its due time has passed, or it has waited as long as a person said.
func (s *state) fireException(t transform.Timer, at time.Time) error {
	x, err := s.exception(t.Payload)
	if err != nil || x == nil || !x.live() {
		return err
	}
	switch strings.Split(t.ID, "/")[1] {
	case "wait":
		x.Until = nil
		x.State = x.taken()
		if err := s.note(x, exceptionNote{At: at, What: "woken", State: x.State, Text: "the time that it was to wait has come"}); err != nil {
			return err
		}
	case "due":
		x.Escalated = &at
		if err := s.note(x, exceptionNote{At: at, What: "overdue", State: x.State, Text: "its due time has passed"}); err != nil {
			return err
		}
	default:
		return fmt.Errorf("timer %s is not known", t.ID)
	}
	return s.save(bucketException, x.ID, x)
}

// taken is the state of an exception on which nothing is under way.
func (x *exception) taken() string {
	if x.Person != "" {
		return ExceptionAssigned
	}
	return ExceptionOpen
}

// reopen puts back what was resubmitted, or said to be fixed, and is wrong as before. The caller saves the exception.
func (s *state) reopen(x *exception, why string, at time.Time) error {
	if x.State != ExceptionResubmitted && x.State != ExceptionFixed {
		return nil
	}
	x.State = x.taken()
	return s.note(x, exceptionNote{At: at, What: "reopened", State: x.State, Text: why})
}

// postpone moves the due time behind the time until which a person lets the exception wait.
func (s *state) postpone(x *exception, until time.Time) error {
	if x.Due == nil || !x.Due.Before(until) {
		return nil
	}
	x.Due, x.Escalated = &until, nil
	return s.setTimer(transform.Timer{ID: dueTimer(x.ID), At: until, Payload: x.ID})
}
