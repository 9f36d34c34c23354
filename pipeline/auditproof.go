package pipeline

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"waybill/checkpoint"
)

// AuditQuery selects lines of the audit: the newest, or with Oldest or After the first ones. They are listed oldest first.
type AuditQuery struct {
	After  uint64 `json:"after,omitempty"` // only lines behind this one
	Oldest bool   `json:"oldest,omitempty"`
	By     string `json:"by,omitempty"`     // exact
	Action string `json:"action,omitempty"` // exact
	Target string `json:"target,omitempty"` // a word of the target: X-000012
	Limit  int    `json:"limit,omitempty"`  // default 100, at most 10,000
}

func (q *AuditQuery) selects(l *AuditLine) bool {
	return (q.By == "" || q.By == l.By) && (q.Action == "" || q.Action == l.Action) &&
		(q.Target == "" || q.Target == l.Target || slices.Contains(strings.Fields(l.Target), q.Target))
}

func (q *AuditQuery) first() bool { return q.Oldest || q.After > 0 }

// AuditProof is what a verification of the chain found.
type AuditProof struct {
	Lines    uint64 `json:"lines"`    // proved, from the first on
	Head     string `json:"head"`     // "<seq>:<hash>" of the last line; noted elsewhere, it proves later that nothing before it changed
	Redacted int    `json:"redacted"` // fields that were redacted
	Checked  int    `json:"checked"`  // lines compared with their journal entry, which is still there
	Bad      uint64 `json:"bad,omitempty"`
	Reason   string `json:"reason,omitempty"` // why the line Bad, the first that is wrong, is wrong
}

// RedactRequest drops fields of one line of the audit.
type RedactRequest struct {
	Line   uint64   `json:"line"`
	Fields []string `json:"fields"` // by, why, note
	By     string   `json:"by"`
	Why    string   `json:"why"`
}

// Valid reports what is wrong with the request.
func (r *RedactRequest) Valid() error {
	switch {
	case r.Line == 0:
		return errors.New("a redaction needs the number of a line")
	case len(r.Fields) == 0 || slices.ContainsFunc(r.Fields, func(f string) bool { return !slices.Contains(AuditFields, f) }):
		return fmt.Errorf("fields: found %q, expected some of %s", strings.Join(r.Fields, ","), strings.Join(AuditFields, ", "))
	case strings.TrimSpace(r.Why) == "":
		return errors.New("a redaction needs a reason; it is a line of the audit itself")
	}
	return nil
}

// Audit lists lines of the audit, oldest first.
func (p *Pipeline) Audit(_ context.Context, q AuditQuery) ([]AuditLine, error) {
	return AuditOf(p.store, q)
}

// AuditOf lists the audit of a store, which a daemon need not have open.
func AuditOf(store *checkpoint.Store, q AuditQuery) (list []AuditLine, err error) {
	limit := bounded(q.Limit)
	err = store.View(func(tx *checkpoint.Txn) error {
		take := func(_ string, v []byte) (bool, error) {
			var line AuditLine
			if err := json.Unmarshal(v, &line); err != nil {
				return false, err
			}
			if q.selects(&line) {
				list = append(list, line)
			}
			return len(list) < limit, nil
		}
		if q.first() {
			return tx.Scan(bucketChain, "", hexKey(q.After+1), take)
		}
		return tx.ScanBack(bucketChain, "", "", take)
	})
	if !q.first() {
		slices.Reverse(list)
	}
	return list, err
}

// VerifyAudit proves the chain. expect may name a line as an earlier proof gave its head, "<seq>:<hash>".
func (p *Pipeline) VerifyAudit(_ context.Context, expect string) (AuditProof, error) {
	return VerifyAuditOf(p.store, expect)
}

// VerifyAuditOf proves the chain of a store, which a daemon need not have open: each line against itself, against the one
// before it, and against its journal entry as long as that is kept; and the last one against the head that is kept apart.
func VerifyAuditOf(store *checkpoint.Store, expect string) (AuditProof, error) {
	c, err := newChain(expect)
	if err != nil {
		return AuditProof{}, err
	}
	err = store.View(func(tx *checkpoint.Txn) error {
		s := newState(tx)
		if err := s.Scan(bucketChain, "", "", func(k string, v []byte) (bool, error) {
			var line AuditLine
			if err := json.Unmarshal(v, &line); err != nil {
				c.wrong("it cannot be read: " + err.Error())
				return false, nil
			}
			return c.entry(store, &line) && c.next(&line), nil
		}); err != nil || c.proof.Bad > 0 {
			return err
		}
		var head auditHead
		if _, err := s.load(bucketSystem, auditHeadKey, &head); err != nil {
			return err
		}
		if head.Seq != c.proof.Lines || head.Hash != c.last {
			c.wrong(fmt.Sprintf("the chain ends here, but its head says %d lines", head.Seq))
		}
		return nil
	})
	return c.done(), err
}

