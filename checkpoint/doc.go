// Package checkpoint is the store: an append-only journal of everything that can change what Waybill does, and the keyed
// state that the projector makes of it. (Invariants 1, 7, 8 and 11 of package pipeline lean on it.)
//
// The journal is the truth. Append and Submit return, or call back, after the sync that covers an entry; only then may a
// database be told that it can forget. The state is a view of the journal: each Update writes its place in the journal in
// the same transaction, so a crash costs no more than applying some entries again, and a lost state is made again from a
// snapshot and the journal.
//
// A store belongs to one process (a lock), to one place (a copy is refused until it is adopted), and to releases that know
// its schema version. It never fills the disk: see Options.Floor and Options.MaxBytes.
//
// Only this package imports raft-wal and Badger. What raft-wal v0.4.0 does not do is done here: it leaves its metadata open
// on Close, stays sealed after a crash or an error between two files, checks only the last commit when it recovers, no
// checksum when it reads, and loses its last index when the last entry is trimmed. Its truncation of a suffix is not used:
// the file could not be opened again.
package checkpoint
