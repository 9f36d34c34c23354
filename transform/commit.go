package transform

import (
	"fmt"
	"strconv"
)

// The buckets of documents that a transaction touched and that are looked at when it ends.
const (
	bucketDue   = "map/due"   // number → document
	bucketDueOf = "map/dueof" // document → number
	bucketDueN  = "map/duen"  // "n" → numbers given
)

// Commit ends a transaction of a source: documents that it touched are looked at now, when all its rows are known, in the
// order in which it touched them first. A release that is written before its lines, in one transaction, is whole then. At
// most limit documents are looked at; more asks for another call before any change of a later transaction.
func (p *Mapper) Commit(st State, out Output, at Entry, limit int) (more bool, err error) {
	if n, err := st.Get(bucketDueN, "n"); err != nil || n == nil {
		return false, err
	}
	var numbers, documents []string
	err = st.Scan(bucketDue, "", "", func(number string, document []byte) (bool, error) {
		numbers, documents = append(numbers, number), append(documents, string(document))
		return len(numbers) <= limit, nil
	})
	if err != nil {
		return false, err
	}
	r := p.run(st, out, at)
	for i, number := range numbers {
		if i == limit {
			return true, nil
		}
		if err := st.Delete(bucketDue, number); err != nil {
			return false, err
		}
		if err := st.Delete(bucketDueOf, documents[i]); err != nil {
			return false, err
		}
		if err := r.dueDocument(documents[i]); err != nil {
			return false, err
		}
	}
	return false, st.Delete(bucketDueN, "n")
}

func (r *run) dueDocument(id string) error {
	parts := stateParts(id)
	for _, d := range r.m.documents {
		if d.name != parts[0] {
			continue
		}
		rec, err := r.record(d, parts[1])
		if err != nil || rec == nil {
			return err
		}
		return r.judge(d, rec)
	}
	return nil // a document that this version of the mapping does not have
}

// look has a document judged: at the end of the transaction while one is open, else at once.
func (r *run) look(d *document, rec *docRecord) error {
	if !r.open {
		return r.judge(d, rec)
	}
	if err := r.saveRecord(d, rec); err != nil {
		return err
	}
	id := stateKey(d.name, rec.Key)
	if known, err := r.st.Get(bucketDueOf, id); err != nil || known != nil {
		return err
	}
	raw, err := r.st.Get(bucketDueN, "n")
	if err != nil {
		return err
	}
	n := 0
	if raw != nil {
		if n, err = strconv.Atoi(string(raw)); err != nil {
			return fmt.Errorf("reading the number of touched documents: %w", err)
		}
	}
	number := fmt.Sprintf("%012d", n)
	if err := r.st.Put(bucketDueN, "n", strconv.AppendInt(nil, int64(n+1), 10)); err != nil {
		return err
	}
	if err := r.st.Put(bucketDueOf, id, []byte(number)); err != nil {
		return err
	}
	return r.st.Put(bucketDue, number, []byte(id))
}

// judge evaluates a document that waits, and compares one that was sent with what its source says now.
func (r *run) judge(d *document, rec *docRecord) error {
	switch {
	case rec.Pending != nil:
		return r.evaluate(d, rec)
	case rec.Sent != "":
		return r.drift(d, rec)
	}
	return nil
}
