package erp

import (
	"regexp"
	"strings"
	"time"

	"waybill/sinks"
)

// A fault is what Tryton, or the way to it, said instead of a result.
type fault struct {
	Kind string        // where it came from: see the kinds below, or Tryton's own: UserError, UserWarning, …
	Text string        // what it said, bounded
	Name string        // name of a UserWarning, to acknowledge it by
	Wait time.Duration // asked for by Retry-After, by a proxy before Tryton
}

// Kinds that are not Tryton's own words.
const (
	kindDial  = "dial"      // no connection: nothing was sent
	kindCut   = "cut"       // sent, and no whole answer came back
	kindLogin = "login"     // the login call, with the HTTP status as text
	kindHTTP  = "http"      // another call, with the HTTP status as text
	kindError = "exception" // HTTP 200 with the text of a Python exception
)

// The codes that callers in this package branch on.
const (
	codeOutage      = "OUTAGE"
	codeExists      = "EXISTS"
	codeStaleName   = "STALE_NAME"
	codeNotFound    = "NOT_FOUND"
	codeWarning     = "WARNING"
	codeNumberOrder = "NUMBER_ORDER"
	codePeriod      = "PERIOD_CLOSED"
	codeTotal       = "TOTAL_MISMATCH"
	codeAuth        = "AUTH"
	codeThrottled   = "AUTH_THROTTLED"
)

const (
	hintAddress = "This address is not a Tryton server; correct url in the sink's configuration."
	hintCut     = "It is not known whether it was done; the step is verified before it is sent again."
	hintLost    = "Tryton lost its database; the commit may have happened, so the step is verified first."
	hintLocked  = "Other work in Tryton holds the same rows; if it stays so, lower concurrency in the sink's policy."
	hintExists  = "Somebody else made the same record in the same moment; it is found and compared next time."
)

// rule maps a fault to an outcome. The first rule whose kind is equal and whose pattern occurs in the text wins; patterns
// are lower case, "" matches everything of the kind.
type rule struct {
	kind, pattern string
	class         sinks.Class
	code          string
	outage        bool
	hint          string
}

