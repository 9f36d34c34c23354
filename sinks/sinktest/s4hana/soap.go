package s4hana

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"waybill/sinks/sinktest"
)

const envelopeSpace = "http://schemas.xmlsoap.org/soap/envelope/"

// The elements of the messages that the services know, with their children.
var soapElements = map[string][]string{
	"JournalEntryBulkCreateRequest": {"MessageHeader", "JournalEntryCreateRequest"},
	"JournalEntryCreateRequest":     {"MessageHeader", "JournalEntry"},
	"MessageHeader":                 {"ID", "UUID", "ReferenceID", "ReferenceUUID", "CreationDateTime", "TestDataIndicator", "ReconciliationIndicator", "SenderBusinessSystemID", "RecipientBusinessSystemID", "SenderParty", "RecipientParty", "BusinessScope"},
	"JournalEntry": {"OriginalReferenceDocumentType", "OriginalReferenceDocumentLogicalSystem", "OriginalReferenceDocument", "ReversalReason", "ReversalReferenceDocument", "ReversalReferenceDocumentLogicalSystem",
		"BusinessTransactionType", "AccountingDocumentType", "DocumentReferenceID", "DocumentHeaderText", "CreatedByUser", "CompanyCode", "DocumentDate", "PostingDate", "PostingFiscalPeriod", "TaxReportingDate",
		"TaxDeterminationDate", "ExchangeRateDate", "ExchangeRate", "Reference1InDocumentHeader", "Reference2InDocumentHeader", "InvoiceReceiptDate", "Item", "DebtorItem", "CreditorItem", "ProductTaxItem"},
	"Item": {"ReferenceDocumentItem", "CompanyCode", "GLAccount", "ValueDate", "AmountInTransactionCurrency", "AmountInCompanyCodeCurrency", "DebitCreditCode", "DocumentItemText", "AssignmentReference", "TradingPartner",
		"Tax", "AccountAssignment", "HouseBank", "HouseBankAccount", "Reference1IDByBusinessPartner", "Reference2IDByBusinessPartner", "Reference3IDByBusinessPartner", "ProfitCenter"},
	"Tax":               {"TaxCode", "TaxJurisdiction", "TaxItemGroup", "TaxItemAcctgDocItemRef", "TaxCountry"},
	"AccountAssignment": {"CostCenter", "ProfitCenter", "Segment", "WBSElement", "InternalOrder", "SalesOrder", "SalesOrderItem", "FunctionalArea", "AccountAssignmentType"},
	"DebtorItem": {"ReferenceDocumentItem", "Debtor", "AltvRecnclnAccts", "AmountInTransactionCurrency", "AmountInCompanyCodeCurrency", "DebitCreditCode", "DocumentItemText", "AssignmentReference", "InvoiceReference", "InvoiceReferenceFiscalYear",
		"InvoiceItemReference", "CashDiscountTerms", "PaymentDetails", "DownPaymentTerms", "BusinessArea", "Tax", "Reference1IDByBusinessPartner", "Reference2IDByBusinessPartner", "Reference3IDByBusinessPartner"},
	"CashDiscountTerms": {"DueCalculationBaseDate", "PaymentTerms", "CashDiscount1Days", "CashDiscount1Percent", "CashDiscount2Days", "CashDiscount2Percent", "NetPaymentDays"},
	"PaymentDetails":    {"PaymentMethod", "PaymentReference", "PaymentBlockingReason", "BPBankAccountInternalID"},
	"DownPaymentTerms":  {"SpecialGLCode", "TargetSpecialGLCode", "TaxCode"},
	"ProductTaxItem":    {"TaxCode", "TaxItemGroup", "TaxJurisdiction", "AmountInTransactionCurrency", "AmountInCompanyCodeCurrency", "DebitCreditCode", "TaxBaseAmountInTransCrcy", "TaxBaseAmountInCoCodeCrcy", "ConditionType", "TaxCountry"},

	"BillingDocumentRequest": {"MessageHeader", "GlobalParameters", "BillableDocument"},
	"GlobalParameters":       {"ReferenceDocumentLogicalSystem"},
	"BillableDocument":       {"ReferenceDocument", "ReferenceDocumentType", "BillableDocumentItem"},
	"BillableDocumentItem": {"ReferenceDocumentItem", "BillingDocumentDate", "SalesDocumentType", "SalesDocumentItemCategory", "SalesOrganization", "DistributionChannel", "Division", "SoldToParty", "PayerParty", "Material",
		"BillingDocumentItemText", "BillingQuantity", "TransactionCurrency", "NetAmount", "TaxAmount", "CompanyCode", "DocumentReferenceID", "CustomerPaymentTerms", "PricingElement"},
	"PricingElement": {"ConditionType", "ConditionRateValue", "ConditionCurrency"},
}

