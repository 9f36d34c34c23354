package pipeline

// refusals says of which class the codes of targets are, and whom they concern (domain.md §4). What is not listed is the data of a
// document, which billing mends.
var refusals = map[string]struct{ class, owner string }{
	"PERIOD_CLOSED":    {"POLICY", "finance"},
	"CURRENCY_RATE":    {"POLICY", "finance"},
	"POST_CONFLICT":    {"DATA", "finance"},
	"UNKNOWN_CUSTOMER": {"MASTER", "master data"},
	"UNKNOWN_ACCOUNT":  {"MASTER", "master data"},
	"UNKNOWN_PRODUCT":  {"MASTER", "master data"},
	"UNKNOWN_TERM":     {"MASTER", "master data"},
	"UNKNOWN_TAX":      {"MASTER", "tax"},
	"UNSUPPORTED_TAX":  {"MASTER", "tax"},
}

// concerns is the class of a code that a target refuses with, and the team that hears of it.
func concerns(code string) (class, owner string) {
	if r, ok := refusals[code]; ok {
		return r.class, r.owner
	}
	return "DATA", "billing"
}
