// Package s4hana simulates what an integration sees of SAP S/4HANA Cloud. It is a simulator, for faults, limits and crashes, written from
// documents; what the product really does is asked of the product. Marks as in the project's notes on ERP interfaces: V verified in a vendor's
// page, S seen in a secondary source only, K known and not verified.
//
// What it offers, and where from:
//
//   - OData V2 below /sap/opu/odata/sap/: API_BUSINESS_PARTNER, API_PRODUCT_SRV, API_COMPANYCODE_SRV (read), API_BILLING_DOCUMENT_SRV (read, Cancel;
//     it creates nothing [S]), API_OPLACCTGDOCITEMCUBE_SRV and API_JOURNALENTRYITEMBASIC_SRV (read: the items of journal entries). Property names are
//     those of the published services [S]; errors in the V2 form with innererror.transactionid and errordetails [V]; Edm.Decimal as strings and
//     Edm.DateTime as /Date(ms)/ [S]; a property that the service does not have, or of another type, is refused.
//   - Writes need the X-CSRF-Token of a session with its cookie; without it 403 and X-CSRF-Token: Required, nothing done [S].
//   - If-Match on PATCH, MERGE and DELETE of entities that have an ETag: 428 without, 412 when it is old [V that it is needed, K the statuses].
//   - $batch as multipart/mixed: a changeset is done as a whole or not at all, in its order, without GET inside and without another changeset;
//     the status outside is 202 whatever its parts say [V].
//   - Journal entries by SOAP (JournalEntryCreateRequestConfirmation): the answer carries a document number or log items with a severity [S]; a
//     MessageHeader/UUID is processed once within a window, and then answered in the same way [V]. Nothing keeps a reference unique.
//   - Billing from outside by SOAP (BILLINGDOCUMENTREQUEST_IN): answered 202 without a body, so that an error shows in a monitor only [S]; that
//     the billing document appears at once and carries the reference is K.
//   - RequestID with RepeatabilityCreation, where the options say that the services honour them; the answer carries RepeatabilityResult [V the
//     headers, open which services do].
//   - Communication user (basic), OAuth2 client credentials at /sap/bc/sec/oauth2/token [K], or the client certificate that a proxy in front
//     of it hands on in SSL_CLIENT_CERT [K], for the simulator speaks no TLS.
//
// The faults are those of sinktest.Sim: Locked answers 400 with a message that the object is being processed by user … [S], ExpireTokens ends
// tokens and sessions, PartialBatch fails one part of a batch, StaleReads hides what is younger than the fault's delay.
package s4hana
