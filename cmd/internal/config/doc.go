// Package config loads waybill.yaml: one strict file, with every fault reported at once, each with its line.
//
// A key that is not known is an error with a suggestion, because a misspelt key that is silently ignored is a setting
// that its author believes in. Any text may name an environment variable as ${NAME}; a secret may also be given as a
// file (password_file beside password).
package config
