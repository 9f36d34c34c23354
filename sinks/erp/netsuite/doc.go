// Package netsuite is the adapter of Oracle NetSuite, by SuiteTalk REST web services. Nothing of it has run against the product: see
// ADAPTER.md for what was run against the simulator and what is not verified.
//
// Facts that it stands on, with the sources of the reference (NS…) and how sure they are (V verified in the vendor's pages, S seen in a
// secondary source, K knowledge to be tested):
//
//   - PUT /services/rest/record/v1/{type}/eid:{externalId} creates or updates (NS7, V). A blind PUT would update a posted invoice, so a
//     document is looked for first; NetSuite has no request that only creates by an external id (V).
//   - An external id has letters, digits, _ and -; a pipe is a separator (NS8, V). One record has one, and one application owns those of a
//     record type (NS9, V): ours begin with a prefix. Whether they distinguish cases is not said, so ours do not rely on it.
//   - X-NetSuite-Idempotency-Key counts with Prefer: respond-async alone (NS4, S). The second request is refused with 400
//     IDEMPOTENCY_ERROR and the Location of the first one's job (NS10, V).
//   - 202 and Location of a job; the job says completed and progress, its tasks have results (NS10, V).
//   - Concurrency is one budget for the whole account (NS6, V); 429 has no Retry-After (S). A request ends after 15 minutes (NS6, V): before that
//     absence proves nothing.
//   - Errors are o:errorDetails with o:errorCode and o:errorPath (NS16, V). Property names and values are checked strictly by two headers (NS4, S).
//   - Dates have no zone (NS17, V). PUT and PATCH add lines to a sublist; ?replace= exchanges it (NS18, V).
//   - Only SuiteTax is supported by REST (vendor's pages of invoice, creditmemo and salesTaxItem, V): taxes are details of lines, which can be given
//     as they are.
//   - Saving an invoice posts it (K): documents have one step.
package netsuite
