package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/transform"
)

const carriersFolder = "../../../testdata/carriers"

// The mappings that the demo writes are mappings that can be beside each other; the second version of Northstar's knows what the first does not.
func TestMappings(t *testing.T) {
	cutover := time.Date(2026, 11, 23, 2, 0, 0, 0, time.FixedZone("CST", -6*3600))
	var all []*transform.Mapping
	for _, h := range fleet {
		text, err := os.ReadFile(filepath.Join(carriersFolder, h.folder, "mapping.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		mapping, err := h.mapping(string(text), cutover)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"\ncutover: \"2026-11-23T02:00:00-06:00\"\n", "\ncompany: " + h.company + "\n", "\ncases:\n"} {
			if strings.Count(mapping, want) != 1 {
				t.Errorf("%s: want %q once", h.name, want)
			}
		}
		versions := []string{mapping}
		if h == &northstar {
			second, err := withNewCharge(mapping)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(mapping, newChargeCode+":") || !strings.Contains(second, newChargeCode+": TARPING, LH:") || !strings.Contains(second, "\nversion: 2\n") {
				t.Error("the first version knows the new charge already, or the second does not, or does not say that it is the second")
			}
			versions = append(versions, second)
		}
		for _, version := range versions {
			m, err := transform.Parse(h.folder+".yaml", []byte(version))
			if err != nil {
				t.Fatal(err)
			}
			if version == mapping {
				all = append(all, m)
			}
		}
	}
	if _, err := transform.NewCarriers(all...); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "mapping: x\n", strings.Repeat("cutover: x\n", 2), "mapping: x\ncutover: x\n"} {
		if _, err := northstar.mapping(bad, cutover); err == nil {
			t.Errorf("a mapping %q is accepted", bad)
		}
	}
}
