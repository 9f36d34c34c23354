package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads what time.ParseDuration reads, and whole or broken days before it: 30d, 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("not a duration: %q", text)
		}
		return d, nil
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || math.Abs(n) > 36500 {
		return 0, fmt.Errorf("not a duration: %q", text)
	}
	total := time.Duration(n * float64(24*time.Hour))
	if rest == "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("not a duration: %q", text)
	}
	return total + d, nil
}
