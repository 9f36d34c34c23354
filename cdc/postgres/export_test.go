package postgres

import "context"

// ReadRunway asks the server whatever the time.
func (s *Source) ReadRunway(ctx context.Context) (Runway, error) { return s.readRunway(ctx) }
