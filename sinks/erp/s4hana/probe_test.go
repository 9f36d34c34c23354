package s4hana

import (
	"strings"
	"testing"

	"waybill/cdc"
	sim "waybill/sinks/sinktest/s4hana"
)

func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		honoured bool
		says     string
		level    cdc.Level
		found    string
	}{
		"honoured and used":      {true, RepeatabilityRequestID, cdc.LevelOK, "honoured: "},
		"honoured and not used":  {true, RepeatabilityNone, cdc.LevelWarn, "honoured: "},
		"not honoured, but used": {false, RepeatabilityRequestID, cdc.LevelFail, "not honoured: made twice"},
		"neither":                {false, RepeatabilityNone, cdc.LevelOK, "not honoured: made twice"},
	} {
		s := simulated(t, sim.Options{Repeatable: c.honoured}, func(cfg *Config) { cfg.Repeatability, cfg.Probe = c.says, "PROBE" })
		found, err := s.sink.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f := found[len(found)-1]; f.Check != "RequestID" || f.Level != c.level || !strings.HasPrefix(f.Found, c.found) {
			t.Errorf("%s: %+v", name, f)
		}
		if found[0].Check != "let in by" || found[0].Found != "basic" {
			t.Errorf("%s: %+v", name, found[0])
		}
	}
	s := simulated(t, sim.Options{}, nil)
	found, err := s.sink.Probe(t.Context())
	if f := found[len(found)-1]; err != nil || f.Level != cdc.LevelWarn || f.Fix == "" || len(s.Ledger()) != 0 {
		t.Errorf("without a search term: %+v %v, %d written", f, err, len(s.Ledger()))
	}
}
