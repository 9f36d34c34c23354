package transform

import (
	"maps"
	"slices"
	"strings"
)

// MemoryState is a State in memory, for the inline tests of a mapping and for plan. It is not safe for two goroutines.
type MemoryState struct{ buckets map[string]map[string][]byte }

// NewMemoryState returns an empty state.
func NewMemoryState() *MemoryState { return &MemoryState{map[string]map[string][]byte{}} }

// Get implements State.
func (s *MemoryState) Get(bucket, key string) ([]byte, error) {
	return slices.Clone(s.buckets[bucket][key]), nil
}

// Put implements State.
func (s *MemoryState) Put(bucket, key string, value []byte) error {
	if s.buckets[bucket] == nil {
		s.buckets[bucket] = map[string][]byte{}
	}
	s.buckets[bucket][key] = slices.Clone(value)
	return nil
}

// Delete implements State.
func (s *MemoryState) Delete(bucket, key string) error {
	delete(s.buckets[bucket], key)
	return nil
}

// Scan implements State.
func (s *MemoryState) Scan(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error {
	for _, key := range slices.Sorted(maps.Keys(s.buckets[bucket])) {
		if !strings.HasPrefix(key, prefix) || key < from {
			continue
		}
		more, err := fn(key, s.buckets[bucket][key])
		if err != nil || !more {
			return err
		}
	}
	return nil
}
