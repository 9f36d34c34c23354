package demo

import (
	"os"
	"strings"
	"testing"
	"time"

	"waybill/transform"
)

// Both versions of the mapping that the demo writes are mappings, and the second knows what the first does not.
func TestMappingVersions(t *testing.T) {
	text, err := os.ReadFile(carrierFolder + "/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, err := withCutover(string(text), time.Date(2026, 11, 23, 2, 0, 0, 0, time.FixedZone("CST", -6*3600)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(first, "\ncutover: \"2026-11-23T02:00:00-06:00\"\n") || strings.Contains(first, newChargeCode+":") {
		t.Error("the first version has another cut-over, or knows the new charge already")
	}
	second, err := withNewCharge(first)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(second, newChargeCode+": TARPING, LH:") || !strings.Contains(second, "\nversion: 2\n") {
		t.Error("the second version does not know the new charge, or does not say that it is the second")
	}
	for _, version := range []string{first, second} {
		if _, err := transform.Parse("mapping.yaml", []byte(version)); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "mapping: x\n", strings.Repeat("cutover: x\n", 2)} {
		if _, err := withCutover(bad, time.Now()); err == nil {
			t.Errorf("a mapping %q is given a cut-over", bad)
		}
	}
}
