package s4hana

import (
	"strings"
	"testing"
	"time"

	"waybill/sinks/web"
)

func good() Config {
	return Config{URL: "https://my300000-api.s4hana.cloud.sap", Company: "1010", Tax: "TX", ExemptTax: "EX", Auth: web.AuthConfig{Basic: &web.Basic{User: "WAYBILL", Password: web.Plain("Welcome1")}},
		TaxCodes:     map[string]TaxCode{"TX": {Code: "O1", Rate: "8.25"}, "EX": {Code: "O0", Rate: "0"}, "CITY": {Code: "O2", Rate: "1"}},
		PaymentTerms: map[string]string{"NET 30": "NT30"}, Partner: Partner{ReconciliationAccount: "12100000", TaxType: "US1"}}
}

func TestConfigValidate(t *testing.T) {
	if err := good().Validate(); err != nil {
		t.Error(err)
	}
	if err := good().withDefaults().Validate(); err != nil {
		t.Error(err)
	}
	bad := good()
	bad.URL, bad.Client, bad.Company, bad.Timeout, bad.Horizon, bad.Repeatability, bad.Invoice, bad.JournalPath, bad.CreatedBy, bad.Tax = "https://u:pw@host", "1", "10-1", -1, 25*time.Hour, "oasis", "billing_request", "x", "a user", "nothing"
	bad.Auth = web.AuthConfig{Bearer: &web.Bearer{}}
	bad.DocumentTypes = DocumentTypes{"d", "x", "y"}
	bad.TaxCodes = map[string]TaxCode{"T": {Code: "toolong", Rate: "101"}}
	bad.ExemptTax, bad.Partner.Language = "", "english"
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"url", "auth", "client", "company", "timeout", "horizon", "repeatability", "invoice", "journal_path", "created_by", "tax", "document_types.invoice", "document_types.credit", "document_types.journal",
		"tax_codes.T.code", "tax_codes.T.rate", "partner.language"} {
		if !strings.Contains("\n"+err.Error(), "\n"+field+": found ") {
			t.Errorf("nothing about %s in\n%v", field, err)
		}
	}
	if strings.Contains(err.Error(), "pw") || !strings.Contains(err.Error(), "none is guessed") {
		t.Error(err)
	}
}
