// Package httpjson asks services that answer questions of the rules over HTTP in JSON: contracts and rates, whether an accessorial is
// allowed, credit. It is the simplest form that a billing service can offer or be wrapped into:
//
//	GET <url>/<question>?<key>=<value>&…&as_of=2026-10-01&company=NSTAR
//
//	200 with a JSON object   the answer; an ETag is its version
//	200 with null, 204,
//	404 with a JSON object   there is none
//	400, 409, 422            the question is not taken; the text says why
//	401, 403, 3xx, 405,
//	404 without JSON         the address or the credentials are wrong: nothing can be asked
//	408, 425, 429            later, after Retry-After
//	5xx, and silence         the service is down
//
// Redirects are not followed: credentials go to the address that is configured and nowhere else.
package httpjson
