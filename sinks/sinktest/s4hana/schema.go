package s4hana

import "strings"

// Types of properties.
const (
	kindText    = 's'
	kindDecimal = 'd'
	kindDate    = 't'
	kindBool    = 'b'
)

// property is one of an entity, with its greatest length when it is a text.
type property struct {
	kind byte
	most int
}

// set is an entity set of a service.
type set struct {
	service string
	keys    []string
	props   map[string]property
	order   []string
	navs    map[string]string // navigation property → set
	writes  bool              // may be created and changed
	etag    bool
}

// sets is the part of the published services that an integration of customers, items and documents needs. A property is name:kind and length; keys
// stand first, as many as count.
var sets = map[string]*set{
	"A_BusinessPartner": define("API_BUSINESS_PARTNER", 1, true, true, `BusinessPartner:s10 BusinessPartnerCategory:s1 BusinessPartnerGrouping:s4 BusinessPartnerFullName:s81
		BusinessPartnerName:s81 BusinessPartnerIDByExtSystem:s20 BusinessPartnerIsBlocked:b IsMarkedForArchiving:b OrganizationBPName1:s40 OrganizationBPName2:s40 OrganizationBPName3:s40 OrganizationBPName4:s40 FirstName:s40 LastName:s40
		SearchTerm1:s20 SearchTerm2:s20 Language:s2 CorrespondenceLanguage:s2 Customer:s10 Supplier:s10 CreationDate:t LastChangeDate:t ETag:s26 BusinessPartnerType:s4 LegalForm:s2`,
		"to_BusinessPartnerAddress=A_BusinessPartnerAddress to_BusinessPartnerRole=A_BusinessPartnerRole to_BuPaIdentification=A_BuPaIdentification to_Customer=A_Customer to_BusinessPartnerTax=A_BusinessPartnerTaxNumber"),
	"A_BusinessPartnerAddress": define("API_BUSINESS_PARTNER", 2, true, true, `BusinessPartner:s10 AddressID:s10 StreetName:s60 HouseNumber:s10 StreetPrefixName:s40 StreetSuffixName:s40 CityName:s40 PostalCode:s10
		Country:s3 Region:s3 Language:s2 District:s40 AdditionalStreetSuffixName:s40 AddressTimeZone:s6`,
		"to_EmailAddress=A_AddressEmailAddress to_PhoneNumber=A_AddressPhoneNumber"),
	"A_AddressEmailAddress":      define("API_BUSINESS_PARTNER", 3, true, false, `AddressID:s10 Person:s10 OrdinalNumber:s3 EmailAddress:s241 IsDefaultEmailAddress:b`, ""),
	"A_AddressPhoneNumber":       define("API_BUSINESS_PARTNER", 3, true, false, `AddressID:s10 Person:s10 OrdinalNumber:s3 PhoneNumber:s30 PhoneNumberType:s1 DestinationLocationCountry:s3 PhoneNumberExtension:s10 IsDefaultPhoneNumber:b`, ""),
	"A_BusinessPartnerRole":      define("API_BUSINESS_PARTNER", 2, true, false, `BusinessPartner:s10 BusinessPartnerRole:s6 ValidFrom:t ValidTo:t`, ""),
	"A_BuPaIdentification":       define("API_BUSINESS_PARTNER", 3, true, false, `BusinessPartner:s10 BPIdentificationType:s6 BPIdentificationNumber:s60 BPIdnNmbrIssuingInstitute:s40 Country:s3 Region:s3 ValidityStartDate:t ValidityEndDate:t`, ""),
	"A_BusinessPartnerTaxNumber": define("API_BUSINESS_PARTNER", 2, true, false, `BusinessPartner:s10 BPTaxType:s4 BPTaxNumber:s20 BPTaxLongNumber:s60`, ""),
	"A_Customer": define("API_BUSINESS_PARTNER", 1, true, false, `Customer:s10 CustomerName:s80 CustomerFullName:s220 CustomerAccountGroup:s4 OrderIsBlockedForCustomer:s2 BillingIsBlockedForCustomer:s2
		PostingIsBlocked:b DeletionIndicator:b DeliveryIsBlocked:s2 CreationDate:t TaxNumber1:s16 VATRegistration:s20`, "to_CustomerCompany=A_CustomerCompany to_CustomerSalesArea=A_CustomerSalesArea"),
	"A_CustomerCompany":   define("API_BUSINESS_PARTNER", 2, true, false, `Customer:s10 CompanyCode:s4 ReconciliationAccount:s10 PaymentTerms:s4 PaymentMethodsList:s10 DeletionIndicator:b CustomerAccountNote:s30 LayoutSortingRule:s3`, ""),
	"A_CustomerSalesArea": define("API_BUSINESS_PARTNER", 4, true, false, `Customer:s10 SalesOrganization:s4 DistributionChannel:s2 Division:s2 Currency:s5 CustomerPaymentTerms:s4 OrderIsBlockedForCustomer:s2 BillingIsBlockedForCustomer:s2 IncotermsClassification:s3`, ""),
	"A_Product": define("API_PRODUCT_SRV", 1, true, true, `Product:s40 ProductType:s4 CrossPlantStatus:s2 IsMarkedForDeletion:b ProductOldID:s40 BaseUnit:s3 ProductGroup:s9 Division:s2 ItemCategoryGroup:s4 IndustrySector:s1 CreationDate:t LastChangeDate:t`,
		"to_Description=A_ProductDescription"),
	"A_ProductDescription": define("API_PRODUCT_SRV", 2, true, false, `Product:s40 Language:s2 ProductDescription:s40`, ""),
	"A_CompanyCode":        define("API_COMPANYCODE_SRV", 1, false, false, `CompanyCode:s4 CompanyCodeName:s25 Country:s3 Currency:s5 ChartOfAccounts:s4 FiscalYearVariant:s2`, ""),
	"A_BillingDocument": define("API_BILLING_DOCUMENT_SRV", 1, false, true, `BillingDocument:s10 BillingDocumentType:s4 SDDocumentCategory:s4 BillingDocumentCategory:s1 BillingDocumentDate:t CreationDate:t SalesOrganization:s4 CompanyCode:s4 SoldToParty:s10
		PayerParty:s10 TransactionCurrency:s5 TotalNetAmount:d TotalTaxAmount:d TotalGrossAmount:d DocumentReferenceID:s16 AssignmentReference:s18 AccountingDocument:s10 FiscalYear:s4 FiscalPeriod:s3 BillingDocumentIsCancelled:b
		CancelledBillingDocument:s10 OverallBillingStatus:s1 CustomerPaymentTerms:s4 AccountingPostingStatus:s1 AccountingTransferStatus:s1`, "to_Item=A_BillingDocumentItem"),
	"A_BillingDocumentItem":         define("API_BILLING_DOCUMENT_SRV", 2, false, false, `BillingDocument:s10 BillingDocumentItem:s6 Material:s40 BillingDocumentItemText:s40 BillingQuantity:d NetAmount:d TaxAmount:d GrossAmount:d TransactionCurrency:s5`, ""),
	"A_OperationalAcctgDocItemCube": define("API_OPLACCTGDOCITEMCUBE_SRV", 4, false, false, items, ""),
	"A_JournalEntryItemBasic":       define("API_JOURNALENTRYITEMBASIC_SRV", 4, false, false, items, ""),
}

