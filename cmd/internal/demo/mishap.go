package demo

import (
	"fmt"
	"time"
)

// newChargeCode is a charge that the second version of the mapping knows, and the first does not.
const newChargeCode = "TRP"

// missingState is a state that the ERP's table lacks.
const missingState = "PR"

// mishaps plays what goes wrong, and says how people mend it: five documents, which are all released, and a customer.
func (d *days) mishaps() {
	d.unknownCustomer()
	d.unmappedCodes()
	d.wrongTotal()
	d.missingState()
}

// troubled is a draft on a past load that can still be spoilt before it is written.
func (d *days) troubled(c customer, from, to float64) invoice {
	i := d.newInvoice(d.pastLoad(c), d.between(from, to))
	i.date = d.dates[workingDays-1].Format(time.DateOnly)
	return i
}

func (d *days) publish(i invoice) {
	d.draft(i, false, false)
	d.release(i)
}

// unknownCustomer bills a code that bill_cust does not have, twice.
func (d *days) unknownCustomer() {
	c := d.carrier.customers[len(d.carrier.customers)-1]
	repair := Repair{Code: "UNKNOWN_CUSTOMER", Where: InBilling, Story: fmt.Sprintf("billing used the code %s, which nobody had entered into bill_cust: it is account %s", c.code, c.account)}
	for range 2 {
		i := d.troubled(c, 0.2, 0.5)
		d.publish(i)
		repair.Waiting = append(repair.Waiting, i.number)
	}
	repair.Transactions = []Transaction{{Database: Billing, What: "code " + c.code + " entered", Statements: []Statement{insertCode(c.code, c.account, "2019-01-01", "")}}}
	d.script.Repairs = append(d.script.Repairs, repair)
}

// unmappedCodes bills a charge with a slip of the keys, and another one that is new.
func (d *days) unmappedCodes() {
	slip := d.troubled(d.carrier.customers[7], 0.25, 0.45)
	slip.lines = append(slip.lines, line{"DTN", "Detention", 1500, 65_0000, false})
	d.publish(slip)
	d.script.Repairs = append(d.script.Repairs, Repair{Code: "UNMAPPED_CODE", Waiting: []string{slip.number}, Where: InBilling,
		Story: fmt.Sprintf("a line of invoice %s says DTN where DET was meant", slip.number),
		Transactions: []Transaction{{Database: Billing, What: "DTN on " + slip.number + " becomes DET", Statements: []Statement{
			{"UPDATE inv_line SET chg_cd = 'DET' WHERE inv_no = ? AND chg_cd = 'DTN'", []any{slip.number}}}}}})

	fresh := d.troubled(d.carrier.customers[9], 0.25, 0.45)
	fresh.lines = append(fresh.lines, line{newChargeCode, "Tarping", 1000, 85_0000, false})
	d.publish(fresh)
	d.script.Repairs = append(d.script.Repairs, Repair{Code: "UNMAPPED_CODE", Waiting: []string{fresh.number}, Where: InMapping,
		Story: fmt.Sprintf("invoice %s has the new charge %s, which the mapping's next version knows", fresh.number, newChargeCode)})
}

// wrongTotal releases a document whose header says ten dollars more than its lines.
func (d *days) wrongTotal() {
	i := d.troubled(d.carrier.customers[5], 0.2, 0.4)
	i.off = 1000
	d.publish(i)
	d.script.Repairs = append(d.script.Repairs, Repair{Code: "TOTAL_MISMATCH", Waiting: []string{i.number}, Where: InBilling,
		Story: fmt.Sprintf("the total of invoice %s is 10.00 more than its lines and its tax", i.number),
		Transactions: []Transaction{{Database: Billing, What: "total of " + i.number + " corrected", Statements: []Statement{
			{"UPDATE inv_hdr SET inv_amt = ? WHERE inv_no = ?", []any{i.total().String(), i.number}}}}}})
}

// missingState enters a customer in a state that the ERP does not know.
func (d *days) missingState() {
	c := newCustomer(d.rng, 104420, "Isla Verde Imports")
	c.city, c.state, c.zip = "San Juan", missingState, "00901"
	t := d.between(0.1, 0.3)
	d.do(t, Dispatch, "customer "+c.account+" entered", insertCustomer(c, d.local(t)))
	d.script.Repairs = append(d.script.Repairs, Repair{Code: "UNKNOWN_STATE", Waiting: []string{c.account}, Where: InERP,
		Story: fmt.Sprintf("customer %s is in the state %s, which the accountant has now entered in the ERP", c.account, missingState)})
}
