package sinktest

import (
	"fmt"
	"slices"
)

// LedgerReport is what a ledger proves.
type LedgerReport struct {
	Effects    []Effect
	Duplicates []string // external ids of which one step other than an upsert was done twice
	Missing    []string // wanted external ids whose last step was not done
	OutOfOrder []string // order keys whose effects went backwards
}

// Ledger reads a ledger file and compares it with what should be there. wanted maps an entity to the external ids that must
// have gone through its last step. version gives the order of effects within an order key, and may be nil.
func Ledger(file string, wanted map[string][]string, version func(Effect) int64) (LedgerReport, error) {
	effects, _, err := readLedger(file)
	r := LedgerReport{Effects: effects}
	if err != nil {
		return r, err
	}
	done, newest := map[string]int{}, map[string]int64{}
	for _, e := range effects {
		at := e.Entity + "/" + e.ExternalID + "/" + e.Step
		if done[at]++; done[at] == 2 && e.Step != "upsert" {
			r.Duplicates = append(r.Duplicates, at)
		}
		if version == nil {
			continue
		}
		key := e.OrderKey + "/" + e.Step
		if v := version(e); v < newest[key] {
			if !slices.Contains(r.OutOfOrder, e.OrderKey) {
				r.OutOfOrder = append(r.OutOfOrder, e.OrderKey)
			}
		} else {
			newest[key] = v
		}
	}
	for entity, ids := range wanted {
		steps := ledgerSteps[entity]
		if steps == nil {
			return r, fmt.Errorf("the simulated ERP has no entity %q", entity)
		}
		for _, id := range ids {
			if at := entity + "/" + id + "/" + steps[len(steps)-1]; done[at] == 0 {
				r.Missing = append(r.Missing, at)
			}
		}
	}
	slices.Sort(r.Missing)
	return r, nil
}
