// Package books compares the books of two systems that Waybill keeps together: every document that billing has released must be
// posted in the ERP once, to the right customer, with the same money, and nothing else may be there.
//
// It is an auditor, so it shares nothing with what it audits: it imports no package of this module, reads billing by SQL and the
// ERP by its own small RPC client, and does its own arithmetic. Keep it so.
package books
