package transform

import "testing"

// A replacement waits until its original is credited in full: never are two of them open.
func TestAReplacementWaitsForTheWholeCredit(t *testing.T) {
	d := bulk(t)
	d.tx(billOf("5", "R", 10000))
	d.tx(billOf("5-A", "R", -6000))
	d.expect("before", d.events(), "invoice.released 5, credit_memo.issued 5-A")
	d.tx(billOf("5-B", "R", 9000))
	d.expect("a part is credited", d.events(), "")
	c, err := CorrectionOf(d.st, "invoice/5-B")
	if err != nil || c == nil || c.Root != "invoice/5" || len(c.Parts) != 3 {
		t.Fatalf("%+v %v", c, err)
	}
	if p := c.Parts[2]; p.Ref != "invoice/5-B" || p.Type != "invoice.rebilled" || p.Original != "invoice/5" ||
		p.Waits != "invoice/5-B replaces invoice/5, of which 40.00 USD is not credited yet." {
		t.Errorf("%+v", p)
	}
	d.wait(2 * 60e9)
	d.expect("people hear of it", d.problems(), "CORRECTION_PENDING invoice/5-B")
	d.tx(billOf("5-C", "R", -4000))
	d.expect("all is credited", d.events(), "credit_memo.issued 5-C, invoice.rebilled 5-B")
	d.expect("nothing is left open", d.problems(), "")
}

// The alarm about a document that was voided after its release ends when all of it is credited.
func TestACreditSettlesAVoidAfterPosting(t *testing.T) {
	d := bulk(t)
	d.tx(billOf("5", "R", 10000))
	d.tx("update gcbk.bills bill_no=5 stat=V")
	d.expect("voided", d.problems(), "VOID_AFTER_POSTING invoice/5")
	d.tx(billOf("5-A", "R", -6000))
	d.expect("a part is credited", d.problems(), "VOID_AFTER_POSTING invoice/5")
	d.tx(billOf("5-C", "R", -4000))
	d.expect("all is credited", d.problems(), "")
}

// An attempt that failed, and goods that were refused, are no delivery: the case says so.
func TestAFailedDeliveryIsNone(t *testing.T) {
	for _, c := range []struct{ tell, want string }{
		{"", "it waits for its delivery"},
		{"shipment.delivery_failed 7 at=2T14:00 reason=CLOSED", "it waits for another attempt: the delivery of 2026-10-02 14:00 UTC failed (CLOSED)"},
		{"shipment.refused 7 at=2T15:00", "it was refused at 2026-10-02 15:00 UTC: it waits for another delivery, or for dispatch to cancel it"},
		{"shipment.returned 7 at=3T15:00", "it went back to the shipper at 2026-10-03 15:00 UTC: it waits for dispatch to cancel it"},
	} {
		d := newDrive(t, withCases(t))
		d.give(d.told("shipment.departed 7 at=1T10:00"))
		if c.tell != "" {
			d.give(d.told(c.tell))
		}
		if got := d.found("shipment/7").Checklist; len(got) == 0 || got[0].Met || got[0].Why != c.want {
			t.Errorf("%s: %+v", c.tell, got)
		}
	}
}
