package transform

import (
	"os"
	"strings"
	"testing"
)

// What the stories on real databases showed to be wrong, told again where it is quick to look at.
func TestCaseStoriesOfTheBooks(t *testing.T) {
	for name, story := range map[string][]string{
		"an orphan is not billed": {tellDelivered, tellPod, "until 4T10:00", "! ORPHAN_COMPLETION shipment/1", "+ ", "? Nothing is known of its load",
			tellAssigned, "! ", "until 4T11:00", "+ billing.ready 1"},
		"an orphan that a person lets pass": {tellDelivered, tellPod, "until 4T10:00", "give up ORPHAN_COMPLETION", "! ", "+ billing.ready 1"},
		"an invoice that was taken back before it was sent": {tellLeft, tellDelivered, tellReleased,
			"credit_memo.issued A1-C at=5T10:00 refs=shipment/1,invoice/A1 original=A1 original_withdrawn=true total=-1150.00",
			"invoice.rebilled A1-R at=5T10:01 refs=shipment/1,invoice/A1 original=A1 total=1100.00", "? It waits for the ERP to post A1-R.",
			"erp.posted A1-R at=5T10:06 refs=shipment/1", "? A1-R is posted"},
		"paperwork that is overdue": {tellLeft, tellDelivered, "until 5T10:01", "? was due at 2026-10-05 10:00 UTC"},
	} {
		t.Run(name, func(t *testing.T) { play(t, newDrive(t, withCases(t)), story) })
	}
}

// A credit that is only drafted takes back what is billed, and bills nothing itself.
func TestADraftOfACreditIsNoBilling(t *testing.T) {
	d := newDrive(t, withCases(t))
	play(t, d, []string{tellLeft, tellReleased, tellPosted, "shipment.cancelled 1 at=5T08:00", "invoice.drafted A1-C at=5T09:00 refs=shipment/1 number=A1-C total=-1150.00",
		"! CANCEL_AFTER_BILLING shipment/1"})
	if c := d.found("shipment/1"); len(c.Problems) != 1 || !strings.HasSuffix(c.Problems[0].Title, "but it is billed: A1 (posted).") {
		t.Errorf("%+v", c.Problems)
	}
}

// The mapping of the stories has two documents that make the same event; each is posted.
func TestTheMappingOfTheStories(t *testing.T) {
	src, err := os.ReadFile("../testdata/stories/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse("mapping.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	results := m.Test()
	if len(results) == 0 {
		t.Fatal("no inline tests")
	}
	for _, r := range results {
		for _, f := range r.Fails {
			t.Errorf("line %d, %s: %s", r.Line, r.Name, f)
		}
	}
}
