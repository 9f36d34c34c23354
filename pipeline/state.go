package pipeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waybill/checkpoint"
	"waybill/transform"
)

// The buckets of the state, beside those of the mapper (transform/map.go) and of the registry (transform/registry.go). Keys of several parts are joined by sep; numbers are 16 hex digits so that they sort.
const (
	bucketSystem    = "sys"   // active mapping, counters
	bucketSource    = "src"   // source name → sourceState
	bucketSchema    = "sch"   // schema id → cdc.Schema
	bucketEvent     = "ev"    // seq of the last → a block of transform.Event: see eventblock.go
	bucketEventID   = "evi"   // event id → seq
	bucketEventRef  = "evr"   // ref, seq
	bucketHappened  = "evh"   // event type, key → seq of the first; of the types that a mapping's postings ever waited for
	bucketAwaited   = "evw"   // event type: postings ever waited for it
	bucketRow       = "rown"  // ref, index, ordinal → rowNote
	bucketDelivery  = "del"   // delivery id → delivery
	bucketEventPost = "evd"   // event id, delivery id
	bucketQueue     = "q"     // lane, sink, order key → queue
	bucketItem      = "qi"    // lane, sink, order key, number → delivery id
	bucketHead      = "head"  // lane, sink, seq → delivery id: what a lane may take
	bucketGate      = "gate"  // gate, delivery id: who waits for it
	bucketWaited    = "gatew" // gate: somebody waits for it
	bucketLedger    = "led"   // sink, company, entity, external id, step → ledgerRow
	bucketApplied   = "app"   // sink, entity, external id: the posting is wholly in the target
	bucketException = "ex"    // id → exception
	bucketOpen      = "exo"   // fingerprint → id of the open exception
	bucketSubject   = "exs"   // id, subject: who waits on it
	bucketSubjectEx = "sex"   // subject, id: for trace
	bucketTimer     = "tim"   // µs, id → transform.Timer
	bucketTimerID   = "timi"  // id → µs
	bucketHold      = "hold"  // source, table, index, ordinal: changes held; table is empty for those of first readings
	bucketReading   = "rd"    // table key → reading
	bucketView      = "rdv"   // table key, chunk number → what the rows of the chunk include
	bucketHeld      = "held"  // source, table → fingerprint: the table is held
	bucketWork      = "work"  // seq → work
	bucketLog       = "dlog"  // delivery id, index → traceNote
	bucketBlock     = "blk"   // number → mentions of references, beside those of evr and rown
	bucketKind      = "kind"  // entity: references of it were mentioned
	bucketAlias     = "alias" // external id or number → post/delivery id
	bucketAudit     = "aud"   // index → AuditLine, of an earlier release: they are moved into the chain
	bucketChain     = "auc"   // seq → AuditLine
	bucketHistory   = "exh"   // exception id, number → exceptionNote
	bucketSpill     = "bls"   // number → blastItem, of the transaction that is open
	bucketBlast     = "bli"   // exception id, number → blastItem, held
	bucketBehind    = "blb"   // lane, order key → behindBlast
	bucketCount     = "cnt"   // lane, sink, state → number
	bucketMoney     = "mon"   // currency, state → count and sum
	bucketBind      = "bind"  // sink → identity of its target
	bucketCompany   = "co"    // company: events or mappings are of it
	bucketIgnored   = "ign"   // ref, rule → ignored
	bucketClaim     = "clm"   // sink, entity, external id → company whose document has it
	bucketShadow    = "shd"   // mapping, target, sequence → delivery id: what is kept in shadow
	bucketEcho      = "echo"  // source, table, key columns, key, index of the intent → echo
	bucketEchoOf    = "echd"  // delivery id → key of its echo
	bucketShadowOn  = "shon"  // mapping, target or nothing → shadowSwitch: switched on
	bucketPaused    = "pau"   // sink, entity or nothing → sinks.Reason: a person paused the flow, or all that goes to the sink
	bucketFeed      = "fd"    // publisher, number → feedItem: not known to be in the target
	bucketFeedAside = "fda"   // publisher, order key, number → feedItem: set aside
	bucketFeedHeld  = "fdh"   // publisher, order key → feedHeld: something of it is set aside
	bucketFeedKey   = "fdk"   // publisher, order key → sequence of its last entry
	bucketFeedCount = "fdc"   // publisher → feedCount
)

