package businesscentral

import (
	"github.com/shopspring/decimal"
)

// What a company must have before documents can be posted is set up here, past the API.

// Company is the id of a company, by its name; "" for none.
func (s *Simulator) Company(name string) string {
	for _, co := range s.companies {
		if co.name == name {
			return co.id
		}
	}
	return ""
}

// put adds a record to every company.
func (s *Simulator) put(set string, v func() values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, co := range s.companies {
		t := &transaction{s: s, co: co}
		t.insert(set, v())
		t.commit()
	}
}

// AddAccount adds a general ledger account.
func (s *Simulator) AddAccount(number, name string) {
	s.put("accounts", func() values {
		return values{"id": newID(), "number": number, "displayName": name, "accountType": "Posting", "directPosting": true}
	})
}

// AddItem adds an item of type Service.
func (s *Simulator) AddItem(number, name, taxGroup string) {
	s.put("items", func() values {
		return values{"id": newID(), "number": number, "displayName": name, "type": "Service", "taxGroupCode": taxGroup}
	})
}

// AddTax adds a tax group with a rate in percent.
func (s *Simulator) AddTax(code, name, percent string) {
	s.put("taxGroups", func() values { return values{"id": newID(), "code": code, "displayName": name, "taxType": "Sales Tax"} })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rates[code] = decimal.RequireFromString(percent)
}

// AddTaxArea adds a tax area.
func (s *Simulator) AddTaxArea(code, name string) {
	s.put("taxAreas", func() values { return values{"id": newID(), "code": code, "displayName": name, "taxType": "Sales Tax"} })
}

// AddPaymentTerm adds payment terms.
func (s *Simulator) AddPaymentTerm(code, name string) {
	s.put("paymentTerms", func() values { return values{"id": newID(), "code": code, "displayName": name} })
}

// AddCurrency adds a currency beside the local one, with its rounding precision, such as 0.01 or 1.
func (s *Simulator) AddCurrency(code, precision string) {
	s.put("currencies", func() values {
		return values{"id": newID(), "code": code, "displayName": code, "amountRoundingPrecision": decimal.RequireFromString(precision)}
	})
}

// AddJournal adds a general journal batch.
func (s *Simulator) AddJournal(code, name string) {
	s.put("journals", func() values { return values{"id": newID(), "code": code, "displayName": name} })
}

// AllowPosting sets the range of posting dates that are open, both included; "" for no bound.
func (s *Simulator) AllowPosting(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.to = from, to
}
