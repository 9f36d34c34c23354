package cdc

import "testing"

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"20GiB": 20 << 30, "1.5 GiB": 3 << 29, "500MB": 5e8, "17": 17, "4kib": 4096, "12B": 12, " 1TB ": 1e12} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1GiB", "20 giga", "NaN", "Inf", "1e300TiB", "9223372036854775807"} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q read as %d", text, got)
		}
	}
	for size, want := range map[Bytes]string{0: "0B", 1023: "1023B", 4096: "4KiB", 3 << 29: "1.5GiB", 20 << 30: "20GiB", 5 << 40: "5TiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(size), got, want)
		}
	}
}
