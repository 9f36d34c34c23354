// Package arrows holds the test of the house's rules: which package may import which, which one holds the door to a
// driver, and which code may not look at a clock.
package arrows
