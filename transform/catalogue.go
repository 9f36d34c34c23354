package transform

import (
	"fmt"
	"slices"
	"strings"
)

// LaneSystem carries what Waybill says of itself: exceptions, activations, replays. No mapping makes such an event.
const LaneSystem Lane = "system"

// EventType is one event of the catalogue (domain.md §1.5). Whoever receives the event may rely on its required fields and on
// the form of every field that is named here; a mapping may add others.
type EventType struct {
	Name    string       `json:"type"`    // "<entity>.<past tense>": invoice.released
	Version int          `json:"version"` // raised by a breaking change alone; part of the CloudEvents type
	Lane    Lane         `json:"lane"`
	Owner   string       `json:"owner"`             // whose word it is: dispatch, billing, ERP or Waybill; a mapping may declare another
	Derived bool         `json:"derived,omitempty"` // Waybill makes it itself, and no rule of a mapping may
	Text    string       `json:"text"`              // what has happened
	Fields  []EventField `json:"fields,omitempty"`
}

// EventField is one field of an event's data.
type EventField struct {
	Name     string       `json:"name"`
	Kind     ValueKind    `json:"kind"`
	Required bool         `json:"required,omitempty"`
	Or       []string     `json:"or,omitempty"`     // other fields, one of which is as good: driver or carrier
	Fields   []EventField `json:"fields,omitempty"` // of each element of a list
}

// ValueKind is the form of a value. Money, quantities, times, references and codes have a plain form, which set gives, and a full one
// with parts (domain.md §1.7), which a mapping gives by dotted names: "amount.amount", "amount.currency".
type ValueKind string

// The forms.
const (
	KindText   ValueKind = "text"
	KindInt    ValueKind = "int"
	KindBool   ValueKind = "bool"
	KindDate   ValueKind = "date"
	KindMoney  ValueKind = "money"
	KindQty    ValueKind = "qty"
	KindWhen   ValueKind = "when"
	KindRef    ValueKind = "ref"
	KindCode   ValueKind = "code"
	KindList   ValueKind = "list"
	KindObject ValueKind = "object"
	KindAny    ValueKind = "any"

	KindInstant ValueKind = "instant" // of a time's full form alone
)

// The fields that several events share.
const (
	ofLoad     = " load:ref"
	ofCharge   = "charge:code! quantity:qty! amount:money! currency:text unit:text rate:money stop:ref evidence:text" + ofLoad
	ofDocument = "number:ref! date:date! currency:text! bill_to:ref! total:money! lines:list! revision:ref type:code original_revision:ref" +
		" net:money tax:money due_date:date service_date:date terms:code memo:text shipment:ref reason:code correction_code:code"
	ofMaster   = " entity_version:int effective_from:when effective_to:when approved_by:text change_set:ref before:object after:object active:bool"
	ofAddress  = " street:text city:text state:text postal_code:text country:text"
	ofPosting  = "sink:text! entity:text! external_id:text! "
	ofDecision = "exception:text! by:text why:text"
)

// listFields are the elements of the lists, by the list's name.
var listFields = map[string]string{
	"lines":     "no:ref charge:code description:text quantity:qty price:money net:money tax:any shipment:ref",
	"checklist": "item:text! met:bool! why:text",
	"charges":   "key:ref! charge:code amount:money state:code",
	"stops":     "stop:ref! type:code! location:ref! from:when to:when",
}

