package e2e

// tableRow is a row of the table of failure cases: what goes wrong in the trade, and the code under which people hear of it ("" when
// nobody needs to).
type tableRow struct {
	name string
	code string
}

// failureTable is every row of the table, in its order. Each has a story in testdata/stories, or stands in untold.
var failureTable = []tableRow{
	{"Completion arrives before its load or assignment", "ORPHAN_COMPLETION"},
	{"Event matches no order", "UNMATCHED"},
	{"Out-of-order milestones", "TIME_REGRESSION"},
	{"Duplicate delivered events", "DUPLICATE_MILESTONE"},
	{"Backdated status", "BACKDATED"},
	{"Reassigned load", "REASSIGN_AFTER_DEPARTURE"},
	{"Cancelled after billing", "CANCEL_AFTER_BILLING"},
	{"Missing accessorial", "EXPECTED_CHARGE_MISSING"},
	{"Accessorial disputed", "DISPUTE_OPEN"},
	{"Detention without evidence", "DETENTION_EVIDENCE_MISSING"},
	{"POD missing", "POD_MISSING"},
	{"Partial delivery", "PARTIAL_DELIVERY"},
	{"Incomplete document", "INCOMPLETE_DOCUMENT"},
	{"Incomplete document", "TOTAL_MISMATCH"},
	{"Unknown customer or location", "UNKNOWN_CUSTOMER"},
	{"Unknown customer or location", "UNKNOWN_LOCATION"},
	{"Customer changed between dispatch and invoicing", "MASTER_DRIFT"},
	{"Tax code missing", "TAX_CODE_MISSING"},
	{"Currency mismatch", "CURRENCY_MISMATCH"},
	{"Rate or contract expired", "NO_CONTRACT"},
	{"Closed fiscal period", "PERIOD_CLOSED"},
	{"Rebill after posting", "REBILL"},
	{"Rebill before the original is posted", "REBILL_UNPOSTED_ORIGINAL"},
	{"Credit memo", "CREDIT_EXCEEDS_ORIGINAL"},
	{"ERP timeout", "POST_UNKNOWN"},
	{"Duplicate posting risk", "POST_CONFLICT"},
	{"ERP rate limit or outage", "TRANSIENT"},
	{"Consolidated invoice", "GROUP"},
	{"Summarised GL at day end", "BATCH_OUT_OF_BALANCE"},
	{"Hard or soft delete", "DELETED_AFTER_RELEASE"},
	{"Unmapped status or charge code", "UNMAPPED_CODE"},
	{"Source schema drift", "SCHEMA_CHANGED"},
	{"Master change breaks downstream", "INCOMPATIBLE_MASTER"},
}

// untold are the codes of rows that have no story yet, with the reason. A story takes its code out of here.
var untold = map[string]string{
	"BATCH_OUT_OF_BALANCE": "postings are single; summaries of a day come with a later issue",
}