const sep = "\x00"

func hexKey(n uint64) string { return fmt.Sprintf("%016x", n) }

func unhex(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 64)
	return n
}

func key(parts ...string) string { return strings.Join(parts, sep) }

// state is the typed view of one store transaction. The projector alone writes through it.
type state struct {
	*checkpoint.Txn
	counts map[string]int64
	money  map[string]*moneySum
	at     workAt // the entry being applied, on whose account work is added
	busy   bool   // there is work to do before the next entry
	timer  string // no timer is due before this key; "" when not known
	floors *floors
	// awaited are the event types of bucketAwaited.
	awaited  map[string]bool
	said     mentions
	telling  telling
	block    *eventBlock         // the one read last
	carriers *transform.Carriers // whose duties hold; nil before the first
	payload  []byte              // of the entry being applied, for the audit; nil in work
	guard    *guard              // of the open transaction; nil when what it makes goes straight out
}

// floors remember between transactions before which keys nothing live lies, so that no scan walks over what was deleted,
// and what need not be written again.
// The projector alone writes work and timers.
type floors struct {
	work    string
	timer   string
	kinds   map[string]bool // of bucketKind; a mapping has few
	audited bool            // no line of an earlier release is left
	blasts  *bool           // something is held by a blast radius; nil when not known
	// companies of bucketCompany.
	companies map[string]bool
}

func newState(tx *checkpoint.Txn) *state {
	return &state{Txn: tx, counts: map[string]int64{}, money: map[string]*moneySum{}}
}

// load reads a JSON record into v and reports whether it exists.
func (s *state) load(bucket, k string, v any) (bool, error) {
	raw, err := s.Get(bucket, k)
	if err != nil || raw == nil {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("reading %s %q from the state: %w", bucket, k, err)
	}
	return true, nil
}

func (s *state) save(bucket, k string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s %q to the state: %w", bucket, k, err)
	}
	return s.Put(bucket, k, raw)
}

func (s *state) mark(bucket, k string) error { return s.Put(bucket, k, []byte{}) }

// next returns the next number of a sequence, from 1.
func (s *state) next(name string) (uint64, error) {
	raw, err := s.Get(bucketSystem, "seq/"+name)
	if err != nil {
		return 0, err
	}
	n := unhex(string(raw)) + 1
	return n, s.Put(bucketSystem, "seq/"+name, []byte(hexKey(n)))
}

func (s *state) delivery(id string) (*delivery, error) {
	var d delivery
	ok, err := s.load(bucketDelivery, id, &d)
	if err != nil || !ok {
		return nil, err
	}
	return &d, nil
}

// put stores a delivery and keeps the counters of its lane and its money.
func (s *state) putDelivery(d *delivery) error {
	old, err := s.delivery(d.Post.ID)
	if err != nil {
		return err
	}
	if old != nil {
		s.count(old, -1)
	}
	s.count(d, 1)
	return s.save(bucketDelivery, d.Post.ID, d)
}

func (s *state) count(d *delivery, by int64) {
	s.counts[key(string(d.Post.Lane), d.Post.Sink, string(d.State), d.Post.Entity)] += by
	if d.State == StateSent && d.Last != nil {
		s.counts[key(string(d.Post.Lane), d.Post.Sink, "unknown", "")] += by
	}
	if d.Post.Amount == nil {
		return
	}
	k := key(d.Post.Amount.Currency, moneyState(d.State))
	if s.money[k] == nil {
		s.money[k] = &moneySum{}
	}
	s.money[k].add(d.Post.Amount.Amount, by)
}

func moneyState(st DeliveryState) string {
	switch st {
	case StateDone:
		return "posted"
	case StateParked:
		return "exception"
	case StateDiscarded, StateSuperseded:
		return "discarded"
	case StateShadow:
		return "shadow"
	}
	return "in_flight"
}

