package postgres

import (
	"bytes"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"waybill/cdc"
)

// Whatever the bytes, a decoder returns a canonical text or an error. FuzzMessages, beside the other tests of pgoutput, does the
// same for the stream.

func seed(f *testing.F, texts ...string) {
	for _, s := range texts {
		f.Add([]byte(s))
	}
}

func FuzzNumbers(f *testing.F) {
	seed(f, "0", "-12", "9223372036854775808", "+1", "007", "-0", "1150.00", ".5", "5.", "NaN", "-Infinity", "inf", "1e-45", "0x1p-2", "1_0",
		"$1,234.50", "-$0.01", "$12,34.00", "$92,233,720,368,547,758.07")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if text, err := intText(raw); err == nil {
			if n, ok := new(big.Int).SetString(text, 10); !ok || n.String() != text {
				t.Errorf("int %q reads as %q", raw, text)
			}
		}
		for _, meta := range []string{"1700", "790"} {
			text, err := decimalText(raw, meta)
			if err != nil || text == "NaN" || strings.HasSuffix(text, "Infinity") {
				continue
			}
			if _, ok := new(big.Rat).SetString(text); !ok || !regexp.MustCompile(`^-?(0|[1-9]\d*|0+\d*)(\.\d+)?$`).MatchString(text) {
				t.Errorf("decimal %q reads as %q", raw, text)
			}
		}
		for _, c := range []struct {
			meta string
			bits int
		}{{"700", 32}, {"701", 64}} {
			text, err := floatText(raw, c.meta)
			if err != nil {
				continue
			}
			a, errA := strconv.ParseFloat(string(raw), c.bits)
			b, errB := strconv.ParseFloat(text, c.bits)
			if errA != nil || errB != nil || a != b && a == a {
				t.Errorf("float %q reads as %q", raw, text)
			}
		}
	})
}

var (
	canonicalDate = `(-?\d{4,}-\d\d-\d\d)`
	canonicalTime = `\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?`
	infinity      = `-?infinity`
	timeForms     = map[cdc.Kind]*regexp.Regexp{
		cdc.KindDate:      regexp.MustCompile("^(" + canonicalDate + "|" + infinity + ")$"),
		cdc.KindTime:      regexp.MustCompile("^" + canonicalTime + "$"),
		cdc.KindTimestamp: regexp.MustCompile("^(" + canonicalDate + " " + canonicalTime + "|" + infinity + ")$"),
		cdc.KindInstant:   regexp.MustCompile("^(" + canonicalDate + "T" + canonicalTime + "Z|" + infinity + ")$"),
		cdc.KindInterval:  regexp.MustCompile(`^(P(-?\d+Y)?(-?\d+M)?(-?\d+D)?(T(-?\d+H)?(-?\d+M)?(-?\d+(\.\d{0,5}[1-9])?S)?)?|` + infinity + ")$"),
	}
)

func FuzzTimes(f *testing.F) {
	seed(f, "2026-03-08", "0044-03-15 BC", "0001-01-01 BC", "5874897-12-31", "infinity", "-infinity", "14:05:00", "24:00:00", "14:05:00.500000", "14:05:00.5",
		"2026-03-08 14:05:00", "0044-03-15 12:00:00.5 BC", "294276-12-31 23:59:59.999999+00", "0044-03-15 12:00:00+00 BC", "2026-03-08 14:05:00-05",
		"P1Y2M-40DT-100H-0.25S", "PT0S", "P0D", "P", "PT", "P1DT", "P1M1Y", "P1.5D", "PT1.50S")
	f.Fuzz(func(t *testing.T, raw []byte) {
		for kind, form := range timeForms {
			text, err := canonical(kind, "", raw)
			if err == nil && (!form.MatchString(text) || text == "P" || strings.HasSuffix(text, "T")) {
				t.Errorf("%s %q reads as %q", kind, raw, text)
			}
		}
	})
}

func FuzzPlain(f *testing.F) {
	seed(f, "t", "f", "true", "Łódź", "\xff", `\xdeadbeef`, `\xDE`, `\x0`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "10110", "012", `{"a": 1}`)
	kinds := []cdc.Kind{cdc.KindBool, cdc.KindText, cdc.KindEnum, cdc.KindJSON, cdc.KindBytes, cdc.KindUUID, cdc.KindBits}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, kind := range kinds {
			text, err := canonical(kind, "", raw)
			switch {
			case err != nil || kind == cdc.KindBytes && len(text)*2+2 == len(raw):
			case kind == cdc.KindBool && (text == "true" || text == "false"):
			case kind == cdc.KindBool || kind == cdc.KindBytes || !utf8.ValidString(text) || text != string(raw):
				t.Errorf("%s %q reads as %q", kind, raw, text)
			}
		}
	})
}

