package pipeline

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/transform"
)

// The forms of what a row is made of.
var (
	attributeForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	civilForm     = "2006-01-02"
)

// Bounds of a row, in bytes.
const (
	maxXrefToken     = 60
	maxXrefKey       = 120
	maxXrefAttribute = 200
	maxXrefSet       = 20 // attributes
)

// checkRow finds every fault of a row.
func (p *xrefPlan) checkRow(r *transform.RegistryRow) {
	if !slices.Contains(transform.RegistryKinds(), r.Kind) {
		p.fault("kind", fmt.Sprintf("%q", r.Kind), "one of "+strings.Join(transform.RegistryKinds(), ", "))
	}
	p.token("company", r.Company, false)
	p.token("system", r.System, true)
	p.token("role", r.Role, false)
	p.token("canonical", r.Canonical, true)
	if !legible(r.Key, maxXrefKey) || r.Key == "" {
		p.fault("key", fmt.Sprintf("%q", clip(r.Key, 80)), fmt.Sprintf("the key in 1 to %d bytes, without blanks at its ends (trim it in the mapping)", maxXrefKey))
	}
	p.day("valid_from", r.From, false)
	p.day("valid_to", r.To, false)
	if r.To != "" && r.To < r.From {
		p.fault("valid_to", r.To, "a day that is not before "+r.From)
	}
	p.checkAttributes(r.Attributes)
}

func (p *xrefPlan) checkAttributes(set map[string]string) {
	if len(set) > maxXrefSet {
		p.fault("", fmt.Sprintf("%d attributes", len(set)), fmt.Sprintf("at most %d", maxXrefSet))
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !attributeForm.MatchString(name) {
			p.fault("attr."+name, fmt.Sprintf("the attribute %q", clip(name, 80)), "small letters, digits and _, such as erp_account")
		}
		if v := set[name]; !legible(v, maxXrefAttribute) || v == "" {
			p.fault("attr."+name, fmt.Sprintf("%q", clip(v, 80)), fmt.Sprintf("a text of 1 to %d bytes", maxXrefAttribute))
		}
	}
}

// token checks a name that people type.
func (p *xrefPlan) token(column, v string, needed bool) {
	if !legible(v, maxXrefToken) || needed && v == "" {
		p.fault(column, fmt.Sprintf("%q", clip(v, 80)), fmt.Sprintf("a name of at most %d bytes without blanks at its ends", maxXrefToken))
	}
}

// legible is a text that is what it looks like: no blanks at its ends, nothing that is not seen.
func legible(s string, most int) bool {
	return len(s) <= most && strings.TrimSpace(s) == s && strings.ToValidUTF8(s, "") == s &&
		strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

func (p *xrefPlan) day(column, v string, needed bool) {
	if v == "" && !needed {
		return
	}
	if _, err := time.Parse(civilForm, v); err != nil {
		p.fault(column, fmt.Sprintf("%q", clip(v, 40)), "a day such as 2026-01-31")
	}
}

// dayBefore is the day before a day that was checked.
func dayBefore(day string) string {
	t, err := time.Parse(civilForm, day)
	if err != nil {
		return day // its fault is told
	}
	return t.AddDate(0, 0, -1).Format(civilForm)
}
