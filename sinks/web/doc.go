// Package web is the HTTP client that adapters share. It sends what it is given once: no redirect is followed, nothing is retried, and
// Go's own transport is kept from resending a write on a connection that turned out to be dead (Invariant 9). It bounds what is read, reads
// Retry-After in both of its forms, lets requests in by an Auth, and takes secrets out of all that it gives back (Invariant 12). What an
// answer means is said by a table of the adapter: see Classify.
package web