// begin looks once at what scans would find again and again: a scan over uncommitted writes is dear.
func (s *state) begin() error {
	if s.floors == nil {
		s.floors = &floors{}
	}
	k, _, err := s.firstFrom(bucketWork, s.floors.work)
	if err != nil {
		return err
	}
	s.busy = k != ""
	if s.busy {
		s.floors.work = k
	}
	s.timer, _, err = s.firstFrom(bucketTimer, s.floors.timer)
	if s.timer == "" {
		s.timer = "~"
	}
	s.floors.timer = s.timer
	return err
}

// pageMost bounds the keys that each reads at once.
const pageMost = 256

// each hands the keys with the prefix to do, from the cursor on, until do says that it is enough or the transaction is full, and
// reports whether none is left. It moves the cursor behind each that was done: a scan from the beginning would walk over all that was
// deleted, and one for each key costs more than what is done with it. do may write anything but keys behind its own.
func (s *state) each(bucket, prefix string, cursor *string, do func(k string, v []byte) (more bool, err error)) (end bool, err error) {
	type pair struct {
		key   string
		value []byte
	}
	for {
		var page []pair
		err := s.Scan(bucket, prefix, *cursor, func(k string, v []byte) (bool, error) {
			page = append(page, pair{k, slices.Clone(v)})
			return len(page) < pageMost, nil
		})
		if err != nil {
			return false, err
		}
		for _, p := range page {
			if s.Full() {
				return false, nil
			}
			more, err := do(p.key, p.value)
			if err != nil {
				return false, err
			}
			*cursor = p.key + "\x00"
			if !more {
				return false, nil
			}
		}
		if len(page) < pageMost {
			return true, nil
		}
	}
}

// firstFrom returns the first key at or after from.
func (s *state) firstFrom(bucket, from string) (k string, v []byte, err error) {
	err = s.Scan(bucket, "", from, func(kk string, vv []byte) (bool, error) {
		k, v = kk, append([]byte(nil), vv...)
		return false, nil
	})
	return k, v, err
}

// flush writes the counters that the transaction changed, and what it mentions. It is called once, before the commit.
func (s *state) flush() error {
	if err := s.told(); err != nil {
		return err
	}
	if err := s.said.write(s); err != nil {
		return err
	}
	for k, by := range s.counts {
		if by == 0 {
			continue
		}
		raw, err := s.Get(bucketCount, k)
		if err != nil {
			return err
		}
		n, _ := strconv.ParseInt(string(raw), 10, 64)
		if n += by; n == 0 { // as if it had never been counted: whether a commit fell between up and down must not show
			err = s.Delete(bucketCount, k)
		} else {
			err = s.Put(bucketCount, k, strconv.AppendInt(nil, n, 10))
		}
		if err != nil {
			return err
		}
	}
	for k, m := range s.money {
		var total moneySum
		if _, err := s.load(bucketMoney, k, &total); err != nil {
			return err
		}
		total.merge(m)
		if err := s.save(bucketMoney, k, &total); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) source(name string) (sourceState, error) {
	var src sourceState
	_, err := s.load(bucketSource, name, &src)
	return src, err
}

// first returns the first key and value with the prefix, or "" when there is none.
func (s *state) first(bucket, prefix string) (k string, v []byte, err error) {
	err = s.Scan(bucket, prefix, "", func(kk string, vv []byte) (bool, error) {
		k, v = kk, append([]byte(nil), vv...)
		return false, nil
	})
	return k, v, err
}

// gateKey names a gate. Those of time are one for what waits on the same sources.
func gateKey(g transform.Gate) string {
	if g.Kind == transform.GateTime {
		return key(string(g.Kind), g.Name, g.Key, strings.Join(g.Sources, ","))
	}
	return key(string(g.Kind), g.Name, g.Key)
}

func ledgerKey(p transform.Post, step string) string {
	return key(p.Sink, p.Company, p.Entity, p.ExternalID, step)
}