// trytonRules is the classification of Tryton 6.0, English texts (the language is pinned in every call). Whether a write
// that failed was rolled back decides between RetryLater and Unknown; a kind that is not listed is Unknown. Setup is what
// stops every document; what stops only those of one date, account or tax is Rejected, and the others go on.
var trytonRules = []rule{
	{kindDial, "", sinks.RetryLater, codeOutage, true, "Is the Tryton server running and reachable?"},
	{kindCut, "", sinks.Unknown, codeOutage, true, hintCut},

	{kindLogin, "401", sinks.Setup, codeAuth, false, "Correct user or password of the integration user in the sink's configuration."},
	{kindLogin, "429", sinks.Setup, codeThrottled, false, "Tryton refuses logins after too many failures. Correct the password and wait five minutes."},
	{kindLogin, "404", sinks.Setup, "DATABASE", false, "Tryton does not know this database; correct database in the sink's configuration."},
	{kindLogin, "405", sinks.Setup, "ADDRESS", false, hintAddress},
	{kindLogin, "403", sinks.Setup, codeAuth, false, "Tryton does not let this user log in by password."},
	{kindLogin, "", sinks.RetryLater, codeOutage, true, "The login did not work for a reason that is not its password."},
	{"LoginException", "", sinks.Setup, codeAuth, false, "Tryton asks for more than a password; give the integration user password login only."},

	{kindHTTP, "401", sinks.Setup, codeAuth, false, "Tryton refused a new session; look at the user's rights and devices."},
	{kindHTTP, "403", sinks.Setup, "MODULE", false, "A method is not there: are the modules account_invoice and party activated?"},
	{kindHTTP, "404", sinks.Setup, "DATABASE", false, "Tryton does not know this database or address."},
	{kindHTTP, "405", sinks.Setup, "ADDRESS", false, hintAddress},
	{kindHTTP, "301", sinks.Setup, "ADDRESS", false, hintAddress},
	{kindHTTP, "302", sinks.Setup, "ADDRESS", false, hintAddress},
	{kindHTTP, "307", sinks.Setup, "ADDRESS", false, hintAddress},
	{kindHTTP, "308", sinks.Setup, "ADDRESS", false, hintAddress},
	{kindHTTP, "429", sinks.RetryLater, "RATE", false, "Something before Tryton limits the rate; lower rate in the sink's policy."},
	{kindHTTP, "500", sinks.Unknown, codeOutage, true, hintCut},
	{kindHTTP, "502", sinks.Unknown, codeOutage, true, hintCut},
	{kindHTTP, "503", sinks.Unknown, codeOutage, true, hintCut},
	{kindHTTP, "504", sinks.Unknown, codeOutage, true, hintCut},

	{"ConcurrencyException", "", sinks.RetryLater, "STALE", false, "Somebody changed the record in the same moment; it is read again."},
	{"UserWarning", "", sinks.Rejected, codeWarning, false, "Tryton asks a person. Answer it there, or add the prefix of its name to acknowledge."},

	{"UserError", "must be unique", sinks.RetryLater, codeExists, false, hintExists},
	{"UserError", "must set an accounting date after", sinks.RetryLater, codeNumberOrder, false, "A later document of this number sequence is already posted."},
	{"UserError", "must create a period", sinks.Rejected, codePeriod, false, "Open or create the period in Tryton (Financial / Fiscal Years), or change the document's date."},
	{"UserError", "must create a fiscal year", sinks.Rejected, codePeriod, false, "Create the fiscal year in Tryton, or change the document's date."},
	{"UserError", "closed period", sinks.Rejected, codePeriod, false, "Reopen the period in Tryton, or change the document's date."},
	{"UserError", "closed journal-period", sinks.Rejected, codePeriod, false, "Reopen the journal's period in Tryton."},
	{"UserError", "must define a sequence on fiscal year", sinks.Setup, "NUMBERING", false, "Set the invoice sequences of the fiscal year in Tryton."},
	{"UserError", "no rate found for currency", sinks.Rejected, "CURRENCY_RATE", false, "Enter the currency's rate in Tryton."},
	{"UserError", "you must append a remainder line", sinks.Rejected, "PAYMENT_TERM", false, "The payment term needs a last line of type Remainder in Tryton."},
	{"UserError", "because it is posted, paid or cancelled", sinks.Conflict, "IMMUTABLE", false, "A posted document is corrected by a credit memo, never changed."},
	{"UserError", "is posted, paid or cancelled", sinks.Conflict, "IMMUTABLE", false, "A posted document is corrected by a credit memo, never changed."},
	{"UserError", "you are not allowed to read records", sinks.Conflict, codeNotFound, false, "The record is gone, or the user may not see its company."},
	{"UserError", "that don't exist anymore", sinks.Conflict, codeNotFound, false, "The record was deleted in Tryton."},
	{"UserError", "you are not allowed to", sinks.Setup, "RIGHTS", false, "Give the integration user the groups Account and Party Administration."},
	{"UserError", "\" does not exist.", sinks.RetryLater, codeStaleName, false, "A name was resolved to a record that is gone; it is looked up again."},
	{"UserError", "a value is required for field", sinks.Rejected, "REQUIRED", false, "Fill this field in the source or in the mapping."},
	{"UserError", "exceeds the limit of", sinks.Rejected, "DIGITS", false, "Fewer digits: Tryton takes four decimals in a unit price, and the currency's in an amount."},
	{"UserError", "is too long", sinks.Rejected, "TOO_LONG", false, "Shorten the value in the source or in the mapping."},
	{"UserError", "not valid according to its domain", sinks.Rejected, "DOMAIN", false, "Tryton does not allow this value here."},
	{"UserError", "not one of the allowed options", sinks.Rejected, "DOMAIN", false, "Tryton does not allow this value here."},
	{"UserError", "for party", sinks.Rejected, "INVALID", false, "Correct the number in the source, or clear tax_id_type."},
	{"UserError", "cannot use the same account", sinks.Rejected, "ACCOUNT", false, "The line's account is the receivable account; correct the account table of the mapping."},
	{"UserError", "", sinks.Rejected, "REFUSED", false, "Tryton refused it; see the message."},

	{kindError, "could not obtain lock", sinks.RetryLater, "LOCKED", false, hintLocked},
	{kindError, "could not serialize", sinks.RetryLater, "LOCKED", false, hintLocked},
	{kindError, "deadlock detected", sinks.RetryLater, "LOCKED", false, hintLocked},
	{kindError, "database is locked", sinks.RetryLater, "LOCKED", false, hintLocked},
	{kindError, "duplicate key value", sinks.RetryLater, codeExists, false, hintExists},
	{kindError, "unique constraint failed", sinks.RetryLater, codeExists, false, hintExists},
	{kindError, "password authentication failed", sinks.Setup, "DATABASE", false, "Tryton cannot log in to its own database."},
	{kindError, "role \"", sinks.Setup, "DATABASE", false, "Tryton cannot log in to its own database."},
	{kindError, "fatal: database", sinks.Setup, "DATABASE", false, "Tryton's database does not exist; correct database in the sink's configuration."},
	{kindError, "connection refused", sinks.RetryLater, codeOutage, true, "Tryton's own database is down."},
	{kindError, "the database system is", sinks.RetryLater, codeOutage, true, "Tryton's own database is starting or stopping."},
	{kindError, "could not connect to server", sinks.RetryLater, codeOutage, true, "Tryton's own database is down."},
	{kindError, "too many clients", sinks.RetryLater, codeOutage, true, "Tryton's own database has no free connection."},
	{kindError, "remaining connection slots", sinks.RetryLater, codeOutage, true, "Tryton's own database has no free connection."},
	{kindError, "server closed the connection", sinks.Unknown, codeOutage, true, hintLost},
	{kindError, "terminating connection", sinks.Unknown, codeOutage, true, hintLost},
	{kindError, "connection already closed", sinks.Unknown, codeOutage, true, hintLost},
	{kindError, "connection reset", sinks.Unknown, codeOutage, true, hintLost},
	{kindError, "ssl connection has been closed", sinks.Unknown, codeOutage, true, hintLost},
	{kindError, "no space left on device", sinks.Unknown, codeOutage, true, "The disk of Tryton's database is full."},
	{kindError, "database or disk is full", sinks.Unknown, codeOutage, true, "The disk of Tryton's database is full."},
	{kindError, "missing context argument", sinks.Setup, "VERSION", false, "This Tryton speaks another protocol; 6.0 is supported."},
	{kindError, "required positional argument", sinks.Setup, "VERSION", false, "This Tryton speaks another protocol; 6.0 is supported."},
}

