package netsuite

import "strings"

// form is what a field holds.
type form int

// The forms.
const (
	text form = iota
	truth
	number
	date
	moment
	reference  // {"id": "7"}, or {"externalId": "x"}
	references // {"items": [{"id": "7"}]}
	object     // a subrecord
	sublist    // {"items": [{…}]}
)

type field struct {
	form   form
	to     []string         // record types that a reference may name
	fields map[string]field // of an object, or of a sublist's line
	fixed  bool             // the product sets it
	most   int              // characters
}

func fixed(f form) field              { return field{form: f, fixed: true} }
func to(kinds ...string) field        { return field{form: reference, to: kinds} }
func lines(of map[string]field) field { return field{form: sublist, fields: of} }

// kind is a record type.
type kind struct {
	name     string
	entity   string // in the words of the ledger; "" when it is not in it
	fields   map[string]field
	required []string
	readOnly bool   // for clients
	label    string // the field that people read
	finish   func(*write, *record, map[string]any) *problem
}

var itemKinds = []string{"serviceSaleItem", "inventoryItem", "nonInventorySaleItem"}

func itemKind(name string) *kind {
	return &kind{name: name, entity: "item", label: "itemId", required: []string{"itemId"}, finish: finishItem, fields: map[string]field{
		"itemId": {most: 60}, "displayName": {}, "salesDescription": {most: 999}, "incomeAccount": to("account"), "expenseAccount": to("account"), "assetAccount": to("account"), "cogsAccount": to("account"),
		"taxSchedule": to("taxSchedule"), "subsidiary": {form: references, to: []string{"subsidiary"}}, "includeChildren": {form: truth}, "location": to("location"), "salesTaxCode": to("salesTaxItem"),
		"class": to("classification"), "department": to("department"), "isInactive": {form: truth}, "upcCode": {}, "weight": {form: number}}}
}

var addressFields = map[string]field{"addr1": {most: 150}, "addr2": {}, "addr3": {}, "addressee": {most: 83}, "attention": {}, "city": {most: 50}, "state": {}, "zip": {most: 36}, "addrPhone": {},
	"country": {form: reference, to: []string{"country"}}, "override": {form: truth}, "addrText": fixed(text)}

var documentFields = map[string]field{
	"tranId": {most: 45}, "entity": to("customer"), "tranDate": {form: date}, "postingPeriod": to("accountingPeriod"), "subsidiary": to("subsidiary"), "currency": to("currency"),
	"exchangeRate": {form: number}, "memo": {most: 4000}, "otherRefNum": {most: 45}, "location": to("location"), "class": to("classification"), "department": to("department"), "account": to("account"),
	"taxItem": to("salesTaxItem"), "isTaxable": {form: truth}, "total": fixed(number), "subtotal": fixed(number), "taxTotal": fixed(number), "status": fixed(reference), "createdDate": fixed(moment),
	"item": lines(lineFields)}

var lineFields = map[string]field{"line": {form: number}, "item": to(itemKinds...), "description": {most: 4000}, "quantity": {form: number}, "rate": {form: number}, "amount": {form: number},
	"taxCode": to("salesTaxItem"), "taxRate1": {form: number}, "tax1Amt": {form: number}, "grossAmt": fixed(number), "isTaxable": {form: truth}, "location": to("location"), "class": to("classification"),
	"department": to("department"), "price": to("priceLevel")}

func with(base map[string]field, more map[string]field) map[string]field {
	all := map[string]field{}
	for _, m := range []map[string]field{base, more} {
		for name, f := range m {
			all[name] = f
		}
	}
	return all
}

// kinds are the record types, by their names in an address.
var kinds = map[string]*kind{}

