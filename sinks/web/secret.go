package web

import (
	"log/slog"
	"strings"
)

// Secret is a secret of a configuration: a file, a variable of the environment or the output of a command, read anew each time, so that one
// that was rotated is found. It never shows itself (Invariant 12). The configuration decodes it from the keys name, name_file and
// name_command.
type Secret struct {
	read  func() (string, error)
	lines bool // a fixed text of several lines
}

// Plain is a secret that does not change.
func Plain(text string) Secret {
	return Secret{func() (string, error) { return text, nil }, strings.ContainsAny(text, "\r\n\x00")}
}

// From is a secret that read gives as it is now.
func From(read func() (string, error)) Secret { return Secret{read: read} }

// Set reports whether there is one.
func (s Secret) Set() bool { return s.read != nil }

// Multiline reports whether it is known to be a text that cannot stand in a header. Nothing is read for it.
func (s Secret) Multiline() bool { return s.lines }

// Read gives the secret as it is now; "" when none is set. The error does not hold it.
func (s Secret) Read() (string, error) {
	if s.read == nil {
		return "", nil
	}
	return s.read()
}

// String hides the secret.
func (s Secret) String() string {
	if s.read == nil {
		return ""
	}
	return hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the secret from every encoder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
