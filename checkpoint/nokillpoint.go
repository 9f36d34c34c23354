//go:build !killpoint

package checkpoint

// killpoint does nothing: see killpoint.go.
func killpoint(string, []*request) {}
