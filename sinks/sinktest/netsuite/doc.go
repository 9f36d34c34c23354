// Package netsuite simulates the REST web services of Oracle NetSuite: the record API with external ids, asynchronous jobs, batches, both ways to
// log in, limits and faults. It is a simulator. Nothing here says what the product really does; a sandbox account does.
//
// Where reference/erp.md (2.1) speaks, it is followed, and the tags are its own: record/v1 with PUT eid: (NS7), the alphabet of external ids
// (NS8), one record a type and external id (NS9), jobs and the idempotency key, which counts only with Prefer: respond-async (NS10, NS4), batches of
// at most 100 (NS5), errors (NS16), dates (NS17), sublists that a PATCH adds to and ?replace= replaces (NS18), one limit for the whole account
// (NS6, NS11), governanceLimits (NS14), TBA with HMAC-SHA256 (NS2), tokens for a signed assertion (NS3).
//
// Where it is silent, the vendor's help pages were followed: the parameters of the assertion, 60 minutes of a token (section_162790605110,
// section_162755359851), the body of an invalid login and of an invalid reference (section_156570709583), the headers of a batch and how its parts
// are found (article_0127092747), the status of a job (subsect_161278579295), the answer of governanceLimits (article_0625010817). The texts
// and codes of USER_ERROR, CONCURRENCY_LIMIT_EXCEEDED and CLOSED_TRAN_PRD are from public code that met them.
//
// Assumed, and to be found out in a sandbox: an unknown property without the header X-NetSuite-PropertyNameValidation is only warned of; a wrong
// value without X-NetSuite-PropertyValueValidation is an error; a second record with the same external id by POST is a USER_ERROR; a PUT with an
// internal id is refused; RCRD_HAS_BEEN_CHANGED has status 400; expires_in is a string; the paths below a job's task.
package netsuite