var (
	keyError  = regexp.MustCompile(`^'[a-z0-9_.]+'$`)
	fieldName = regexp.MustCompile(`[Ff]ield "([^"]+)"`)
)

// classify makes the outcome of a fault on a write.
func classify(f fault) sinks.Outcome {
	f.Text = strings.Join(strings.Fields(f.Text), " ") // exceptions of the database driver have lines and tabs
	text := strings.ToLower(f.Text)
	o := sinks.Outcome{Class: sinks.Unknown, Code: "UNRECOGNISED", Message: clip(f.message(), 500), Wait: f.Wait,
		Hint: "Tryton said something that is not in the table of known answers."}
	for _, r := range trytonRules {
		if r.kind == f.Kind && strings.Contains(text, r.pattern) {
			o.Class, o.Code, o.Outage, o.Hint = r.class, r.code, r.outage, r.hint
			if m := fieldName.FindStringSubmatch(f.Text); m != nil {
				o.Field = m[1]
			}
			return o
		}
	}
	if f.Kind == kindError && keyError.MatchString(f.Text) {
		o.Class, o.Code, o.Hint = sinks.Setup, "MODULE", "Tryton does not know this model or field: are the modules account_invoice and party activated, and is it 6.0?"
	}
	return o
}

// classifyRead makes the outcome of a fault on a call that changes nothing: it may always be asked again.
func classifyRead(f fault) sinks.Outcome {
	o := classify(f)
	if o.Class == sinks.Unknown {
		o.Class = sinks.RetryLater
	}
	return o
}

func (f fault) message() string {
	switch f.Kind {
	case "UserError", "UserWarning", "ConcurrencyException", kindError:
		return f.Text
	case kindHTTP:
		return "Tryton answered HTTP " + f.Text
	case kindLogin:
		return "Tryton answered the login with HTTP " + f.Text
	case kindCut:
		return "no answer: " + f.Text
	case kindDial:
		return "no connection: " + f.Text
	}
	return f.Kind + ": " + f.Text
}

// clip bounds a text to n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}
