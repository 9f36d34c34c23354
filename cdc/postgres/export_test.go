package postgres

import (
	"context"

	"waybill/cdc"
)

// ReadRunway asks the server whatever the time.
func (s *Source) ReadRunway(ctx context.Context) (Runway, error) { return s.readRunway(ctx) }

// Tables returns the selected ones.
func (s *Source) Tables() []cdc.Table { return s.tables }