// VerifyAuditFile proves an exported chain, one JSON line each.
func VerifyAuditFile(r io.Reader, expect string) (AuditProof, error) {
	c, err := newChain(expect)
	if err != nil {
		return AuditProof{}, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line AuditLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			c.wrong("it cannot be read: " + err.Error())
			break
		}
		if !c.next(&line) {
			break
		}
	}
	return c.done(), lines.Err()
}

// chain walks lines and stops at the first that is wrong.
type chain struct {
	proof   AuditProof
	last    string // hash
	seq     uint64 // of the line that must be there
	hash    string // with this hash
	expects bool
}

func newChain(expect string) (*chain, error) {
	c := &chain{}
	if expect == "" {
		return c, nil
	}
	seq, hash, ok := strings.Cut(expect, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	if !ok || err != nil || len(hash) != 64 {
		return nil, fmt.Errorf("found %q, expected the head of an earlier proof, such as 120:9f86d0… with 64 digits", expect)
	}
	c.seq, c.hash, c.expects = n, hash, true
	return c, nil
}

func (c *chain) wrong(reason string) { c.proof.Bad, c.proof.Reason = c.proof.Lines+1, reason }

// next proves one line and reports whether the walk may go on.
func (c *chain) next(l *AuditLine) bool {
	switch {
	case l.Seq != c.proof.Lines+1:
		c.wrong(fmt.Sprintf("line %d stands here", l.Seq))
	case l.Prev != c.last:
		c.wrong("it does not follow the line before it")
	case l.Hash != l.digest():
		c.wrong("its hash is not that of its content")
	case c.expects && l.Seq == c.seq && l.Hash != c.hash:
		c.wrong("it is not the line that the earlier proof saw")
	default:
		c.sealed(l)
	}
	if c.proof.Bad > 0 {
		return false
	}
	c.proof.Lines, c.last = l.Seq, l.Hash
	return true
}

func (c *chain) sealed(l *AuditLine) {
	for _, name := range AuditFields {
		seal, text := l.Seals[name], *l.field(name)
		switch {
		case seal.Redacted > 0 && text == "":
			c.proof.Redacted++
		case seal.Hash == "" && text == "":
		case seal.Hash == "" || seal.Hash != digest(seal.Salt, name, text):
			c.wrong(fmt.Sprintf("its field %q is not what was sealed", name))
			return
		}
	}
}

// entry compares a line with its journal entry, when that is still there.
func (c *chain) entry(store *checkpoint.Store, l *AuditLine) bool {
	if l.Entry == "" || l.Index < store.First() || l.Index > store.Last() {
		return true
	}
	e, err := store.Read(l.Index)
	if errors.Is(err, checkpoint.ErrTrimmed) {
		return true
	}
	switch {
	case err != nil:
		c.wrong(fmt.Sprintf("its journal entry %d cannot be read: %v", l.Index, err))
		return false
	case digest(string(e.Payload)) != l.Entry:
		c.wrong(fmt.Sprintf("its journal entry %d is another one", l.Index))
		return false
	}
	c.proof.Checked++
	return true
}

func (c *chain) done() AuditProof {
	if c.proof.Bad == 0 && c.expects && c.proof.Lines < c.seq {
		c.wrong(fmt.Sprintf("the chain ends here, but an earlier proof saw line %d", c.seq))
	}
	c.proof.Head = fmt.Sprintf("%d:%s", c.proof.Lines, c.last)
	return c.proof
}

// Redact drops what a line says of a person, or in free words. The chain stays whole.
func (p *Pipeline) Redact(ctx context.Context, r RedactRequest) (AuditLine, error) {
	if err := r.Valid(); err != nil {
		return AuditLine{}, err
	}
	find := func() (line *AuditLine, err error) {
		err = p.store.View(func(tx *checkpoint.Txn) error {
			line, err = newState(tx).auditLine(r.Line)
			return err
		})
		return line, err
	}
	line, err := find()
	if err != nil {
		return AuditLine{}, err
	}
	if line == nil {
		return AuditLine{}, fmt.Errorf("line %d of the audit: %w", r.Line, ErrNotFound)
	}
	if err := p.decide(ctx, decisionEntry{Action: "redact", Redact: &r, By: r.By, Why: r.Why}); err != nil {
		return AuditLine{}, err
	}
	if line, err = find(); err != nil || line == nil {
		return AuditLine{}, err
	}
	return *line, nil
}
