// Package transform turns row changes into canonical business events and into the postings that follow from them, as a
// carrier's mapping file says. It is deterministic and does no I/O: the same state, the same entry and the same rules give
// the same events and the same new state. It reads no clock, no network and no random number.
package transform
