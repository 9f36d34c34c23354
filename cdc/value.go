package cdc

// Kind is the canonical kind of a column: what a value means, whatever the database calls its type.
type Kind uint8

// The kinds. The comment gives the canonical text of a value of that kind; a codec must produce just this form,
// from the snapshot and from the stream alike.
const (
	KindUnsupported Kind = iota // refused by name at check; never decoded
	KindBool                    // true | false
	KindInt                     // -12, 18446744073709551615: no plus sign, no leading zeros
	KindDecimal                 // 1150.00: the scale of the database is kept, no exponent; NaN, Infinity, -Infinity
	KindFloat                   // shortest text that reads back to the same number of the column's own precision; NaN, Infinity, -Infinity
	KindText                    // UTF-8
	KindBytes                   // the bytes themselves
	KindDate                    // 2026-03-08; far years with more digits, years before 1 as -0043 (ISO 8601: 44 BC); infinity, -infinity; 0000-00-00
	KindTime                    // 14:05:00[.ffffff], no trailing zeros in the fraction; up to 24:00:00, of MySQL to 838:59:59 and with a sign
	KindTimestamp               // 2026-03-08 14:05:00[.ffffff], without zone: the mapping says which; the date as KindDate has it
	KindInstant                 // 2026-03-08T19:05:00[.ffffff]Z, always UTC; the date as KindDate has it
	KindUUID                    // lower case, with dashes
	KindJSON                    // the JSON text as the database gives it
	KindEnum                    // the label
	KindInterval                // ISO 8601 duration as the database holds it, not normalised: P1Y2M3DT4H5M6.5S, P0D
	KindBits                    // 0 and 1, the most significant first
	KindArray                   // JSON array of the elements' canonical texts as strings, null for NULL, nested for more dimensions
	KindRange                   // the database's text: [2026-03-01,2026-04-01), (,5], empty; {[1,3),[7,9)} for several
)

var kindNames = [...]string{"unsupported", "bool", "int", "decimal", "float", "text", "bytes", "date", "time",
	"timestamp", "instant", "uuid", "json", "enum", "interval", "bits", "array", "range"}

// String names the kind in words that a mapping author knows.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Value is one column's value in canonical form. The zero Value is absent: the column was not in the log. Absent is
// not null (an unchanged TOAST column, a minimal row image, an old row of which only the key was sent).
type Value struct {
	Kind  Kind
	State State
	Text  string // canonical text of the kind; empty unless State is Present
}

// State tells whether a column has a value.
type State uint8

// The states of a column.
const (
	Absent  State = iota // not in the log
	Null                 // in the log, NULL
	Present              // in the log, with a value
)

// Of returns a present value.
func Of(kind Kind, text string) Value { return Value{Kind: kind, State: Present, Text: text} }

// NullOf returns a null of the kind.
func NullOf(kind Kind) Value { return Value{Kind: kind, State: Null} }

// IsNull reports whether the value was in the log as NULL.
func (v Value) IsNull() bool { return v.State == Null }

// IsAbsent reports whether the column was not in the log.
func (v Value) IsAbsent() bool { return v.State == Absent }
