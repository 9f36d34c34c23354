package s4hana

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"

	"github.com/google/uuid"
)

// The reference of a document has 16 characters, and it is not certain that it keeps small letters.
var plainKeys = regexp.MustCompile(`^[A-Z0-9][A-Z0-9:/._-]{0,15}$`)

// reference is the external key of a document as S/4HANA holds it (DocumentReferenceID): itself when it fits, else WB- and 60 bits of its
// SHA-256 in capital letters and digits. Its words are then in the header's text.
func reference(external string) string {
	if plainKeys.MatchString(external) {
		return external
	}
	sum := sha256.Sum256([]byte(external))
	return "WB-" + base32.StdEncoding.EncodeToString(sum[:])[:12]
}

// partnerKeys is what a search term keeps: 20 characters, none of them small.
var partnerKeys = regexp.MustCompile(`^[A-Z0-9][A-Z0-9 ._/-]{0,19}$`)

// space is that of our message ids.
var space = uuid.MustParse("8c7a1f0e-6f0b-5c55-9d0a-3f6c1d1c2b7e")

// messageID is the same for the same document, and another after each refusal (see doc.go).
func messageID(parts ...string) uuid.UUID {
	text := ""
	for _, p := range parts {
		text += p + "\x00"
	}
	return uuid.NewSHA1(space, []byte(text))
}