// soap answers the services of SOAP 1.1. They need no CSRF token.
func (p *Product) soap(s *sinktest.Sim, w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/xml") {
		p.soapFault(w, "The Content-Type of a SOAP 1.1 message is text/xml")
		return
	}
	root, err := parseXML(body)
	if err != nil || root.name != "Envelope" || root.space != envelopeSpace {
		p.soapFault(w, fmt.Sprintf("XML Deserialization Error. Not a SOAP envelope: %v", err))
		return
	}
	messages := root.at("Body").below
	if len(messages) != 1 {
		p.soapFault(w, "XML Deserialization Error. The body holds one message")
		return
	}
	message := messages[0]
	if err := message.stranger(soapElements); err != nil {
		p.soapFault(w, "XML Deserialization Error. "+err.Error())
		return
	}
	switch {
	case strings.Contains(r.URL.Path, "journalentrycreaterequestconfi") && message.name == "JournalEntryBulkCreateRequest" && message.space == "http://sap.com/xi/SAPSCORE/SFIN":
		p.journalEntries(s, w, message)
	case strings.Contains(strings.ToLower(r.URL.Path), "billingdocumentrequest") && message.name == "BillingDocumentRequest" && message.space == "http://sap.com/xi/SD-BIL":
		p.billingRequest(s, message)
		w.WriteHeader(http.StatusAccepted) // whatever became of it
	default:
		p.soapFault(w, "Web service processing error; the address does not take the message "+message.name)
	}
}

func (p *Product) soapFault(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `<soap-env:Envelope xmlns:soap-env=%q><soap-env:Header/><soap-env:Body><soap-env:Fault><faultcode>soap-env:Client</faultcode><faultstring xml:lang="en">%s</faultstring></soap-env:Fault></soap-env:Body></soap-env:Envelope>`,
		envelopeSpace, escape(text))
}

// soapNames is what a message is about: an entry with a debtor is an invoice or a credit.
func soapNames(path string, body []byte) (entity, step string) {
	root, err := parseXML(body)
	if err != nil {
		return "", "post"
	}
	if strings.Contains(strings.ToLower(path), "billingdocumentrequest") {
		return "sales_invoice", "create"
	}
	return entityOf(root.at("Body", "JournalEntryBulkCreateRequest", "JournalEntryCreateRequest", "JournalEntry")), "post"
}

// entityOf says what a journal entry is in the words of the mapping.
func entityOf(entry *node) string {
	debtors := entry.all("DebtorItem")
	switch {
	case len(debtors) == 0 && entry.value("ReversalReferenceDocument") != "":
		return "credit_note"
	case len(debtors) == 0:
		return "journal_entry"
	case strings.HasPrefix(debtors[0].value("AmountInTransactionCurrency"), "-"):
		return "credit_note"
	}
	return "sales_invoice"
}

// known gives the answer to a message of this UUID again, within the window.
func (p *Product) known(id string) ([]byte, bool) {
	r, ok := p.answered[id]
	return r.body, ok && id != "" && time.Since(r.at) < p.options.Window
}
