package kafka

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"waybill/sinks"
)

// Within a round an order key is in one partition; neither a key nor a partition sees a later record in an earlier round, nor a record at all that
// stands in no round.
func TestRoundsKeepOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var records []record
		for i := range rapid.IntRange(0, 60).Draw(t, "records") {
			records = append(records, record{at: i, orderKey: fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "key")), topic: "t", part: rapid.IntRange(0, 3).Draw(t, "part")})
		}
		keys, parts, count := map[string]int{}, map[int]int{}, 0
		for _, round := range rounds(records) {
			where := map[string]int{}
			var all []record
			for p, list := range round {
				for _, r := range list {
					if at, known := where[r.orderKey]; known && at != p.part {
						t.Fatalf("key %s in two partitions of a round", r.orderKey)
					}
					where[r.orderKey] = p.part
					if last, known := parts[r.part]; known && last > r.at {
						t.Fatalf("partition %d: %d behind %d", r.part, r.at, last)
					}
					parts[r.part] = r.at
					all = append(all, r)
				}
			}
			slices.SortFunc(all, func(a, b record) int { return a.at - b.at })
			for _, r := range all {
				if last, known := keys[r.orderKey]; known && last > r.at {
					t.Fatalf("key %s: %d behind %d", r.orderKey, r.at, last)
				}
				keys[r.orderKey] = r.at
				count++
			}
		}
		if count != len(records) {
			t.Fatalf("%d of %d records", count, len(records))
		}
	})
}

func TestRoundsAreFew(t *testing.T) {
	r := func(at int, key string, part int) record {
		return record{at: at, orderKey: key, topic: "t", part: part}
	}
	if got := len(rounds([]record{r(0, "a", 0), r(1, "b", 1), r(2, "a", 0), r(3, "c", 2)})); got != 1 {
		t.Errorf("%d rounds of keys with a partition each", got)
	}
	if got := len(rounds([]record{r(0, "a", 0), r(1, "a", 1), r(2, "a", 0)})); got != 3 {
		t.Errorf("%d rounds of a key that changes its partition twice", got)
	}
}

func TestNothingPassesBehindAStop(t *testing.T) {
	out := make([]sinks.Outcome, 4)
	stopped := stops{}
	stopped.at(record{at: 2, orderKey: "a"})
	stopped.at(record{at: 1, orderKey: "a"})
	left := stopped.pass([]record{{at: 0, orderKey: "a"}, {at: 2, orderKey: "b"}, {at: 3, orderKey: "a"}}, out)
	if len(left) != 2 || out[3].Code != sinks.CodeBehind || out[0].Code != "" {
		t.Errorf("left %v, outcomes %v", left, out)
	}
}

func TestTopicNames(t *testing.T) {
	e := some(1, 1)
	for text, want := range map[string]string{"{topic}": "milestones", "waybill.{company}.{lane}": "waybill.NSTR.transactional", "{type}-x": "shipment.arrived-x",
		"fixed": "fixed"} {
		name, err := parseTopic(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := name.of(e); got != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
	for _, text := range []string{"", "{key}", "{topic", "topic}", "a b", "..", "ä"} {
		if _, err := parseTopic(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
