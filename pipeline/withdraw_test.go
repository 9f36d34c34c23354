package pipeline

import (
	"encoding/json"
	"slices"
	"testing"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

func TestOnlyWhatWasCertainlyNeverSentIsTakenBack(t *testing.T) {
	refused, other := &sinks.Outcome{Class: sinks.Rejected}, &sinks.Outcome{Class: sinks.Conflict}
	for _, c := range []struct {
		name string
		d    delivery
		want bool
	}{
		{"behind a gate", delivery{State: StateWaiting}, true},
		{"a lane may be taking it", delivery{State: StateWaiting, Head: 3}, false},
		{"ready", delivery{State: StateReady, Head: 3}, false},
		{"sent, no outcome", delivery{State: StateSent, Intent: &sinks.Intent{}, Sends: 1}, false},
		{"tried before", delivery{State: StateWaiting, Sends: 1}, false},
		{"adopted", delivery{State: StateWaiting, Verify: true}, false},
		{"refused by the target", delivery{State: StateParked, Sends: 1, Last: refused}, true},
		{"refused at its second step", delivery{State: StateParked, Sends: 2, Last: refused, Done: map[string]sinks.Outcome{"create": {}}}, false},
		{"something else stands there", delivery{State: StateParked, Sends: 1, Last: other}, false},
		{"done", delivery{State: StateDone, Sends: 1}, false},
		{"discarded by a person", delivery{State: StateDiscarded}, false},
	} {
		if got := c.d.unsent(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// What is taken back leaves its queue without being sent, wherever it stands in it, and what stands behind it goes on.
func TestTakenBackLeavesItsQueue(t *testing.T) {
	r := newRig(t)
	never := transform.Gate{Kind: transform.GateLedger, Name: "erp.customer", Key: "NOBODY"}
	r.post(invoice("i1", "invoice/1"), invoice("i2", "invoice/1", never), invoice("i3", "invoice/1"), invoice("k1", "invoice/2", never), invoice("k2", "invoice/2"))
	r.do(func(s *state, out *output) error {
		for event, want := range map[string]bool{"e-i1": false, "e-i2": true, "e-k1": true, "e-none": false} {
			if got, err := out.Withdraw(event, "corrected"); err != nil || got != want {
				t.Errorf("%s: %v, %v", event, got, err)
			}
		}
		return nil
	})
	r.start()
	r.state("i3", StateDone)
	r.state("k2", StateDone)
	if sent := r.sink.sent(); len(sent) != 6 || slices.ContainsFunc(sent, func(s string) bool { return s[:4] == "x:i2" || s[:4] == "x:k1" }) {
		t.Errorf("%v", sent)
	}
	for _, id := range []string{"i2", "k1"} {
		if d := r.delivery(id); d.State != StateDiscarded || d.Withdrawn != "corrected" || len(d.Unmet) > 0 {
			t.Errorf("%+v", d)
		}
	}
	r.do(func(s *state, _ *output) error {
		k, _, err := s.firstFrom(bucketItem, "")
		if gate, _, err := s.firstFrom(bucketGate, ""); err != nil || gate != "" {
			t.Errorf("somebody waits still: %q, %v", gate, err)
		}
		if k != "" {
			t.Errorf("left in a queue: %q", k)
		}
		return err
	})
}

// In an adopted copy of a store nothing is certain until its targets were compared.
func TestNothingIsTakenBackWhileInDoubt(t *testing.T) {
	r := newRig(t)
	never := transform.Gate{Kind: transform.GateLedger, Name: "erp.customer", Key: "NOBODY"}
	r.post(invoice("i1", "invoice/1", never))
	for _, c := range []struct {
		note string
		want bool
	}{{noteDoubt, false}, {noteSure, true}} {
		payload, err := json.Marshal(noteEntry{Action: c.note})
		if err != nil {
			t.Fatal(err)
		}
		r.do(func(s *state, out *output) error {
			if err := r.project.note(s, checkpoint.Entry{Index: 1, Payload: payload}); err != nil {
				return err
			}
			if got, err := out.Withdraw("e-i1", "corrected"); err != nil || got != c.want {
				t.Errorf("%s: %v, %v", c.note, got, err)
			}
			return nil
		})
	}
}
