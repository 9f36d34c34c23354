package mysql

import (
	"context"
	"fmt"

	"waybill/cdc"
)

// Strain implements cdc.TableReader. The server does not know how far its replicas are.
func (s *Source) Strain(ctx context.Context) (cdc.Strain, error) {
	rd, err := s.readers.take(ctx, &s.cfg)
	if err != nil {
		return cdc.Strain{}, fmt.Errorf("asking source %s for its clock: %w", s.cfg.Name, err)
	}
	at, err := rd.guard.clock(ctx)
	s.readers.give(rd, err != nil)
	if err != nil {
		return cdc.Strain{}, fmt.Errorf("asking source %s for its clock: %w", s.cfg.Name, err)
	}
	return cdc.Strain{Clock: at}, nil
}
