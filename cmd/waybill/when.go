package main

import (
	"strings"
	"time"

	"waybill/cmd/internal/config"
)

// whenForms is what --since and --until take beside a duration.
const whenForms = "a time such as 2026-03-08T14:05:00Z, 2026-03-08 14:05 or 2026-03-08 (local), or a time ago such as 2h or 3d"

// when reads a point in time as people write it.
func (a *app) when(flag, text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, text, a.zone); err == nil {
			return t, nil
		}
	}
	if d, err := config.ParseDuration(text); err == nil && d > 0 {
		return a.now().Add(-d), nil
	}
	return time.Time{}, usage("", "--%s: found %q, expected %s", flag, text, whenForms)
}

// period reads --since and --until.
func (a *app) period(since, until string) (from, to time.Time, err error) {
	if from, err = a.when("since", since); err != nil {
		return from, to, err
	}
	if to, err = a.when("until", until); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, usage("", "--since %s is not before --until %s", since, until)
	}
	return from, to, nil
}
