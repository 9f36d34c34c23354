package pipeline

import (
	"fmt"
	"strings"

	"waybill/transform"
)

// claimed returns the company whose document has the posting's external id in the target already, and whether there is one. The ledger
// keeps companies apart, the target's search by the external id does not: what one company posted would pass for the
// other's. Master data of several companies may be one record, so only documents are asked.
func (s *state) claimed(p transform.Post) (by string, clash bool, err error) {
	if p.Lane != transform.LaneTransactional {
		return "", false, nil
	}
	k := key(p.Sink, p.Entity, p.ExternalID)
	raw, err := s.Get(bucketClaim, k)
	if err != nil || raw != nil || p.Company == "" {
		return string(raw), raw != nil && string(raw) != p.Company, err
	}
	// The first document of a company under this id: one without a company may have come before it.
	err = s.Scan(bucketAlias, key(p.ExternalID, "post/"), "", func(k string, _ []byte) (bool, error) {
		d, err := s.delivery(strings.TrimPrefix(k, key(p.ExternalID, "post/")))
		if err == nil && d != nil && d.Post.Sink == p.Sink && d.Post.Entity == p.Entity &&
			d.Post.ExternalID == p.ExternalID && d.Post.Company != p.Company {
			by, clash = d.Post.Company, true
		}
		return !clash, err
	})
	if err != nil || clash {
		return by, clash, err
	}
	return "", false, s.Put(bucketClaim, k, []byte(p.Company))
}

// parkClaimed parks a posting whose external id another company's document has.
func (o *output) parkClaimed(d *delivery, by string) error {
	of := func(company string) string {
		if company == "" {
			return "no company"
		}
		return "company " + company
	}
	p := &d.Post
	id, err := o.s.openException(originDelivery, transform.Problem{Fingerprint: "DELIVERY/" + p.ID, Class: "MAPPING", Code: "EXTERNAL_ID_SHARED",
		Title: fmt.Sprintf("%s of %s has the external id %s, which a document of %s has in %s.", subjectOf(*p), of(p.Company), p.ExternalID, of(by), p.Sink),
		Hint: "Nothing was sent. Make external_id apart by company in the mapping and activate it for the next ones; post this one by hand and discard it, " +
			"or retry it when the other document is gone.",
		Owner: "integration", Subject: subjectOf(*p), OrderKey: p.OrderKey, Amount: p.Amount}, p.ID, o.entry.Observed)
	if err != nil {
		return err
	}
	if d, err = o.s.delivery(p.ID); err != nil { // its queue may have made it a head
		return err
	}
	d.State, d.Exception = StateParked, id
	if err := o.s.behead(d); err != nil {
		return err
	}
	return o.s.putDelivery(d)
}