// arrayMetas are arrays of each way that an element is read.
var arrayMetas = []string{"1009 of text 25", "1231 of decimal 1700", "1001 of bytes 17", "1020 of text 603", "3913 of range 3912",
	"16410 of json 16409 hstore", "16420 of array 1007 of int 23", "1187 of interval 1186", "1 of", "1 of nothing 2", "1 of array"}

func FuzzArray(f *testing.F) {
	seed(f, "{}", "{1,NULL}", `{"a \"b\\",NULL,"NULL"}`, "{{1,2},{3,4}}", "[0:1]={1,2}", "{(1,1),(0,0);(2,2),(1,1)}", `{"\\xdead"}`, `{"\"a\"=>\"1\", \"b\"=>NULL"}`,
		`{"{1,2}",NULL}`, `{"[2026-03-01,2026-04-01)",empty}`, "{{{{{{{1}}}}}}}", "{P1D}", "{1", "{1}x", "{,}", `{"a}`, `{\}`)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, meta := range arrayMetas {
			text, err := canonical(cdc.KindArray, meta, raw)
			if err != nil {
				continue
			}
			var list []any
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatalf("array %q of %q reads as %q: %v", raw, meta, text, err)
			}
			if meta != arrayMetas[0] {
				continue
			}
			again, err := canonical(cdc.KindArray, meta, []byte(arrayOf(list)))
			if err != nil || again != text {
				t.Errorf("array %q reads as %s, and written again as %s, %v", raw, text, again, err)
			}
		}
	})
}

// arrayOf writes an array as the server would, with every element in quotes.
func arrayOf(list []any) string {
	items := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case nil:
			items[i] = "NULL"
		case []any:
			items[i] = arrayOf(v)
		case string:
			items[i] = quote(v)
		}
	}
	return "{" + strings.Join(items, ",") + "}"
}

func quote(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

func FuzzHstore(f *testing.F) {
	seed(f, "", `"a"=>"1", "b"=>NULL`, `"q\"uote"=>"back\\slash"`, `"a"=>"1", "a"=>"2"`, `"a"=>"1",`, `"a"=>`, `"€"=>"<&>"`, "\"\xff\"=>NULL")
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, err := hstoreText(raw)
		if err != nil {
			return
		}
		var pairs map[string]*string
		if err := json.Unmarshal([]byte(text), &pairs); err != nil {
			t.Fatalf("hstore %q reads as %q: %v", raw, text, err)
		}
		var keys, items []string
		for k := range pairs {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			value := "NULL"
			if v := pairs[k]; v != nil {
				value = quote(*v)
			}
			items = append(items, quote(k)+"=>"+value)
		}
		if again, err := hstoreText([]byte(strings.Join(items, ", "))); err != nil || again != text {
			t.Errorf("hstore %q reads as %s, and written again as %s, %v", raw, text, again, err)
		}
	})
}

func FuzzRange(f *testing.F) {
	seed(f, "empty", "{}", "[1,3)", "(,)", `["a b",c)`, `("quote "" ( , \\",€{}]`, "{[1,3),[7,9)}", "{[1,3),}", "[1,3)x", "{empty}", "[1", `["`, `[\`)
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, err := rangeText(raw)
		if err != nil {
			return
		}
		if text != string(raw) || !utf8.Valid(raw) || text != "empty" && bytes.IndexByte([]byte("[({"), raw[0]) < 0 {
			t.Errorf("range %q reads as %q", raw, text)
		}
	})
}

func FuzzMeta(f *testing.F) {
	for _, meta := range arrayMetas {
		f.Add(meta, []byte(`{"{1}",NULL}`))
	}
	f.Fuzz(func(t *testing.T, meta string, raw []byte) {
		for _, kind := range []cdc.Kind{cdc.KindArray, cdc.KindJSON, cdc.KindFloat, cdc.KindDecimal} {
			text, err := canonical(kind, meta, raw)
			if err == nil && kind == cdc.KindArray && !json.Valid([]byte(text)) {
				t.Errorf("array %q of %q reads as %q", raw, meta, text)
			}
		}
	})
}