func init() {
	for _, k := range []*kind{
		{name: "customer", entity: "customer", label: "entityId", finish: finishCustomer, fields: map[string]field{
			"entityId": {most: 80}, "companyName": {most: 83}, "isPerson": {form: truth}, "firstName": {}, "lastName": {}, "email": {most: 254}, "phone": {most: 32}, "fax": {}, "url": {}, "comments": {most: 4000},
			"subsidiary": to("subsidiary"), "currency": to("currency"), "terms": to("term"), "accountNumber": {most: 99}, "taxItem": to("salesTaxItem"), "taxable": {form: truth}, "resaleNumber": {},
			"vatRegNumber": {most: 20}, "creditLimit": {form: number}, "isInactive": {form: truth}, "category": to("customerCategory"), "receivablesAccount": to("account"), "dateCreated": fixed(moment), "balance": fixed(number),
			"defaultTaxReg": {}, "addressBook": lines(map[string]field{"line": {form: number}, "label": {}, "defaultBilling": {form: truth}, "defaultShipping": {form: truth}, "isResidential": {form: truth},
				"addressBookAddress": {form: object, fields: addressFields}})}},
		{name: "location", entity: "location", label: "name", required: []string{"name"}, fields: map[string]field{"name": {most: 31}, "subsidiary": {form: references, to: []string{"subsidiary"}}, "isInactive": {form: truth},
			"makeInventoryAvailable": {form: truth}, "tranPrefix": {}, "mainAddress": {form: object, fields: addressFields}}},
		itemKind("serviceSaleItem"), itemKind("inventoryItem"), itemKind("nonInventorySaleItem"),
		{name: "salesTaxItem", entity: "tax_code", label: "itemId", required: []string{"itemId", "rate"}, fields: map[string]field{"itemId": {most: 31}, "rate": {form: number}, "description": {}, "taxAgency": {}, "isInactive": {form: truth},
			"taxAccount": to("account")}},
		{name: "invoice", entity: "sales_invoice", label: "tranId", required: []string{"entity"}, finish: finishInvoice, fields: with(documentFields, map[string]field{"terms": to("term"), "dueDate": {form: date},
			"createdFrom": fixed(reference), "amountPaid": fixed(number), "amountRemaining": fixed(number)})},
		{name: "creditMemo", entity: "credit_note", label: "tranId", required: []string{"entity"}, finish: finishCredit, fields: with(documentFields, map[string]field{"createdFrom": to("invoice"), "applied": fixed(number),
			"unapplied": fixed(number), "apply": lines(map[string]field{"line": {form: number}, "apply": {form: truth}, "doc": to("invoice"), "amount": {form: number}})})},
		{name: "journalEntry", entity: "journal_entry", label: "tranId", required: []string{"subsidiary"}, finish: finishJournal, fields: map[string]field{"tranId": {most: 45}, "tranDate": {form: date}, "postingPeriod": to("accountingPeriod"),
			"subsidiary": to("subsidiary"), "currency": to("currency"), "exchangeRate": {form: number}, "memo": {most: 4000}, "approved": {form: truth}, "reversalDate": {form: date}, "createdDate": fixed(moment), "total": fixed(number),
			"line": lines(map[string]field{"line": {form: number}, "account": to("account"), "debit": {form: number}, "credit": {form: number}, "memo": {most: 4000}, "entity": to("customer"), "location": to("location"),
				"class": to("classification"), "department": to("department")})}},
		{name: "subsidiary", label: "name", required: []string{"name"}, readOnly: true, fields: map[string]field{"name": {}, "currency": to("currency"), "isInactive": {form: truth}, "country": {form: reference, to: []string{"country"}}}},
		{name: "accountingPeriod", label: "periodName", required: []string{"startDate", "endDate"}, readOnly: true, fields: map[string]field{"periodName": {}, "startDate": {form: date}, "endDate": {form: date}, "closed": {form: truth},
			"isYear": {form: truth}, "isQuarter": {form: truth}, "isAdjust": {form: truth}}},
		{name: "currency", label: "name", required: []string{"symbol"}, readOnly: true, fields: map[string]field{"name": {}, "symbol": {}, "currencyPrecision": {form: number}, "isInactive": {form: truth}}},
		{name: "account", label: "acctName", required: []string{"acctNumber"}, readOnly: true, fields: map[string]field{"acctNumber": {}, "acctName": {}, "acctType": {}, "isInactive": {form: truth}}},
		{name: "term", label: "name", required: []string{"name"}, readOnly: true, fields: map[string]field{"name": {}, "daysUntilNetDue": {form: number}, "isInactive": {form: truth}}},
		{name: "taxSchedule", label: "name", readOnly: true, fields: map[string]field{"name": {}}},
		{name: "department", label: "name", readOnly: true, fields: map[string]field{"name": {}}},
		{name: "classification", label: "name", readOnly: true, fields: map[string]field{"name": {}}},
	} {
		k.fields["externalId"], k.fields["lastModifiedDate"], k.fields["customForm"] = field{}, fixed(moment), field{form: reference}
		kinds[k.name] = k
	}
}

// field finds a field of a record type; custom fields are those that the account has.
func (s *Server) field(k *kind, fields map[string]field, name string) (field, bool) {
	f, ok := fields[name]
	if ok || !strings.HasPrefix(name, "cust") {
		return f, ok
	}
	for _, custom := range s.options.CustomFields[k.name] {
		if custom == name {
			return field{}, true
		}
	}
	return field{}, false
}
