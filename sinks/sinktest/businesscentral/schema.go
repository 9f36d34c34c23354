package businesscentral

import (
	"fmt"
	"strconv"
	"strings"
)

// property is a property of a resource type.
type property struct {
	name     string
	kind     string // text, guid, date, decimal, bool, int, time
	most     int    // characters of a text; 0 without bound
	readonly bool
	options  []string // of an enumeration
}

// resource is a set of the API.
type resource struct {
	set    string
	kind   string // its type in metadata, without the namespace
	entity string // word of the mapping, for the ledger and the faults; "" for what is only set up
	table  string // its table, as messages name it
	key    string // the property that is unique beside the id; "" for none
	series string // prefix of the numbers that it gives out; "" when the key must be given
	lines  string // set of its lines
	parent string // property of a line that names its document
	closed bool   // it is set up and not written through the API here
	props  map[string]property
}

// Properties are written as "name kind [most] [ro] [a|b|c]". Lengths are [K].
var resources = func() map[string]*resource {
	all := map[string]*resource{}
	for _, r := range []*resource{
		{set: "companies", kind: "company", table: "Company", closed: true, props: props("id guid ro", "systemVersion text ro", "name text 30", "displayName text 250", "businessProfileId text ro")},
		{set: "customers", kind: "customer", entity: "customer", table: "Customer", key: "number", series: "C", props: props("id guid", "number text 20", "displayName text 100",
			"type text Company|Person", "addressLine1 text 100", "addressLine2 text 50", "city text 30", "state text 30", "country text 10", "postalCode text 20", "phoneNumber text 30",
			"email text 80", "website text 80", "salespersonCode text 20", "balanceDue decimal ro", "creditLimit decimal", "taxLiable bool", "taxAreaId guid", "taxAreaDisplayName text ro",
			"taxRegistrationNumber text 20", "currencyId guid", "currencyCode text 10", "paymentTermsId guid", "shipmentMethodId guid", "paymentMethodId guid",
			"blocked text |Ship|Invoice|All", "lastModifiedDateTime time ro")},
		{set: "locations", kind: "location", entity: "location", table: "Location", key: "code", props: props("id guid", "code text 10", "displayName text 100", "contact text 100",
			"addressLine1 text 100", "addressLine2 text 50", "city text 30", "state text 30", "country text 10", "postalCode text 20", "phoneNumber text 30", "email text 80",
			"website text 80", "lastModifiedDateTime time ro")},
		{set: "items", kind: "item", entity: "item", table: "Item", key: "number", series: "I", props: props("id guid", "number text 20", "displayName text 100",
			"type text Inventory|Service|Non-Inventory", "itemCategoryId guid", "itemCategoryCode text 20", "blocked bool", "gtin text 14", "inventory decimal ro", "unitPrice decimal",
			"priceIncludesTax bool", "unitCost decimal", "taxGroupId guid", "taxGroupCode text 20", "baseUnitOfMeasureId guid", "baseUnitOfMeasureCode text 10",
			"generalProductPostingGroupId guid", "generalProductPostingGroupCode text 20", "inventoryPostingGroupId guid", "inventoryPostingGroupCode text 20", "lastModifiedDateTime time ro")},
		{set: "taxAreas", kind: "taxArea", entity: "tax_code", table: "Tax Area", key: "code", props: props("id guid", "code text 20", "displayName text 100", "taxType text ro", "lastModifiedDateTime time ro")},
		{set: "taxGroups", kind: "taxGroup", entity: "tax_code", table: "Tax Group", key: "code", props: props("id guid", "code text 20", "displayName text 100", "taxType text ro", "lastModifiedDateTime time ro")},
		{set: "currencies", kind: "currency", table: "Currency", key: "code", closed: true, props: props("id guid", "code text 10", "displayName text 30", "symbol text 10", "amountDecimalPlaces text", "amountRoundingPrecision decimal", "lastModifiedDateTime time ro")},
		{set: "paymentTerms", kind: "paymentTerm", table: "Payment Terms", key: "code", props: props("id guid", "code text 10", "displayName text 100", "dueDateCalculation text 32", "discountDateCalculation text 32", "discountPercent decimal", "calculateDiscountOnCreditMemos bool", "lastModifiedDateTime time ro")},
		{set: "accounts", kind: "account", table: "G/L Account", key: "number", closed: true, props: props("id guid", "number text 20", "displayName text 100", "category text", "subCategory text 80", "blocked bool", "accountType text", "directPosting bool", "netChange decimal ro", "lastModifiedDateTime time ro")},
		{set: "generalLedgerEntries", kind: "generalLedgerEntry", table: "G/L Entry", closed: true, props: props("id guid ro", "entryNumber int ro", "postingDate date ro", "documentNumber text ro", "documentType text ro", "accountId guid ro", "accountNumber text ro", "description text ro", "debitAmount decimal ro", "creditAmount decimal ro", "lastModifiedDateTime time ro")},
		documentResource("salesInvoices", "salesInvoice", "sales_invoice", "Sales Invoice", "invoiceDate", "salesInvoiceLines", "orderId guid ro", "orderNumber text ro", "customerPurchaseOrderReference text 35", "remainingAmount decimal ro",
			"shipToName text 100", "shipToContact text 100", "shipToAddressLine1 text 100", "shipToAddressLine2 text 50", "shipToCity text 30", "shipToCountry text 10", "shipToState text 30", "shipToPostCode text 20"),
		documentResource("salesCreditMemos", "salesCreditMemo", "credit_note", "Sales Credit Memo", "creditMemoDate", "salesCreditMemoLines", "invoiceId guid", "invoiceNumber text 20", "customerReturnReasonId guid"),
		lineResource("salesInvoiceLines", "salesInvoiceLine", "sales_invoice", "Sales Invoice Line"),
		lineResource("salesCreditMemoLines", "salesCreditMemoLine", "credit_note", "Sales Credit Memo Line"),
		{set: "journals", kind: "journal", entity: "journal_entry", table: "Gen. Journal Batch", key: "code", lines: "journalLines", props: props("id guid", "code text 10", "displayName text 100", "balancingAccountId guid", "balancingAccountNumber text 20", "lastModifiedDateTime time ro")},
		{set: "journalLines", kind: "journalLine", entity: "journal_entry", table: "Gen. Journal Line", parent: "journalId", props: props("id guid", "journalId guid", "journalDisplayName text ro", "lineNumber int",
			"accountType text G/L_Account|Customer|Vendor|Bank_Account|Fixed_Asset|IC_Partner|Employee", "accountId guid", "accountNumber text 20", "postingDate date", "documentNumber text 20", "externalDocumentNumber text 35",
			"amount decimal", "description text 100", "comment text 250", "taxCode text 20", "balanceAccountType text G/L_Account|Customer|Vendor|Bank_Account|Fixed_Asset|IC_Partner|Employee",
			"balancingAccountId guid", "balancingAccountNumber text 20", "lastModifiedDateTime time ro")},
	} {
		all[r.set] = r
	}
	return all
}()

