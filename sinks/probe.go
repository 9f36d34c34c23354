package sinks

import (
	"context"

	"waybill/cdc"
)

// Prober is a Sink, or a Publisher, that can find out more of its target than Check asks: as whom it lets us in, with which company, period and
// limits, and whether it does what is sent twice with one key once. waybill check --probe calls it, and nothing else does: before go-live,
// by a person, against a test copy where there is one.
type Prober interface {
	// Probe may write a record that is marked as a test, but only where the sink's configuration names one; without it reads alone. Findings
	// include good ones, in a fixed order. An error means that the target could not be asked at all.
	Probe(ctx context.Context) ([]cdc.Finding, error)
}
