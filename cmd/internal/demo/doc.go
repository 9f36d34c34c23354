// Package demo runs Waybill's whole way on one machine: the carrier Northstar with its two legacy databases, a real ERP, some
// working days of business, a few disasters, and the books at the end.
//
// The carrier's data and its days are made by a seed and a start: the same two make the same SQL. Nothing in them is real.
package demo