func documentResource(set, kind, entity, table, date, lines string, more ...string) *resource {
	return &resource{set: set, kind: kind, entity: entity, table: table, lines: lines, props: props(append([]string{"id guid", "number text ro", "externalDocumentNumber text 35", date + " date", "postingDate date",
		"dueDate date", "customerId guid", "customerNumber text 20", "customerName text ro", "billToName text ro", "billToCustomerId guid", "billToCustomerNumber text 20", "sellToAddressLine1 text 100",
		"sellToAddressLine2 text 50", "sellToCity text 30", "sellToCountry text 10", "sellToState text 30", "sellToPostCode text 20", "billToAddressLine1 text ro", "billToAddressLine2 text ro", "billToCity text ro",
		"billToCountry text ro", "billToState text ro", "billToPostCode text ro", "currencyId guid", "currencyCode text 10", "shortcutDimension1Code text 20", "shortcutDimension2Code text 20", "paymentTermsId guid",
		"shipmentMethodId guid", "salesperson text 20", "pricesIncludeTax bool ro", "discountAmount decimal", "discountAppliedBeforeTax bool", "totalAmountExcludingTax decimal ro", "totalTaxAmount decimal ro",
		"totalAmountIncludingTax decimal ro", "status text ro", "lastModifiedDateTime time ro", "phoneNumber text 30", "email text 80"}, more...)...)}
}

func lineResource(set, kind, entity, table string) *resource {
	return &resource{set: set, kind: kind, entity: entity, table: table, parent: "documentId", props: props("id guid", "documentId guid", "sequence int", "itemId guid", "accountId guid",
		"lineType text Comment|Account|Item|Resource|Fixed_Asset|Charge", "lineObjectNumber text 20", "description text 100", "description2 text 50", "unitOfMeasureId guid", "unitOfMeasureCode text 10", "unitPrice decimal",
		"quantity decimal", "discountAmount decimal", "discountPercent decimal", "discountAppliedBeforeTax bool ro", "amountExcludingTax decimal ro", "taxCode text 20", "taxPercent decimal ro", "totalTaxAmount decimal ro",
		"amountIncludingTax decimal ro", "invoiceDiscountAllocation decimal ro", "netAmount decimal ro", "netTaxAmount decimal ro", "netAmountIncludingTax decimal ro", "shipmentDate date", "itemVariantId guid", "locationId guid")}
}

func props(specs ...string) map[string]property {
	all := map[string]property{}
	for _, spec := range specs {
		words := strings.Split(spec, " ")
		p := property{name: words[0], kind: words[1]}
		for _, w := range words[2:] {
			if n, err := strconv.Atoi(w); err == nil {
				p.most = n
			} else if w == "ro" {
				p.readonly = true
			} else if strings.Contains(w, "|") {
				p.options = strings.Split(strings.ReplaceAll(w, "_", " "), "|")
			} else {
				panic(fmt.Sprintf("the property %q has the word %q", spec, w))
			}
		}
		all[p.name] = p
	}
	return all
}
