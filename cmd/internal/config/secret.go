package config

import (
	"errors"
	"log/slog"
	"strings"
)

// Secret is a text that never shows itself: printed, logged or encoded it is ***. Reveal gives the text to the one
// place that needs it (Invariant 12).
type Secret string

const hidden = "***"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the secret from JSON, YAML and every other encoder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// maxSecret bounds a file with a secret.
const maxSecret = 64 << 10

var errEmptySecret = errors.New("the file with the secret is empty")

// readSecret reads the file of a secret. Files made by people and by Kubernetes end with a line feed that is not part of it.
// The error never holds the secret; it is errEmptySecret, or one of the file system.
func readSecret(file string) (string, error) {
	text, err := readBounded(file, maxSecret)
	if err != nil {
		return "", err
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", errEmptySecret
	}
	return text, nil
}

// rereadable is a secret that its adapter can ask for anew before each connection.
type rereadable struct {
	text *string                 // as it was at the start
	ask  *func() (string, error) // set when the secret came from a file: reads it as it is now
}
