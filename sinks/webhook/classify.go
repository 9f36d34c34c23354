package webhook

import (
	"waybill/sinks"
	"waybill/sinks/web"
)

// table says what an answer means. Of a receiver that is not well, 500 may be of this one event alone; so it counts, and after some
// attempts the event is an exception.
var table = []web.Case{
	{From: 200, To: 299, Class: sinks.Applied},
	{From: 300, To: 399, Class: sinks.Setup, As: "ADDRESS", Hint: "The receiver has moved: write its new address into url. No redirect is followed."},
	{From: 401, To: 401, Class: sinks.Setup, As: "AUTH", Hint: "The receiver does not accept the signature: compare the secrets."},
	{From: 403, To: 403, Class: sinks.Setup, As: "AUTH", Hint: "The receiver does not let us in: ask its owner."},
	{From: 404, To: 405, Class: sinks.Setup, As: "ADDRESS", Hint: "Nobody takes events at this address: correct url."},
	{From: 410, To: 410, Class: sinks.Setup, As: "GONE", Hint: "The receiver wants no more events. Ask its owner, and take it out of the mapping's publish."},
	{From: 408, To: 408, Class: sinks.RetryLater, As: "OUTAGE", Outage: true},
	{From: 425, To: 425, Class: sinks.RetryLater, As: "TOO_EARLY"},
	{From: 429, To: 429, Class: sinks.RetryLater, As: "RATE"},
	{From: 413, To: 413, Class: sinks.Rejected, As: "TOO_LARGE", Hint: "The event is larger than the receiver takes."},
	{From: 400, To: 499, Class: sinks.Rejected, As: "REFUSED", Hint: "Read the answer and settle with the receiver's owner what is wrong with the event; then retry it, or discard it."},
	{From: 502, To: 504, Class: sinks.RetryLater, As: "OUTAGE", Outage: true},
	{Class: sinks.RetryLater, As: "FAILED"},
}
