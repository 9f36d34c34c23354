package checkpoint

import "waybill/transform"

var _ transform.State = (*Txn)(nil)

// Txn reads and, inside Update, changes the state.
type Txn struct{}

// Get returns a copy of the value, or nil when there is none.
func (t *Txn) Get(bucket, key string) ([]byte, error) { return nil, errSkeleton }

// Put sets a value.
func (t *Txn) Put(bucket, key string, value []byte) error { return errSkeleton }

// Delete removes a key.
func (t *Txn) Delete(bucket, key string) error { return errSkeleton }

// Scan calls fn for the keys with the prefix, from the key from on.
func (t *Txn) Scan(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error {
	return errSkeleton
}

// ScanBack is Scan downwards: from the key from (inclusive; "" starts at the last) to the first.
func (t *Txn) ScanBack(bucket, prefix, from string, fn func(key string, value []byte) (bool, error)) error {
	return errSkeleton
}

// Full reports that the caller should stop and commit.
func (t *Txn) Full() bool { return false }