// items are the lines of journal entries, in both services that read them.
const items = `CompanyCode:s4 FiscalYear:s4 AccountingDocument:s10 AccountingDocumentItem:s3 FiscalPeriod:s3 AccountingDocumentType:s2 DocumentReferenceID:s16 AccountingDocumentHeaderText:s25 DocumentDate:t PostingDate:t
	GLAccount:s10 Customer:s10 FinancialAccountType:s1 DebitCreditCode:s1 AmountInTransactionCurrency:d TransactionCurrency:s5 AmountInCompanyCodeCurrency:d CompanyCodeCurrency:s5 TaxCode:s2 DocumentItemText:s50 AssignmentReference:s18
	IsReversal:b IsReversed:b ReverseDocument:s10 ReverseDocumentFiscalYear:s4 OriginalReferenceDocument:s20 ReferenceDocumentType:s5 Reference1IDByBusinessPartner:s12 CreationDate:t AccountingDocumentCreatedByUser:s12`

func define(service string, keys int, writes, etag bool, props, navs string) *set {
	s := &set{service: service, props: map[string]property{}, navs: map[string]string{}, writes: writes, etag: etag}
	for i, field := range strings.Fields(props) {
		name, form, _ := strings.Cut(field, ":")
		p := property{kind: form[0]}
		for _, digit := range form[1:] {
			p.most = 10*p.most + int(digit-'0')
		}
		s.props[name] = p
		s.order = append(s.order, name)
		if i < keys {
			s.keys = append(s.keys, name)
		}
	}
	for _, nav := range strings.Fields(navs) {
		name, to, _ := strings.Cut(nav, "=")
		s.navs[name] = to
	}
	return s
}

// services are the names that an address may have.
func serviceKnown(name string) bool {
	for _, s := range sets {
		if s.service == name {
			return true
		}
	}
	return false
}