// events is the catalogue, in the order of a shipment's life. "!" marks what is required, "a|b" fields of which one is enough.
// A required field is one that every carrier's database can tell; of the rest the form alone is promised.
var events = []EventType{
	fact("order.created", "dispatch", "An order was taken.", "customer:ref! bill_to:ref currency:text service:code amount:money po:ref bol:ref pieces:qty weight:qty"+
		" pickup_from:when pickup_to:when delivery_from:when delivery_to:when stops:list"),
	fact("order.changed", "dispatch", "An order was changed.", "customer:ref bill_to:ref currency:text amount:money reason:code"),
	fact("order.cancelled", "dispatch", "An order was cancelled.", "reason:code"),
	fact("tender.accepted", "dispatch", "A carrier took the load.", "carrier:ref reason:code"+ofLoad),
	fact("tender.declined", "dispatch", "A carrier refused the load.", "reason:code! carrier:ref"+ofLoad),
	fact("appointment.set", "dispatch", "A time was agreed at a stop.", "appointment:when! stop:ref stop_type:code location:ref"+ofLoad),
	fact("load.assigned", "dispatch", "A driver or carrier got the load.", "driver|carrier:ref! tractor:ref trailer:ref equipment:code customer:ref assigned_at:when"+ofLoad),
	fact("load.reassigned", "dispatch", "Another driver or carrier got the load.",
		"driver|carrier:ref! previous_driver|previous_carrier:ref! tractor:ref trailer:ref reason:code"+ofLoad),
	fact("load.unassigned", "dispatch", "The load has no driver any more.", "previous_driver|previous_carrier:ref! reason:code"+ofLoad),
	fact("load.dispatched", "dispatch", "The load was sent on its way.", "driver:ref carrier:ref tractor:ref dispatched_at:when"+ofLoad),
	fact("stop.arrived", "dispatch", "The truck is at a stop.", "stop:ref! stop_type:code! location:ref! appointment:when"+ofLoad),
	fact("stop.departed", "dispatch", "The truck has left a stop.", "stop:ref! stop_type:code! location:ref! dwell_minutes:qty"+ofLoad),
	fact("shipment.loaded", "dispatch", "The freight is on the truck.", "pieces:qty weight:qty location:ref"+ofLoad),
	fact("shipment.departed", "dispatch", "The truck has left the pick-up with the freight.", "pieces:qty! weight:qty origin:ref bol:ref customer:ref"+ofLoad),
	fact("shipment.in_transit", "dispatch", "The freight is on the road.", "location:ref"+ofLoad),
	fact("shipment.interlined", "dispatch", "The freight passed to or from another line.", "carrier:ref location:ref"+ofLoad),
	fact("shipment.eta_changed", "dispatch", "The delivery is expected at another time.", "eta:when! stop:ref"+ofLoad),
	fact("shipment.delayed", "dispatch", "The delivery will be late.", "reason:code! accountable_party:code eta:when"+ofLoad),
	fact("shipment.delivery_failed", "dispatch", "A delivery was tried in vain.", "reason:code!"+ofLoad),
	fact("shipment.refused", "dispatch", "The receiver did not take the freight.", "reason:code"+ofLoad),
	fact("shipment.returned", "dispatch", "The freight went back to the shipper.", "reason:code"+ofLoad),
	fact("shipment.reconsigned", "dispatch", "The freight goes to another receiver.", "location:ref reason:code"+ofLoad),
	fact("shipment.exception_reported", "dispatch", "Freight is over, short or damaged.", "kind:code! quantity:qty note:text"+ofLoad),
	fact("shipment.partially_delivered", "dispatch", "A part of the freight was delivered.", "pieces:qty! remaining:qty receiver:text"+ofLoad),
	fact("shipment.delivered", "dispatch", "The freight was delivered.", "pieces:qty! weight:qty receiver:text location:ref bol:ref customer:ref"+ofLoad),
	fact("shipment.cancelled", "dispatch", "The shipment was cancelled.", "reason:code"+ofLoad),
	fact("pod.received", "dispatch", "The proof of delivery is in.", "document:ref type:code hash:text signed_by:text signed_at:when"+ofLoad),
	fact("accessorial.requested", "dispatch", "A charge beside the line haul was asked for.", ofCharge),
	fact("accessorial.approved", "dispatch", "The charge may be billed.", ofCharge+" approver:ref approved_at:when"),
	fact("accessorial.rejected", "dispatch", "The charge may not be billed.", "charge:code! amount:money reason:code"+ofLoad),
	fact("accessorial.waived", "dispatch", "The charge is not billed, by courtesy.", "charge:code! amount:money reason:code"+ofLoad),
	fact("accessorial.disputed", "billing", "The customer disputes the charge.", "charge:code! amount:money! reason:code party:ref"+ofLoad),
	fact("detention.approved", "dispatch", "Waiting time may be billed.", "amount:money! currency:text stop:ref quantity:qty free_minutes:qty billable_minutes:qty rate:money"+
		" arrived_at:when departed_at:when approver:ref"+ofLoad),
	fact("billing.ready", "Waybill", "Everything that billing needs is there: derived, unless a source says it itself.", "checklist:list charges:list"),
	fact("invoice.drafted", "billing", "An invoice was written.", "number:ref! currency:text! customer:ref bill_to:ref date:date total:money"),
	fact("invoice.held", "billing", "An invoice may not be released yet.", "number:ref! reason:code"),
	fact("invoice.released", "billing", "An invoice was released, with all that it says.", ofDocument+" original:ref"),
	fact("invoice.disputed", "billing", "The customer disputes an invoice.", "number:ref! amount:money reason:code line:ref"),
	fact("dispute.resolved", "billing", "A dispute is settled.", "resolution:code number:ref charge:code amount:money reason:code"),
	fact("invoice.rebilled", "billing", "An invoice replaces another.", ofDocument+" original:ref!"),
	fact("credit_memo.issued", "billing", "A credit was released, with all that it says.", ofDocument+" original:ref"),
	fact("invoice.voided", "billing", "An invoice is void.", "number:ref! currency:text reason:code"),
	derivedType("invoice.requested", LaneTransactional, "A billing system was asked for a shipment's invoice, and took the request.", ofPosting+"number:text facts:object"),
	derivedType("erp.posted", LaneTransactional, "The ERP has a document in its books.",
		ofPosting+"number:text posting_date:date currency:text net:money tax:money total:money facts:object"),
	derivedType("erp.rejected", LaneTransactional, "The ERP refuses a document.",
		ofPosting+"step:text! class:text! code:text! message:text field:text hint:text facts:object"),
	fact("gl.batch_posted", "ERP", "A day's summary is in the general ledger.", "batch:ref! journal:ref! currency:text! debit:money! credit:money! members:list"),
	fact("payment.received", "billing", "The customer has paid.", "amount:money! currency:text customer:ref number:ref date:date unapplied:money id:ref"),

	master("customer.changed", "A customer.", "code:ref! name:text! email:text phone:text tax_id:text payment_term:code"+ofAddress),
	master("location.changed", "A place.", "code:ref! name:text zone:text unlocode:text"+ofAddress),
	master("item.changed", "What is sold.", "code:ref! name:text description:text"),
	master("contract_rate.changed", "A price that was agreed.", "code:ref! customer:ref charge:code rate:money currency:text"),
	master("tax_code.changed", "A tax.", "code:ref! name:text rate:qty"),
	master("account_mapping.changed", "The account of a charge.", "code:ref! charge:code account:ref"),

	derivedType("exception.opened", LaneSystem, "Something needs a person.", "exception:text! class:text! code:text! title:text! owner:text subject:text amount:money"),
	derivedType("exception.assigned", LaneSystem, "An exception has an owner.", ofDecision+" owner:text!"),
	derivedType("exception.resubmitted", LaneSystem, "What an exception holds is tried again.", ofDecision),
	derivedType("exception.resolved", LaneSystem, "What an exception held is right now.", ofDecision),
	derivedType("exception.waived", LaneSystem, "A person lets an exception pass.", ofDecision),
	derivedType("mapping.activated", LaneSystem, "Other rules hold.", "mapping:text! by:text why:text"),
	derivedType("replay.started", LaneSystem, "Stored events are delivered again.", "selection:text! by:text! why:text"),
	derivedType("replay.finished", LaneSystem, "A replay has ended.", "selection:text! events:int posts:int"),
	derivedType("source.schema_changed", LaneSystem, "A table of a source has another shape.", "source:text! table:text! reason:text"),
}

