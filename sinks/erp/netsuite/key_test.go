package netsuite

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every key comes back as it was, in NetSuite's alphabet, and no two are one, even for a reader who does not distinguish cases.
func TestKeysComeBack(t *testing.T) {
	allowed := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-z0-9_:/|. é-]{1,20}`)
		company := rapid.OneOf(rapid.Just(""), text).Draw(t, "company")
		key := text.Draw(t, "key")
		id, err := encodeKey("waybill", company, key)
		if err != nil {
			t.Fatal(err)
		}
		if !allowed.MatchString(id) || id != strings.ToLower(id) {
			t.Fatalf("%q is not in the alphabet", id)
		}
		c, k, err := decodeKey("waybill", id)
		if err != nil || c != company || k != key {
			t.Fatalf("%q of %q came back as %q of %q (%v)", key, company, k, c, err)
		}
	})
}

func TestKeys(t *testing.T) {
	for _, c := range []struct{ company, key, id string }{
		{"", "104377", "waybill-104377"},
		{"", "nstar:A1:0", "waybill-nstar_058_a1_0580"},
		{"north", "A|1_x", "waybill-north_-_a_1241__x"},
		{"", "_-", "waybill-__-"},
	} {
		if id, err := encodeKey("waybill", c.company, c.key); err != nil || id != c.id {
			t.Errorf("%s of %s: %q (%v), want %q", c.key, c.company, id, err, c.id)
		}
	}
	if _, err := encodeKey("waybill", "", ""); err == nil {
		t.Error("an empty key is taken")
	}
	if _, err := encodeKey("waybill", "", strings.Repeat("x", maxKey)); err == nil {
		t.Error("a key of any length is taken")
	}
	for _, id := range []string{"", "waybill-", "celigo-1", "waybill-A", "waybill-_", "waybill-_9", "waybill-_999", "waybill-_0x1", "waybill-a|b"} {
		if c, k, err := decodeKey("waybill", id); err == nil {
			t.Errorf("%q is read as %q of %q", id, k, c)
		}
	}
}
