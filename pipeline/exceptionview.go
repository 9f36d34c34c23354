package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/checkpoint"
	"waybill/transform"
)

// ExceptionView is one exception.
type ExceptionView struct {
	ID        string            `json:"id"`     // short, for commands: X-000012
	State     string            `json:"state"`  // one of ExceptionStates
	Origin    string            `json:"origin"` // mapping (before the outbox), delivery (after it), feed (of a publisher), target, gate, table, reading or blast
	Class     string            `json:"class"`
	Code      string            `json:"code"`
	Cause     string            `json:"cause"` // exceptions of one cause are settled together
	Title     string            `json:"title"`
	Hint      string            `json:"hint,omitempty"`
	Owner     string            `json:"owner,omitempty"`  // team
	Person    string            `json:"person,omitempty"` // who has taken it
	OpenedAt  time.Time         `json:"opened_at"`
	Due       *time.Time        `json:"due,omitempty"`
	Overdue   bool              `json:"overdue,omitempty"` // the due time has passed, by the watermark
	Until     *time.Time        `json:"until,omitempty"`   // it waits until then
	ClosedAt  *time.Time        `json:"closed_at,omitempty"`
	Subjects  []string          `json:"subjects"` // what waits: invoice/A1; at most 100
	Waiting   int               `json:"waiting"`  // how many wait
	Behind    int               `json:"behind"`   // deliveries of the same order keys that wait behind
	Money     map[string]string `json:"money,omitempty"`
	Delivery  *DeliveryView     `json:"delivery,omitempty"`
	Rule      string            `json:"rule,omitempty"`
	Version   string            `json:"map_version,omitempty"` // of the mapping that opened it
	Evidence  json.RawMessage   `json:"evidence,omitempty"`
	Held      int               `json:"held,omitempty"` // events and postings that a blast radius holds
	Retries   int               `json:"retries"`
	ClosedBy  string            `json:"closed_by,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Allowed   []string          `json:"allowed,omitempty"`    // commands that settle it
	Event     *transform.Event  `json:"event,omitempty"`      // the rest is filled by Exception, not by Exceptions
	Body      json.RawMessage   `json:"body,omitempty"`       // of the delivery, as it would be sent
	Original  json.RawMessage   `json:"original,omitempty"`   // as the mapping built it, when a person edited it
	EditedBy  string            `json:"edited_by,omitempty"`  //
	Attempts  []Attempt         `json:"attempts,omitempty"`   // newest last; at most 100
	History   []ExceptionNote   `json:"history,omitempty"`    // oldest first
	LostNotes int               `json:"lost_notes,omitempty"` // notes beyond the bound, which were not kept
}

// Attempt is one request to the target, or its answer.
type Attempt struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // intent, outcome, verify
	Step    string    `json:"step"`
	Number  int       `json:"number,omitempty"`
	Class   string    `json:"class,omitempty"`
	Code    string    `json:"code,omitempty"`
	Message string    `json:"message,omitempty"`
	Request string    `json:"request,omitempty"`
	Answer  string    `json:"answer,omitempty"`
}

// ExceptionNote is one line of an exception's history.
type ExceptionNote struct {
	At    time.Time  `json:"at"`
	What  string     `json:"what"`
	State string     `json:"state,omitempty"`
	By    string     `json:"by"`
	Text  string     `json:"text,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	Line  uint64     `json:"line,omitempty"` // of the audit
}

