package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/pipeline"
)

// story is one row of the failure table as it is lived: a file of testdata/stories.
type story struct {
	Title string              `yaml:"title"`
	Row   string              `yaml:"row"`   // its name in failureTable
	Codes []string            `yaml:"codes"` // of the row, that it tells
	Alone bool                `yaml:"alone"` // it disturbs the world: told when the others are over, in the order of the files
	About []string            `yaml:"about"` // references of what it is about: shipment/1001, invoice/01A, customer/P10101
	Given []map[string]string `yaml:"given"` // steps, in order

	name  string // of the file
	seen  bytes.Buffer
	world *world
}

func readStory(path string) (*story, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &story{name: strings.TrimSuffix(filepath.Base(path), ".yaml")}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Title == "" || s.Row == "" || len(s.Codes) == 0 || len(s.About) == 0 || len(s.Given) == 0 {
		return nil, fmt.Errorf("%s: a story needs title, row, codes, about and given", path)
	}
	return s, nil
}

// live takes the steps. What people see at each wait for an exception or a case is kept for the golden file.
func (s *story) live() error {
	for i, step := range s.Given {
		if len(step) != 1 {
			return fmt.Errorf("step %d has %d keys", i+1, len(step))
		}
		for kind, text := range step {
			if err := s.step(kind, s.world.now.fill(text)); err != nil {
				return fmt.Errorf("step %d, %s: %w\n%s", i+1, kind, err, text)
			}
		}
	}
	return nil
}

func (s *story) step(kind, text string) error {
	w := s.world
	switch kind {
	case "dispatch":
		return exec1(w.dispatch, text)
	case "billing":
		return exec1(w.billing, text)
	case "wait":
		return s.wait(strings.Fields(text))
	case "person":
		return s.person(text)
	case "erp":
		return w.erpDoes(strings.Fields(text))
	case "pricing":
		return w.pricingDoes(strings.Fields(text))
	case "mapping":
		return w.remap(text)
	case "stop":
		w.stop()
	case "start":
		w.start()
	default:
		return errors.New("no such kind of step: dispatch, billing, wait, person, erp, pricing, mapping, stop, start")
	}
	return nil
}

func exec1(db *sql.DB, text string) error {
	_, err := db.Exec(text)
	return err
}

var exceptionName = regexp.MustCompile(`\[([A-Z_]+) (\S+)\]`)

// person runs a command as a person would type it; [CODE subject] stands for the id of the open exception.
func (s *story) person(text string) error {
	var err error
	line := exceptionName.ReplaceAllStringFunc(text, func(m string) string {
		p := exceptionName.FindStringSubmatch(m)
		x, e := s.exception(p[1], p[2], "open")
		if e == nil && x == nil {
			e = fmt.Errorf("there is no open %s of %s", p[1], p[2])
		}
		if e != nil {
			err = e
			return m
		}
		return x.ID
	})
	if err != nil {
		return err
	}
	out, errs, code := s.world.run(words(line))
	if code != 0 {
		return fmt.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	return nil
}

// words splits a command line at blanks, but not within double quotes.
func words(line string) (all []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}

// patience is how long a story waits for what must come. The waits of the mapping are seconds; a busy machine is slow.
const patience = 60 * time.Second

// wait waits until something is so.
func (s *story) wait(what []string) error {
	cond, err := s.condition(what)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		ok, err := cond()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s in vain; open: %s", patience, s.openNow())
		}
		select {
		case <-s.world.exited:
			return errors.New("the daemon has ended")
		case <-time.After(100 * time.Millisecond): // polling, with the deadline above
		}
	}
}

// openNow lists the open exceptions of the story, for who reads a failure.
func (s *story) openNow() string {
	list, err := s.exceptions()
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, x := range list {
		if x.ClosedAt == nil {
			all = append(all, x.Code+" "+strings.Join(x.Subjects, " ")+" ("+x.Title+")")
		}
	}
	return strings.Join(all, "; ")
}

type condition func() (bool, error)

// condition understands: event TYPE KEY [COUNT], exception CODE SUBJECT [COUNT], closed CODE SUBJECT, case REF STAGE, flag REF FLAG,
// note REF CODE, delivery REF STATE, party CODE, captured.
func (s *story) condition(what []string) (condition, error) {
	arg := func(i int) string {
		if i < len(what) {
			return what[i]
		}
		return ""
	}
	count := 1
	if n := arg(3); n != "" {
		var err error
		if count, err = strconv.Atoi(n); err != nil {
			return nil, err
		}
	}
	switch arg(0) {
	case "event":
		return func() (bool, error) { n, err := s.countEvents(arg(1), arg(2)); return n >= count, err }, nil
	case "exception":
		return func() (bool, error) {
			x, err := s.exception(arg(1), arg(2), "open")
			if err != nil || x == nil || x.Waiting < count {
				return false, err
			}
			s.tell("exception", x)
			return true, nil
		}, nil
	case "closed":
		return func() (bool, error) {
			open, err := s.exception(arg(1), arg(2), "open")
			if err != nil || open != nil {
				return false, err
			}
			x, err := s.exception(arg(1), arg(2), "")
			return x != nil, err
		}, nil
	case "case", "flag", "note":
		return func() (bool, error) { return s.caseIs(arg(0), arg(1), arg(2)) }, nil
	case "delivery":
		return func() (bool, error) { return s.deliveryIs(arg(1), arg(2)) }, nil
	case "captured":
		mark := time.Now()
		return func() (bool, error) { return s.world.captured(mark) }, nil
	}
	return nil, fmt.Errorf("nobody knows how to wait for %q", strings.Join(what, " "))
}

func (s *story) countEvents(typ, key string) (n int, err error) {
	list, err := s.events()
	for _, e := range list {
		if e.Type == typ && e.Key == key {
			n++
		}
	}
	return n, err
}

// exception finds the last one of a code and a subject; state "" is any.
func (s *story) exception(code, subject, state string) (found *pipeline.ExceptionView, err error) {
	list, err := s.exceptions()
	for i, x := range list {
		if x.Code == code && slices.Contains(x.Subjects, subject) && (state == "" || (state == "open") == (x.ClosedAt == nil)) {
			found = &list[i]
		}
	}
	return found, err
}

func (s *story) caseIs(what, ref, want string) (bool, error) {
	v, err := s.world.api.Case(context.Background(), ref)
	if err != nil {
		return false, unlessNotFound(err)
	}
	is := map[string]bool{"case": v.Stage == want, "flag": slices.Contains(v.Flags, want),
		"note": slices.ContainsFunc(v.Notes, func(n string) bool { return strings.Contains(n, want) })}[what]
	if is {
		s.tell("case", struct {
			Ref   string   `json:"ref"`
			Stage string   `json:"stage"`
			Flags []string `json:"flags,omitempty"`
			Waits string   `json:"waits"`
			Notes []string `json:"notes,omitempty"`
		}{v.Ref, v.Stage, v.Flags, v.Waits, v.Notes})
	}
	return is, nil
}

func unlessNotFound(err error) error {
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil
	}
	return err
}

// deliveryIs looks at what the newest event about the reference asked of the ERP.
func (s *story) deliveryIs(ref, state string) (bool, error) {
	list, err := s.events()
	if err != nil {
		return false, err
	}
	for _, e := range slices.Backward(list) {
		if !slices.Contains(e.Refs, ref) {
			continue
		}
		full, err := s.world.api.Event(context.Background(), e.ID)
		if err != nil {
			return false, err
		}
		for _, d := range full.Deliveries {
			if d.State == state {
				s.tell("delivery", d)
				return true, nil
			}
		}
	}
	return false, nil
}
