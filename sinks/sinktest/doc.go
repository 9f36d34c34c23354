// Package sinktest is what sinks are tested with: one contract suite for every sink, a real Tryton, a simulated ERP whose
// ledger outlives the daemon, and a proxy that loses answers. The demo uses the Tryton, too.
package sinktest
