package businesscentral

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"

	"waybill/sinks"
)

// space is the namespace of the ids that are chosen here (UUID version 5, RFC 9562). It never changes: with another one every document would
// have another id.
var space = uuid.NewSHA1(uuid.NameSpaceURL, []byte("waybill:businesscentral"))

// idFor is the id of a document in Business Central: of its set, our company and its external id, which names system, key and revision.
func idFor(set, company, external string) string {
	return uuid.NewSHA1(space, []byte(set+"\x00"+company+"\x00"+external)).String()
}

// The lengths of codes in Business Central.
const (
	externalMost = 35 // external document number
	documentMost = 20 // number of a document or a master
	journalMost  = 10 // name of a journal
)

// codeFor is an external id as a code of Business Central: in upper case, for codes know no other; one that is too long, or has
// characters that a code or a filter does not take as they are, is cut and ends in a digest of the whole.
func codeFor(external string, most int) string {
	code := strings.ToUpper(strings.TrimSpace(external))
	plain := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`'"&#%?*@|<>=()`, r) {
			return r
		}
		return '.'
	}, code)
	if plain == code && len(code) <= most {
		return code
	}
	sum := sha256.Sum256([]byte(external))
	digest := strings.ToUpper(hex.EncodeToString(sum[:8]))[:min(12, most-2)]
	return plain[:min(len(plain), most-1-len(digest))] + "~" + digest
}

// original finds the document that a correction names by its external id: in the books, or refused.
func (x *exchange) original(op sinks.Operation, external string) (record, *sinks.Outcome) {
	const set = "salesInvoices"
	hint := "Deliver the original first; where it was posted by somebody else, give it the external document number " + codeFor(external, externalMost) + "."
	rows, out := x.documents(set, idFor(set, op.Company, external), codeFor(external, externalMost))
	switch {
	case out != nil:
		return nil, out
	case len(rows) == 0:
		return nil, rejected("UNKNOWN_ORIGINAL", "applies_to", "Business Central has no invoice "+external+", which this document corrects.", hint)
	case len(rows) > 1:
		return nil, severalFound(rows)
	case !rows[0].posted():
		return nil, rejected("ORIGINAL_NOT_POSTED", "applies_to", "The invoice "+external+", which this document corrects, is "+rows[0].option("status")+" in Business Central.", hint)
	}
	return rows[0], nil
}
