// Package s4hana posts into one company code of SAP S/4HANA Cloud: business partners and products by OData V2, journal entries by SOAP.
//
// Nothing here has met the product. The facts are those of reference/erp.md (2.2, 3 and 7), with its tags; what is marked [K] there is marked so
// in ADAPTER.md, which says how `waybill check` or a test tenant finds it out. What the code relies on:
//
//   - Writes carry a CSRF token and the cookies of its session; a 403 with X-CSRF-Token: Required was not executed [S1]. web does that.
//   - A changeset of a $batch is done as a whole or not at all, in its order; what the outside answers with says nothing about its parts, and a
//     changeset that fails has one answer [S5].
//   - An update needs If-Match [S8, K]: each part carries the ETag that was read.
//   - A SOAP message with the UUID of one that was processed is not processed again, and has the same answer [S4]. So a message keeps its UUID
//     over retries, and gets another only after the target has certainly refused it: the same one would only bring back the same refusal.
//   - RequestID and RepeatabilityCreation are sent only where the configuration says that the tenant honours them [S2].
//   - A sum without a currency's digits, a date with a time, a key that cannot be found again: none is sent, each is refused.
//   - Errors have a transactionid [S10]; it is kept in the facts, for SAP's support asks for it.
package s4hana
