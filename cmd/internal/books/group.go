package books

import (
	"cmp"
	"slices"
	"strings"
)

// Carrier is one carrier of a group that has all its books in one ERP.
type Carrier struct {
	Name    string // for people
	Prefix  string // of its references in the ERP
	Headers []Header
	Terms   Terms
}

// CompareGroup compares each carrier with the documents that carry its prefix. What carries nobody's is the last report's, and unknown to it; there is none
// when there is nothing of that kind.
func CompareGroup(carriers []Carrier, invoices []Invoice) []Report {
	of := map[string][]Invoice{}
	for _, i := range invoices {
		prefix := ""
		for _, c := range carriers {
			if strings.HasPrefix(i.Reference, c.Prefix) {
				prefix = c.Prefix
			}
		}
		of[prefix] = append(of[prefix], i)
	}
	var all []Report
	for _, c := range carriers {
		all = append(all, Compare(c.Headers, of[c.Prefix], c.Terms))
	}
	if stray := of[""]; stray != nil {
		slices.SortFunc(stray, func(a, b Invoice) int { return cmp.Compare(a.ID, b.ID) })
		all = append(all, Compare(nil, stray, Terms{}))
	}
	return all
}
