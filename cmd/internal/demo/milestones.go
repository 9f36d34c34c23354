package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"waybill/pipeline"
)

// publication is what each carrier's mapping says, in the demo, of the events that go out as they are.
const publication = `
publish:
  shipment.*, pod.received -> milestones.shipments:
`

// milestonesFolder holds the files of the sink milestones.
const milestonesFolder = "milestones"

// milestones waits until every milestone is in a closed file, and counts them: each event is there once, through all kills.
func (s *show) milestones(ctx context.Context) error {
	var types map[string]int
	files := 0
	err := s.poll(ctx, "closing the files of milestones", func(status pipeline.Status) (bool, error) {
		if len(status.Feeds) != 1 || status.Feeds[0].Behind > 0 {
			return false, nil
		}
		var err error
		if types, files, err = readMilestones(filepath.Join(s.Dir, milestonesFolder)); err != nil {
			return false, err
		}
		total := 0
		for _, n := range types {
			total += n
		}
		return uint64(total) == status.Feeds[0].Published, nil
	})
	if err != nil {
		return err
	}
	s.console.say("Milestones as CloudEvents, in %d closed files of %s/, each event once:", files, milestonesFolder)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		s.console.say("%6d  %s", types[name], name)
	}
	return nil
}

// readMilestones counts the events of the closed files by type. An event that stands there twice is an error.
func readMilestones(folder string) (types map[string]int, files int, err error) {
	names, err := filepath.Glob(filepath.Join(folder, "[^.]*.jsonl"))
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", folder, err)
	}
	types = map[string]int{}
	seen := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, 0, fmt.Errorf("reading the milestones: %w", err)
		}
		for line := range bytes.Lines(text) {
			var event struct{ ID, Type string }
			if err := json.Unmarshal(line, &event); err != nil {
				return nil, 0, fmt.Errorf("reading %s: %w", filepath.Base(name), err)
			}
			if seen[event.ID] {
				return nil, 0, fmt.Errorf("the event %s is in the milestones twice", event.ID)
			}
			seen[event.ID] = true
			types[strings.TrimPrefix(event.Type, "io.waybill.freight.")]++
		}
	}
	return types, len(names), nil
}
