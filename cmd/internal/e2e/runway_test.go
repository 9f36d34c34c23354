package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestRunwayInStatus has a daemon tell how far its server is from removing log, in words and in JSON.
func TestRunwayInStatus(t *testing.T) {
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			l := newLog(t, kind, "")
			l.until(time.Minute, "the runway is known", func() bool {
				src, _ := l.source()
				return src.Runway != nil && src.Runway.Retained >= 0 && !src.Runway.At.IsZero()
			})
			src, problems := l.source()
			if src.Runway.Error != "" || src.Runway.State == "" || src.Runway.Left != -1 || strings.Contains(problems, "log runway") {
				t.Errorf("%+v, problems %q", src.Runway, problems)
			}
			if text := l.must("status"); !strings.Contains(text, "\n  db: log kept ") {
				t.Errorf("the status does not tell it:\n%s", text)
			}
			l.stop()
		})
	}
}
