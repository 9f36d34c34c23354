package transform

// mastersShape is the section of governed entities, for editors.
func mastersShape() fileShape {
	many := wordShape("how many persons approve", persons...)
	when := wordShape("as of when the field holds for the document", asOfOrder, asOfInvoice)
	return namedShape("entities whose changes come into force by rules: customer, location, item, contract_rate, tax_code, account_mapping", recordShape("how its versions come into force", masterKeys, map[string]fileShape{
		"approve": eitherShape("who approves a change", many, recordShape("by field", approveKeys, map[string]fileShape{
			"default": many, "new": many, "fields": namedShape("by field", many)})),
		"effective": recordShape("from and to when a row holds", effectiveKeys, map[string]fileShape{
			"from": valueShape("the first day, or an instant"), "to": valueShape("the last day, or an instant")}),
		"by":    valueShape("who made the change in the source"),
		"owner": textShape("the team that approves"),
		"validate": namedShape("what each field must be, beside what the targets say", recordShape("what a field must be", validateKeys, map[string]fileShape{
			"required": flagShape("it has a value"),
			"most":     {"type": "integer", "minimum": 1, "maximum": 100000, "description": "characters"},
			"values":   listShape("what it may be", scalarShape),
			"form":     textShape("a pattern (RE2)"),
			"means":    textShape("the pattern in words"),
			"needs":    textShape("another field that has a value when this one has"),
		})),
		"drift": namedShape("by document: what must not have changed since the order", recordShape("what must not have changed", driftKeys, map[string]fileShape{
			"key": valueShape("of the entity, in the words of the document"), "since": valueShape("the day of the order"), "fields": namedShape("by field", when)}, driftKeys...)),
	}))
}
