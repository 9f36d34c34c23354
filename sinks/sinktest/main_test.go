package sinktest

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	ServeLedgerIfAsked()
	goleak.VerifyTestMain(m)
}
