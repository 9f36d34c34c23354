package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The state behaves like sorted maps, inside a transaction and after it, forwards and backwards.
func TestTxnModel(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 1, 1)
	stored := map[string]map[string]string{"a": {}, "ab": {}, "a\xff": {}}
	key := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 0, 'ÿ'}), 0, 4, -1)
	bucket := rapid.SampledFrom([]string{"a", "ab", "a\xff"})
	rapid.Check(t, func(rt *rapid.T) {
		abort := rapid.Bool().Draw(rt, "abort")
		model := map[string]map[string]string{}
		for b, keys := range stored {
			model[b] = maps.Clone(keys)
		}
		err := s.Update(Applied{Index: 1}, func(txn *Txn) error {
			for range rapid.IntRange(0, 8).Draw(rt, "ops") {
				b, k := bucket.Draw(rt, "bucket"), key.Draw(rt, "key")
				if rapid.Bool().Draw(rt, "delete") {
					delete(model[b], k)
					if err := txn.Delete(b, k); err != nil {
						return err
					}
				} else {
					v := rapid.StringN(0, 3, -1).Draw(rt, "value")
					model[b][k] = v
					if err := txn.Put(b, k, []byte(v)); err != nil {
						return err
					}
				}
				same(rt, txn, model, bucket.Draw(rt, "in"), key.Draw(rt, "prefix"), key.Draw(rt, "from"))
			}
			if abort {
				return errAbort
			}
			return nil
		})
		if abort != errors.Is(err, errAbort) || !abort && err != nil {
			rt.Fatal(err)
		}
		if !abort {
			stored = model
		}
		err = s.View(func(txn *Txn) error {
			for range 4 {
				same(rt, txn, stored, bucket.Draw(rt, "in"), key.Draw(rt, "prefix"), key.Draw(rt, "from"))
			}
			return txn.Put("a", "x", nil)
		})
		if !errors.Is(err, errReadOnly) {
			rt.Fatalf("writing in a view: %v", err)
		}
	})
}

var errAbort = errors.New("abort")

func same(t *rapid.T, txn *Txn, model map[string]map[string]string, bucket, prefix, from string) {
	want := []string{}
	for k, v := range model[bucket] {
		if strings.HasPrefix(k, prefix) {
			want = append(want, k+"="+v)
		}
	}
	byKey := func(a, b string) int { return strings.Compare(keyOf(a), keyOf(b)) }
	slices.SortFunc(want, byKey)
	up := slices.Clone(want)
	up = slices.DeleteFunc(up, func(kv string) bool { return keyOf(kv) < from })
	down := slices.Clone(want)
	slices.Reverse(down)
	down = slices.DeleteFunc(down, func(kv string) bool { return from != "" && keyOf(kv) > from })
	for name, c := range map[string]struct {
		scan func(bucket, prefix, from string, fn func(string, []byte) (bool, error)) error
		want []string
	}{"Scan": {txn.Scan, up}, "ScanBack": {txn.ScanBack, down}} {
		got := []string{}
		if err := c.scan(bucket, prefix, from, func(k string, v []byte) (bool, error) {
			got = append(got, k+"="+string(v))
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) {
			t.Fatalf("%s(%q, %q, %q) = %q, want %q", name, bucket, prefix, from, got, c.want)
		}
	}
	v, ok := model[bucket][prefix]
	if got, err := txn.Get(bucket, prefix); err != nil || (got != nil) != ok || string(got) != v {
		t.Fatalf("Get(%q, %q) = %q, want %q %v: %v", bucket, prefix, got, v, ok, err)
	}
}

// keyOf takes the value off again; the keys of the model hold no "=".
func keyOf(kv string) string { key, _, _ := strings.Cut(kv, "="); return key }

// An update that stops when it is full always fits; one that goes on is refused, and leaves nothing.
func TestFull(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 2, 1)
	for name, size := range map[string]int{"small": 0, "large": maxValue} {
		puts := 0
		err := s.Update(Applied{Index: 1}, func(txn *Txn) error {
			for ; !txn.Full(); puts++ {
				if err := txn.Put(name, fmt.Sprint(puts), make([]byte, size)); err != nil {
					return err
				}
			}
			return txn.Put(name, "unit", make([]byte, 100<<10))
		})
		if err != nil || puts == 0 {
			t.Errorf("%s: %d puts: %v", name, puts, err)
		}
		t.Logf("%s: full after %d", name, puts)
		err = s.Update(Applied{Index: 2}, func(txn *Txn) error {
			for i := range 100000 {
				if err := txn.Put("over", fmt.Sprint(i), make([]byte, size)); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, ErrTooBig) || s.Applied().Index != 1 {
			t.Errorf("%s: %v, applied %d", name, err, s.Applied().Index)
		}
	}
	if err := s.Update(Applied{Index: 1}, func(txn *Txn) error { return txn.Put("b", "k", make([]byte, maxValue+1)) }); !errors.Is(err, ErrTooBig) {
		t.Errorf("a value too big: %v", err)
	}
}

// The place never goes back, and never beyond the journal.
func TestPlace(t *testing.T) {
	s := open(t, t.TempDir())
	appendN(t, s, 3, 1)
	for _, c := range []struct {
		a  Applied
		ok bool
	}{{Applied{0, 1}, true}, {Applied{0, 1}, true}, {Applied{2, 0}, true}, {Applied{1, 9}, false}, {Applied{2, 5}, true},
		{Applied{2, 4}, false}, {Applied{3, 1}, false}, {Applied{4, 0}, false}, {Applied{3, 0}, true}} {
		before := s.Applied()
		err := s.Update(c.a, func(*Txn) error { return nil })
		if (err == nil) != c.ok || !c.ok && s.Applied() != before {
			t.Errorf("%+v after %+v: %v", c.a, before, err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := open(b, b.TempDir())
	if _, err := s.Append(context.Background(), Entry{Kind: Note}); err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 300)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		err := s.Update(Applied{Index: 1}, func(txn *Txn) error {
			for i := range 1000 {
				if err := txn.Put("bench", fmt.Sprintf("%09d", (n*1000+i)%200000), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "puts/s")
}
