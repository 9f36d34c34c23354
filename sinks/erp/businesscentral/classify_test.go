package businesscentral

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

var update = flag.Bool("update", false, "write the golden files")

// answers are what Business Central says, in its form; the codes and what they are said of are those of its list of error codes.
var answers = []struct {
	status     int
	code, text string
}{
	{200, "", ""}, {201, "", ""}, {204, "", ""},
	{400, "BadRequest_InvalidRequestUrl", "An incompatible property definition already exists"},
	{404, "BadRequest_NotFound", "Bad Request - Error in query syntax"},
	{404, "BadRequest_ResourceNotFound", "Resource not found for the segment 'salesInvoice'"},
	{400, "BadRequest_InvalidOperation", "Control 'Last Date Modified' is read-only"},
	{400, "BadRequest_InvalidOperation", "Control 'id' is read-only"},
	{400, "BadRequest", "Unable to convert value to Date"},
	{400, "BadRequest_InvalidToken", "Could not validate the client concurrency token required by the service"},
	{400, "BadRequest_RequiredParamNotProvided", "Field 'taxable' must not be blank or empty."},
	{409, "Request_EntityChanged", "Another user has already changed the record."},
	{400, "BadRequest_MethodNotAllowed", "'POST' requests for 'companies' are not allowed"},
	{400, "BadRequest_MethodNotImplemented", "Entity does not support bound actions"},
	{400, "Internal_DataNotFoundFilter", "There is no Cust. Ledger Entry within the filter."},
	{404, "Internal_RecordNotFound", "The Customer does not exist. Identification fields and values: No.='104377'"},
	{400, "Internal_InvalidTableRelation", "The field Account No. of table Sales Line contains a value (ABL001) that cannot be found in the related table (G/L Account)."},
	{500, "Internal_ServerError", "Cannot establish a connection to the SQL Server/Database."},
	{400, "Internal_ServerError", "The operation could not complete because a record was locked by another user."},
	{400, "Internal_EntityWithSameKeyExists", "The Sales Header already exists. Identification fields and values: Document Type='Invoice',No.='1001'"},
	{400, "Internal_CompanyNotFound", "Cannot process the request because the default company cannot be found."},
	{500, "Internal_TenantUnavailable", "The tenant 'x' is not accessible"},
	{400, "Application_DialogException", "A customerNumber or a customerID must be provided."},
	{400, "Application_DialogException", "You may not enter numbers manually. If you want to enter numbers manually, please activate Manual Nos. in No. Series CUST."},
	{400, "Application_DialogException", "Posting Date is not within your range of allowed posting dates."},
	{400, "Application_FieldValidationException", "Posting Date is not within your range of allowed posting dates in Sales Header."},
	{400, "Application_FieldValidationException", "Customer Posting Group must have a value in Customer: No.=C00690. It cannot be zero or empty."},
	{400, "Application_StringExceededLength", "The length of the string is 57, but it must be less than or equal to 50 characters."},
	{400, "Application_InvalidGUID", "Invalid format of GUID string."},
	{400, "Application_CallbackNotAllowed", "A client callback to show a confirmation dialog box was issued."},
	{400, "Application_FilterErrorException", "The filter is not valid for the No. field on the Item table."},
	{401, "Authentication_InvalidCredentials", "The server has rejected the client credentials"},
	{403, "Authorization_RequestDenied", "The user has no permission"},
	{400, "Unknown", "Something that nobody has written down"},
	{400, "Novel_Code", "A code of a later version"},
	{401, "", "<html>"}, {403, "", "<html>"}, {404, "", "<html>no such page</html>"}, {408, "", ""}, {409, "", ""}, {413, "", ""}, {418, "", ""}, {429, "", ""},
	{500, "", ""}, {502, "", ""}, {503, "", ""}, {504, "", ""}, {302, "", ""},
}

func body(status int, code, text string) web.Answer {
	a := web.Answer{Status: status, Sent: true, Body: []byte(text)}
	if code != "" {
		a.Body = fmt.Appendf(nil, `{"error":{"code":%q,"message":%q}}`, code, text+"  CorrelationId:  0b1c2d3e-0000-1111-2222-333344445555.")
	}
	return a
}

func row1(b *strings.Builder, said string, o *sinks.Outcome) {
	if o == nil {
		o = &sinks.Outcome{Class: sinks.Applied}
	}
	fmt.Fprintf(b, "%-66s %-12s %-16s %-6v %s\n", said, o.Class, o.Code, o.Outage, o.Field)
}

// Every line of the table, then what the product says, as a write and as a read.
func TestClassifyGolden(t *testing.T) {
	var b strings.Builder
	b.WriteString("# the table: status and code, class, code of the outcome, outage\n")
	for i, c := range cases {
		code := strings.Replace(c.Code, "*", "Anything", 1)
		o := web.Classify(cases, web.Said{Status: c.From, Code: code})
		if o.Class != c.Class || o.Code != c.As || o.Hint != c.Hint {
			t.Errorf("line %d (%d %s) is hidden by one before it: %s %s", i, c.From, c.Code, o.Class, o.Code)
		}
		if c.Class != sinks.Applied && c.Hint == "" {
			t.Errorf("line %d (%d %s) says nothing to do", i, c.From, c.Code)
		}
		row1(&b, fmt.Sprintf("%d-%d %s", c.From, c.To, c.Code), &o)
	}
	for _, reads := range []bool{false, true} {
		fmt.Fprintf(&b, "\n# what the product says to a request that reads: %v\n", reads)
		for _, a := range answers {
			row1(&b, strings.TrimSpace(fmt.Sprintf("%d %s %s", a.status, a.code, web.Clip(a.text, 12))), classify(body(a.status, a.code, a.text), reads))
		}
	}
	file := filepath.Join("testdata", "classify.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("%s differs (%v); run the test with -update and read the difference\n%s", file, err, b.String())
	}
}

// What is not in the table is unknown: never refused, never applied.
func TestWhatNobodyKnowsIsUnknown(t *testing.T) {
	for status := range 1000 {
		if status >= 200 && status <= 204 {
			continue
		}
		o := classify(body(status, "Novel_Code", "x"), false)
		if o == nil || o.Class == sinks.Applied || o.Class == sinks.Rejected && status != 413 {
			t.Errorf("%d: %+v", status, o)
		}
	}
}

func TestWaitIsKept(t *testing.T) {
	a := body(503, "", "")
	a.Wait = time.Minute
	if o := classify(a, false); o.Class != sinks.Unknown || o.Wait != time.Minute || !o.Outage {
		t.Errorf("%+v", o)
	}
}
