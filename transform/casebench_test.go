package transform

import (
	"fmt"
	"testing"
)

// One event more of a case with a usual history.
func BenchmarkCaseEvent(b *testing.B) {
	d := newDrive(b, withCases(b))
	for _, line := range []string{tellAssigned, tellLeft, tellDelivered, tellPod, tellAsked, tellAgreed, tellDrafted, tellReleased} {
		d.give(d.told(line))
	}
	ev := d.told("stop.arrived 1-2 at=3T06:00 refs=shipment/1 stop=2 stop_type=delivery")
	before := d.st.buckets[bucketCase]["shipment/1"]
	r := d.p.run(d.st, d.out, d.entry())
	b.ReportAllocs()
	for i := range b.N {
		d.st.buckets[bucketCase]["shipment/1"] = before
		ev.ID = fmt.Sprint(i)
		if err := r.toCases(&ev); err != nil {
			b.Fatal(err)
		}
	}
}
