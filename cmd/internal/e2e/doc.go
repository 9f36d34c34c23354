// Package e2e tests the built program from outside, as its users have it: the real binary, real databases, a real ERP.
package e2e
