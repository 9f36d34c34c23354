// Package web is the HTTP client that adapters share. It sends what it is given once: no redirect is followed, nothing is retried, and
// Go's own transport is kept from resending a write on a connection that turned out to be dead (Invariant 9). It bounds what is read, reads
// Retry-After in both of its forms, lets requests in by an Auth, and takes secrets out of all that it gives back (Invariant 12). What an
// answer means is said by a table of the adapter: see Classify.
//
// How a target lets us in is AuthConfig, the block auth of an adapter's configuration. Whatever kind it is, credentials that were refused
// are not tried again before they have changed or five minutes are over, those that were never accepted are tried by one request alone, and
// a token is asked for once for all that wait: a wrong secret is one matter for a person, and locks no account.
package web
