package postgres

import (
	"context"

	"waybill/cdc"
)

// ReadRunway asks the server whatever the time.
func (s *Source) ReadRunway(ctx context.Context) (cdc.Runway, error) {
	s.guard.reading.Lock()
	defer s.guard.reading.Unlock()
	return s.readRunway(ctx)
}

// Tables returns the selected ones.
func (s *Source) Tables() []cdc.Table { return s.tables }