// catalogue finds an event by its name; of several versions the newest.
var catalogue = func() map[string]*EventType {
	all := map[string]*EventType{}
	for i := range events {
		if t := all[events[i].Name]; t == nil || t.Version < events[i].Version {
			all[events[i].Name] = &events[i]
		}
	}
	return all
}()

func fact(name, owner, text, fields string) EventType {
	return EventType{Name: name, Version: 1, Lane: LaneTransactional, Owner: owner, Text: text, Fields: fieldList(fields)}
}

func master(name, text, fields string) EventType {
	return EventType{Name: name, Version: 1, Lane: LaneMaster, Owner: "dispatch", Text: text + " It is new, or its fields are others.", Fields: fieldList(fields + ofMaster)}
}

func derivedType(name string, lane Lane, text, fields string) EventType {
	return EventType{Name: name, Version: 1, Lane: lane, Owner: "Waybill", Derived: true, Text: text, Fields: fieldList(fields)}
}

// fieldList reads fields as the table writes them. What is wrong there is a bug of this file, found when the program starts.
func fieldList(text string) []EventField {
	var all []EventField
	for _, word := range strings.Fields(text) {
		names, kind, ok := strings.Cut(word, ":")
		kind, required := strings.CutSuffix(kind, "!")
		if !ok || !slices.Contains(valueKinds, ValueKind(kind)) {
			panic(fmt.Sprintf("the catalogue's field %q", word))
		}
		either := strings.Split(names, "|")
		for i, name := range either {
			f := EventField{Name: name, Kind: ValueKind(kind), Required: required}
			if len(either) > 1 {
				f.Or = slices.Delete(slices.Clone(either), i, i+1)
			}
			if f.Kind == KindList && listFields[name] != "" {
				f.Fields = fieldList(listFields[name])
			}
			all = append(all, f)
		}
	}
	return all
}

var valueKinds = []ValueKind{KindText, KindInt, KindBool, KindDate, KindMoney, KindQty, KindWhen, KindRef, KindCode, KindList, KindObject, KindAny, KindInstant}

// EventTypes returns the catalogue, in the order of a shipment's life. The caller does not change it.
func EventTypes() []EventType { return events }

// EventTypeOf returns the newest version of an event, or nil when the catalogue does not have it.
func EventTypeOf(name string) *EventType { return catalogue[name] }

// eventNames are the events that a rule of a mapping may make, sorted.
func eventNames() []string {
	var names []string
	for name, t := range catalogue {
		if !t.Derived {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// field finds a field by the name that a mapping gives it. Of a dotted name it is the field before the first dot, and the rest is in
// part.
func (t *EventType) field(name string) (f *EventField, part string) {
	head, part, _ := strings.Cut(name, ".")
	return fieldOf(t.Fields, head), part
}

func fieldOf(all []EventField, name string) *EventField {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// Needs are the required fields: of each list one has a value.
func (t *EventType) Needs() [][]string {
	var all [][]string
	seen := map[string]bool{}
	for _, f := range t.Fields {
		if !f.Required || seen[f.Name] {
			continue
		}
		one := append([]string{f.Name}, f.Or...)
		for _, name := range one {
			seen[name] = true
		}
		all = append(all, one)
	}
	return all
}