// ExceptionQuery selects exceptions.
type ExceptionQuery struct {
	State    string    `json:"state,omitempty"` // open (default): every one that is not closed; all; or one of ExceptionStates
	Class    string    `json:"class,omitempty"`
	Code     string    `json:"code,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Owner    string    `json:"owner,omitempty"`    // team
	Person   string    `json:"person,omitempty"`   // "-": those that nobody has taken
	Before   time.Time `json:"before,omitempty"`   // opened before then
	Overdue  bool      `json:"overdue,omitempty"`  // past their due time
	Money    string    `json:"money,omitempty"`    // at least so much of any one currency
	Customer string    `json:"customer,omitempty"` // about this customer: its reference, or its code in what was found
	Limit    int       `json:"limit,omitempty"`
}

// selects looks at what the record alone says.
func (q *ExceptionQuery) selects(x *exception) bool {
	state := q.State == "all" || x.State == q.State
	if q.State == "" || q.State == ExceptionOpen {
		state = x.live()
	}
	return state && (q.Class == "" || x.Problem.Class == q.Class) && (q.Code == "" || x.Problem.Code == q.Code) &&
		(q.Cause == "" || x.cause() == q.Cause) && (q.Owner == "" || x.Problem.Owner == q.Owner) &&
		(q.Person == "" || x.Person == q.Person || q.Person == "-" && x.Person == "") &&
		(q.Before.IsZero() || x.OpenedAt.Before(q.Before)) && (!q.Overdue || x.Escalated != nil)
}

// fits looks at what needs more than the record.
func (q *ExceptionQuery) fits(v *ExceptionView, body json.RawMessage) bool {
	if q.Money != "" {
		least, err := decimal.NewFromString(q.Money)
		if err != nil || !slices.ContainsFunc(names(v.Money), func(c string) bool {
			sum, err := decimal.NewFromString(v.Money[c])
			return err == nil && sum.Abs().GreaterThanOrEqual(least)
		}) {
			return false
		}
	}
	if q.Customer == "" || slices.Contains(v.Subjects, "customer/"+q.Customer) || strings.HasSuffix(v.Cause, "/"+q.Customer) {
		return true
	}
	return says(v.Evidence, q.Customer) || says(body, q.Customer)
}

// says reports whether some text in a JSON value is exactly this.
func says(raw json.RawMessage, text string) bool {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return false
	}
	var look func(v any) bool
	look = func(v any) bool {
		switch v := v.(type) {
		case string:
			return v == text
		case []any:
			return slices.ContainsFunc(v, look)
		case map[string]any:
			for _, x := range v {
				if look(x) {
					return true
				}
			}
		}
		return false
	}
	return look(v)
}

// Exceptions lists exceptions, newest last.
func (p *Pipeline) Exceptions(_ context.Context, q ExceptionQuery) ([]ExceptionView, error) {
	var list []ExceptionView
	err := p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		return s.Scan(bucketException, "", "", func(k string, v []byte) (bool, error) {
			var x exception
			if err := json.Unmarshal(v, &x); err != nil {
				return false, err
			}
			if !q.selects(&x) {
				return true, nil
			}
			view, d, err := s.exceptionView(&x)
			if err != nil {
				return false, err
			}
			var body json.RawMessage
			if d != nil {
				body = d.Post.Body
			}
			if q.fits(&view, body) {
				list = append(list, view)
			}
			return len(list) < bounded(q.Limit), nil
		})
	})
	return list, err
}

// Exception returns one exception with everything that is known of it.
func (p *Pipeline) Exception(_ context.Context, id string) (view ExceptionView, err error) {
	err = p.store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		x, err := s.exception(id)
		if err != nil {
			return err
		}
		if x == nil {
			return fmt.Errorf("exception %q: %w", id, ErrNotFound)
		}
		var d *delivery
		if view, d, err = s.exceptionView(x); err != nil {
			return err
		}
		if view.History, err = s.history(x); err != nil {
			return err
		}
		if x.Feed != nil && x.live() {
			return s.feedEvidence(&view, x.Feed)
		}
		if d == nil {
			return nil
		}
		return s.deliveryEvidence(&view, d)
	})
	return view, err
}

// deliveryEvidence adds what a delivery's exception rests on: its event, its body, what was asked and answered.
func (s *state) deliveryEvidence(v *ExceptionView, d *delivery) error {
	v.Body, v.Original = d.Post.Body, d.Original
	if d.Edited > 0 {
		line, err := s.auditLine(d.Edited)
		if err != nil {
			return err
		}
		if line != nil {
			v.EditedBy = line.shown("by", line.By)
		}
	}
	seq, err := s.Get(bucketEventID, d.Post.Event)
	if err != nil {
		return err
	}
	if seq != nil {
		if v.Event, err = s.event(string(seq)); err != nil {
			return err
		}
	}
	err = s.ScanBack(bucketLog, d.Post.ID+sep, "", func(_ string, raw []byte) (bool, error) {
		var n traceNote
		if err := json.Unmarshal(raw, &n); err != nil {
			return false, err
		}
		v.Attempts = append(v.Attempts, Attempt{At: n.At, Kind: n.Kind, Step: n.Step, Number: n.Attempt, Class: string(n.Class), Code: n.Code,
			Message: n.Message, Request: n.Request, Answer: n.Answer})
		return len(v.Attempts) < 100, nil
	})
	slices.Reverse(v.Attempts)
	return err
}

func (s *state) exceptionView(x *exception) (ExceptionView, *delivery, error) {
	v := ExceptionView{ID: x.ID, State: x.State, Origin: x.Origin, Class: x.Problem.Class, Code: x.Problem.Code, Cause: x.cause(),
		Title: x.Problem.Title, Hint: x.Problem.Hint, Owner: x.Problem.Owner, Person: x.Person, OpenedAt: x.OpenedAt, Due: x.Due,
		Overdue: x.Escalated != nil, Until: x.Until, ClosedAt: x.ClosedAt, Waiting: x.Waiting, Rule: x.Problem.Rule, Version: x.Version,
		Evidence: x.Problem.Evidence, Retries: x.Retries, Allowed: x.allowed(), LostNotes: x.Lost}
	var err error
	if v.ClosedBy, v.Reason, err = s.closed(x); err != nil {
		return v, nil, err
	}
	if x.Blast != nil {
		v.Held = x.Blast.Held
	}
	money := sums{}
	if err := s.subjectMoney(x, money); err != nil {
		return v, nil, err
	}
	v.Money = money.texts()
	err = s.Scan(bucketSubject, x.ID+sep, "", func(k string, _ []byte) (bool, error) {
		v.Subjects = append(v.Subjects, strings.TrimPrefix(k, x.ID+sep))
		return len(v.Subjects) < 100, nil
	})
	if err != nil {
		return v, nil, err
	}
	if len(v.Subjects) == 0 {
		v.Subjects = []string{x.Problem.Subject}
	}
	if x.Delivery == "" {
		return v, nil, nil
	}
	d, err := s.delivery(x.Delivery)
	if err != nil || d == nil {
		return v, nil, err
	}
	dv := d.view()
	v.Delivery = &dv
	var q queue
	if _, err := s.load(bucketQueue, queueKey(d.Post), &q); err != nil {
		return v, nil, err
	}
	if q.Tail > q.Head && x.live() {
		v.Behind = int(q.Tail-q.Head) - 1
	}
	return v, d, nil
}

// allowed are the commands that settle an exception of this kind.
func (x *exception) allowed() []string {
	if !x.live() {
		return nil
	}
	switch x.Origin {
	case originBlast:
		return []string{"release", "discard"}
	case originGate:
		return []string{"waive"}
	case originTarget, originReading, originService:
		return []string{"retry"}
	case originDelivery:
		return []string{"retry", "edit", "discard"}
	case originFeed:
		return []string{"retry", "discard"}
	}
	if x.Origin == originMapping && transform.Waivable(x.Problem.Class, x.Problem.Code) {
		return []string{"retry", "waive", "discard"}
	}
	if x.Problem.Code == codeUncertain {
		return []string{"discard"}
	}
	return []string{"retry", "discard"}
}

// CauseView is all exceptions of one cause.
type CauseView struct {
	Cause   string            `json:"cause"`
	Class   string            `json:"class"`
	Code    string            `json:"code"`
	Title   string            `json:"title"` // of the oldest
	Owner   string            `json:"owner,omitempty"`
	IDs     []string          `json:"ids"`
	Waiting int               `json:"waiting"`
	Money   map[string]string `json:"money,omitempty"`
	Oldest  time.Time         `json:"oldest"`
	Overdue int               `json:"overdue,omitempty"`
}

// ByCause groups exceptions, the cause with the most money first, then the oldest.
func ByCause(list []ExceptionView) []CauseView {
	by, money := map[string]*CauseView{}, map[string]sums{}
	var causes []string
	for _, x := range list {
		c := by[x.Cause]
		if c == nil {
			c = &CauseView{Cause: x.Cause, Class: x.Class, Code: x.Code, Title: x.Title, Owner: x.Owner, Oldest: x.OpenedAt}
			by[x.Cause], money[x.Cause] = c, sums{}
			causes = append(causes, x.Cause)
		}
		c.IDs, c.Waiting = append(c.IDs, x.ID), c.Waiting+x.Waiting
		if x.OpenedAt.Before(c.Oldest) {
			c.Oldest, c.Title = x.OpenedAt, x.Title
		}
		if x.Overdue {
			c.Overdue++
		}
		for currency, amount := range x.Money {
			money[x.Cause].add(amount, currency)
		}
	}
	groups := make([]CauseView, 0, len(causes))
	for _, cause := range causes {
		by[cause].Money = money[cause].texts()
		groups = append(groups, *by[cause])
	}
	most := func(cause string) (m decimal.Decimal) {
		for _, sum := range money[cause] {
			m = decimal.Max(m, sum.Sum.Abs())
		}
		return m
	}
	slices.SortStableFunc(groups, func(a, b CauseView) int {
		if c := most(b.Cause).Cmp(most(a.Cause)); c != 0 {
			return c
		}
		return a.Oldest.Compare(b.Oldest)
	})
	return groups
}
