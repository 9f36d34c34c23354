package postgres

import "testing"

func TestStreamedIsSeen(t *testing.T) {
	var s streamed
	s.add(3_000_000_001)
	for view, want := range map[string]uint32{
		"10:20:":      0, // nothing runs
		"10:20:12,14": 0, // what runs was not streamed
		"3000000001:3000000009:3000000001,3000000004": 3_000_000_001,
		"7294967297:7294967305:7294967297":            3_000_000_001, // the same lower half in the next epoch
		"3000000002:3000000009:3000000002":            0,
	} {
		if got, err := s.unseen(CodecName + " " + view); err != nil || got != want {
			t.Errorf("%s: %d, %v, expected %d", view, got, err, want)
		}
	}
	if _, err := s.unseen("another codec"); err == nil {
		t.Error("another codec's view was read")
	}
	for xid := range uint32(streamedMost) {
		s.add(100 + xid)
	}
	if got, _ := s.unseen(CodecName + " 3000000001:3000000009:3000000001"); got != 0 {
		t.Error("more is remembered than the bound")
	}
}
