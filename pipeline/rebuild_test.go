package pipeline

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/sinks"
)

// A state that was made while lanes delivered, with commits wherever they fell, is what the journal makes again: from its
// beginning, and from a snapshot on the way; in commits of any size.
func TestRebuildIsEqual(t *testing.T) {
	p := newPast(t)
	p.sink.script(func(in sinks.Intent) *sinks.Outcome {
		if in.ExternalID == "A12" {
			return &sinks.Outcome{Class: sinks.Rejected, Code: "PERIOD_CLOSED", Message: "the period is closed"}
		}
		return nil
	})
	p.start()
	for i := range 3 {
		p.commits(fmt.Sprintf("customers: X%d First N30", i))
	}
	p.settled()
	if _, err := p.store.Backup(""); err != nil {
		t.Fatal(err)
	}
	p.month()
	p.settled()
	p.discards("DELIVERY/")
	p.activates(next(pastMapping, "N30: NET 30", "N30: NET 30, N45: NET 45"))
	p.settled()
	bases, err := p.store.Bases()
	if err != nil || len(bases) != 2 {
		t.Fatalf("%d bases, %v", len(bases), err)
	}
	p.madeAgain()
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(bases[1].Path)), "side-*")); err != nil || len(left) > 0 {
		t.Errorf("side states were left: %v %v", left, err)
	}
}

// A value that the journal does not make is found and named.
func TestRebuildNamesTheDifference(t *testing.T) {
	p := newPast(t)
	p.commits("customers: C1 First N30")
	p.quiet()
	p.do(func(s *state, _ *output) error {
		return s.Put(bucketLedger, key("erp", "", "customer", "C1", "upsert"), []byte("forged"))
	})
	proof, err := p.history().VerifyState(context.Background(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if proof.Equal || proof.Differ != 1 || proof.First.Bucket != bucketLedger || proof.First.Live != "forged" || proof.First.Rebuilt != "" {
		t.Errorf("%+v %+v", proof, proof.First)
	}
}

// What mentions a reference counts by what it says: two states are equal whether it was written as keys or as blocks.
func TestRebuildComparesMentions(t *testing.T) {
	p := newPast(t)
	p.commits("customers: C1 First N30")
	p.quiet()
	p.do(func(s *state, _ *output) error {
		k, _, err := s.first(bucketEventRef, "")
		if err != nil {
			return err
		}
		return s.Delete(bucketEventRef, k)
	})
	proof, err := p.history().VerifyState(context.Background(), time.Time{})
	if err != nil || proof.Equal || proof.First.Bucket != "mentions" {
		t.Errorf("a mention is gone, and the proof says %+v, %v", proof, err)
	}
}

func (p *past) discards(fingerprint string) { p.t.Helper(); p.judges("discard", fingerprint) }

// judges lets a person decide about the open exceptions whose fingerprints begin so.
func (p *past) judges(action, fingerprint string) {
	p.t.Helper()
	var ids []string
	err := p.store.View(func(tx *checkpoint.Txn) error {
		return newState(tx).Scan(bucketOpen, fingerprint, "", func(_ string, id []byte) (bool, error) {
			ids = append(ids, string(id))
			return true, nil
		})
	})
	if err != nil || len(ids) == 0 {
		p.t.Fatalf("nothing to %s: %v", action, err)
	}
	p.decides(decisionEntry{Action: action, IDs: ids, By: "ann", Why: "posted by hand"})
}

// What a gate lets go has its place among what is queued at once, wherever commits fall.
func TestRebuildKeepsTheOrderOfWork(t *testing.T) {
	p := newPast(t)
	p.activates(next(pastMapping, "      - { erp.customer: bill_to }\n", ""))
	p.month()
	p.quiet()
	p.madeAgain()
}

// madeAgain proves that the state is made again from every place where that can begin, in commits of any size.
func (p *past) madeAgain() {
	p.t.Helper()
	bases, err := p.store.Bases()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, from := range bases {
		for _, most := range []int{1, 3, 7, maxUnits} {
			r, err := p.history().run(from, "test")
			if err != nil {
				p.t.Fatal(err)
			}
			r.most = most
			proof := StateProof{}
			if err := p.history().meet(context.Background(), r, &proof); err != nil {
				p.t.Fatal(err)
			}
			if !proof.Equal || proof.Keys < 30 || proof.Entry != p.store.Last() {
				p.t.Errorf("from %s, commits of %d: %d values differ %v, first %+v", baseText(from), most, proof.Differ, proof.Buckets, proof.First)
			}
			if err := r.side.Close(); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}
