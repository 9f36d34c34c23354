package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// PlanOptions are what a plan needs. Store is a fresh store in a temporary directory, which the caller removes.
type PlanOptions struct {
	Store    *checkpoint.Store
	Carriers *transform.Carriers
	Sources  map[string]cdc.Inspector
	Codecs   cdc.Codecs
	Sinks    map[string]sinks.Sink
	Services map[string]sinks.Answerer // whom lookups ask; those that are missing are not asked
	Lookups  int                       // postings looked up in the target for adoption, and questions of the rules; default 2,000, -1 for none
	Progress func(step string, done, total int)
	Log      *slog.Logger
}

// PlanView is what would be sent if Waybill went live now.
type PlanView struct {
	Mapping    string          `json:"mapping"`
	Rows       int             `json:"rows"` // rows read in the snapshots
	Events     map[string]int  `json:"events"`
	Historic   map[string]int  `json:"historic"` // from before the cut-over: kept, not sent
	Posts      []PlanPost      `json:"posts"`
	Exceptions []ExceptionStat `json:"exceptions,omitempty"`
	Waiting    int             `json:"waiting"` // postings behind a gate or an earlier one
	Notes      []string        `json:"notes,omitempty"`
}

// PlanPost sums the postings of one target entity.
type PlanPost struct {
	Target   string            `json:"target"` // erp.sales_invoice
	Count    int               `json:"count"`
	Money    map[string]string `json:"money,omitempty"`
	Adopted  int               `json:"adopted"`   // the target holds it, equal: nothing would be sent
	Create   int               `json:"create"`    // the target does not hold it
	Conflict int               `json:"conflict"`  // the target holds something else under its key
	NotAsked int               `json:"not_asked"` // beyond the bound of lookups, or the target could not be asked
}

// planLookups is how many postings, and how many questions of the rules, a plan looks up unless it is told.
const planLookups = 2000

// Plan reads a snapshot of every source, runs the mapping over it in a side store and looks up in the targets what they
// already hold. It writes nothing to sources or targets.
func Plan(ctx context.Context, o PlanOptions) (PlanView, error) {
	v := PlanView{Mapping: o.Carriers.Version(), Events: map[string]int{}, Historic: map[string]int{}}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := newProjector(o.Store, o.Codecs, o.Log, func() {})
	for _, a := range wanted(nil, o.Carriers) {
		payload, err := json.Marshal(a)
		if err != nil {
			return v, err
		}
		if _, err := o.Store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Mapping, Payload: payload}); err != nil {
			return v, err
		}
	}
	for _, name := range o.Carriers.Sources() {
		src := o.Sources[name]
		if src == nil {
			return v, fmt.Errorf("the mapping reads source %q, which the configuration does not have", name)
		}
		err := src.Peek(ctx, func(b cdc.Batch) error {
			v.Rows += b.Changes
			o.Progress("reading "+name, v.Rows, 0)
			raw, err := b.AppendBinary(nil)
			if err != nil {
				return err
			}
			_, err = o.Store.Append(ctx, checkpoint.Entry{Kind: checkpoint.Rows, Payload: raw})
			return err
		})
		if err != nil {
			return v, fmt.Errorf("reading a snapshot of %s: %w", name, err)
		}
		if err := p.catchUp(ctx); err != nil {
			return v, err
		}
	}
	if err := o.answer(ctx, p, &v); err != nil {
		return v, err
	}
	return v, o.sum(ctx, &v)
}

// sum counts what the side store's outbox holds.
func (o *PlanOptions) sum(ctx context.Context, v *PlanView) error {
	var posts []*delivery
	err := o.Store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		err := s.eachEvent(0, func(_ uint64, raw []byte) (bool, error) {
			var e transform.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return false, err
			}
			if e.Historic {
				v.Historic[e.Type]++
			} else {
				v.Events[e.Type]++
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		err = s.Scan(bucketDelivery, "", "", func(_ string, raw []byte) (bool, error) {
			var d delivery
			if err := json.Unmarshal(raw, &d); err != nil {
				return false, err
			}
			posts = append(posts, &d)
			return true, nil
		})
		if err != nil {
			return err
		}
		var st Status
		err = openStats(s, &st)
		v.Exceptions = st.Exceptions
		return err
	})
	if err != nil {
		return err
	}
	return o.lookUp(ctx, v, posts)
}

func (o *PlanOptions) lookUp(ctx context.Context, v *PlanView, posts []*delivery) error {
	most := o.Lookups
	if most == 0 {
		most = planLookups
	}
	by, money := map[string]*PlanPost{}, map[string]sums{}
	for i, d := range posts {
		name := d.Post.Sink + "." + d.Post.Entity
		if by[name] == nil {
			by[name], money[name] = &PlanPost{Target: name}, sums{}
		}
		pp := by[name]
		pp.Count++
		if d.State == StateWaiting {
			v.Waiting++
		}
		if d.Post.Amount != nil {
			money[name].add(d.Post.Amount.Amount, d.Post.Amount.Currency)
		}
		if i >= most {
			pp.NotAsked++
			continue
		}
		o.Progress("looking up in "+d.Post.Sink, i+1, min(len(posts), most))
		pp.note(o.present(ctx, d))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, name := range names(by) {
		by[name].Money = money[name].texts()
		v.Posts = append(v.Posts, *by[name])
	}
	if n := len(posts) - most; n > 0 && most >= 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("%d postings were not looked up in their target.", n))
	}
	return nil
}

func (pp *PlanPost) note(c sinks.Class) {
	switch c {
	case sinks.AlreadyApplied, sinks.Applied:
		pp.Adopted++
	case sinks.Absent:
		pp.Create++
	case sinks.Conflict:
		pp.Conflict++
	default:
		pp.NotAsked++
	}
}

// present looks up a posting's first step in its target.
func (o *PlanOptions) present(ctx context.Context, d *delivery) sinks.Class {
	sink := o.Sinks[d.Post.Sink]
	if sink == nil {
		return sinks.Unknown
	}
	ent, err := sink.Entity(d.Post.Entity)
	if err != nil || !ent.CanVerify || len(ent.Steps) == 0 {
		return sinks.Unknown
	}
	intent, oc := sink.Prepare(ctx, sinks.OperationOf(d.Post), ent.Steps[0], nil, time.Now())
	if oc != nil {
		// What cannot even be prepared (its customer is not there yet, say) is not in the target either, unless the
		// target itself could not be asked.
		if oc.Class == sinks.Rejected {
			return sinks.Absent
		}
		return oc.Class
	}
	return sink.Verify(ctx, intent).Class
}
