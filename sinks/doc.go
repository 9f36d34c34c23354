// Package sinks delivers operations to outside systems, each under the same policies: rate, concurrency, retry, breaker,
// verify. Adapters live in its subfolders; they classify what a target answers, as data, and leave the
// waiting and the deciding to the lanes.
package sinks
