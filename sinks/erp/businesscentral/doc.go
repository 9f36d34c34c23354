// Package businesscentral posts into one company of Dynamics 365 Business Central by its API v2.0. Tags in brackets are the sources that
// the project's notes on ERP interfaces list.
//
// Keys. A document is found by its external document number, which is made of the external id; the number is a code there, in upper case and of
// 35 characters, and nothing keeps it unique [B6]. A client may choose the id of a record [B2], although the page of invoices calls it not
// editable; where the server takes it (client_ids), a document that is sent twice is refused with Internal_EntityWithSameKeyExists [B9], and
// where it does not, each create is preceded by a search. Masters are found by their own codes.
//
// Reads. Business Central answers most GETs from a replica that is behind [B4, B5], so each GET here asks for the primary
// (Data-Access-Intent: ReadWrite). The language is pinned, for it governs messages, dates and numbers [B4]. No filter uses a lambda, which
// would be ignored silently, or joins two fields by "or" [B11].
//
// Steps. Creating and posting are two commits; the id survives the posting [B6]. A draft has no accounting effect. PATCH and DELETE need an
// If-Match [B8]; it is sent with every write to a record that is there.
//
// Batches. The lines of a journal are created by a batch of at most 100 operations [B7] in one transaction (Isolation: snapshot); nothing is posted
// by a batch, for posting commits [B3].
//
// Limits count for each user, service principals too [B7]: 5 requests at a time, 95 that wait, and each runs 8 minutes at most. So
// several principals take turns, with at most 5 requests each, and a write of unknown outcome is certainly absent after 10 minutes at the earliest.
package businesscentral
