// Package businesscentral simulates Dynamics 365 Business Central online, API v2.0, with a token endpoint like Entra's: companies, customers,
// locations, items, tax areas, sales invoices and credit memos with their lines, journals and general ledger entries. It is written from
// the reference (erp.md §2.3) and, where that is silent, from the vendor's public pages: the resource types of API v2.0 (fields, what is read-only, bound
// actions), "Troubleshooting OData/API calls" (error codes) and "Using OData transactional $batch requests". What no page says is marked
// [K] where it stands. It is a simulator: what the product really does is asked of the product.
package businesscentral
