package s4hana

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"waybill/sinks"
)

// itemRequest is the frozen intent of a product. Its number is the item's code: a key of our own choice, which can be there only once.
type itemRequest struct {
	ID   string `json:"message_id"`
	Code string `json:"code"`
	Name string `json:"name"`
	Unit string `json:"unit"`
	Live *bool  `json:"active,omitempty"`
}

// productKeys are product numbers that are kept as they are: one of digits only would be filled with zeros.
var productKeys = regexp.MustCompile(`^[A-Z0-9._/-]{1,40}$`)

func (x *exchange) prepareItem(op sinks.Operation, _ time.Time) (any, *sinks.Outcome) {
	var b item
	if out := strict(op.Body, &b); out != nil {
		return nil, out
	}
	b.Name = strings.TrimSpace(b.Name)
	switch {
	case b.Code == "" || b.Name == "":
		return nil, rejected("REQUIRED", "code, name", fmt.Sprintf("code is %q and name is %q; both are needed.", b.Code, b.Name), "Fill them in the mapping.")
	case !productKeys.MatchString(b.Code) || strings.Trim(b.Code, "0123456789") == "":
		return nil, rejected("KEY", "code", fmt.Sprintf("The code %q is no product number.", b.Code), "It has at most 40 capital letters, digits and . _ / -, and not digits only.")
	case utf8.RuneCountInString(b.Name) > nameMost:
		return nil, rejected("NAME", "name", "The name has more than 40 characters.", "Shorten it in the source.")
	}
	req := itemRequest{ID: x.messageID(op, stepUpsert), Code: b.Code, Name: b.Name, Unit: b.Unit, Live: b.Active}
	if req.Unit == "" {
		req.Unit = x.cfg.Product.Unit
	}
	if _, out := x.product(req.Code); out != nil {
		return nil, out
	}
	return req, nil
}

// product reads a product; nil without an outcome means that there is none.
func (x *exchange) product(code string) (object, *sinks.Outcome) {
	all, out := x.query(productService+"A_Product", "Product eq "+quoted(code), "to_Description", "")
	if out != nil || len(all) == 0 {
		return nil, out
	}
	return all[0], nil
}

func (x *exchange) upsertItem(in sinks.Intent) sinks.Outcome {
	var req itemRequest
	if out := frozen(in, &req); out != nil {
		return *out
	}
	p, out := x.product(req.Code)
	if out != nil {
		return *out
	}
	if p == nil {
		body := object{"Product": req.Code, "ProductType": x.cfg.Product.Type, "BaseUnit": req.Unit,
			"to_Description": several(object{"Product": req.Code, "Language": x.cfg.Partner.Language, "ProductDescription": req.Name})}
		if x.cfg.Product.Group != "" {
			body["ProductGroup"] = x.cfg.Product.Group
		}
		if req.Live != nil && !*req.Live {
			body["IsMarkedForDeletion"] = true
		}
		if _, out := x.write(productService, []change{{Method: http.MethodPost, Path: "A_Product", Body: body}}, in, req.ID); out != nil {
			return *out
		}
		return itemOutcome(sinks.Applied, req)
	}
	changes := x.itemChanges(p, req)
	if len(changes) == 0 {
		return itemOutcome(sinks.AlreadyApplied, req)
	}
	if _, out := x.write(productService, changes, in, req.ID); out != nil {
		return *out
	}
	return itemOutcome(sinks.Applied, req)
}

func (x *exchange) verifyItem(in sinks.Intent) sinks.Outcome {
	var req itemRequest
	if out := frozen(in, &req); out != nil {
		return *out
	}
	p, out := x.product(req.Code)
	switch {
	case out != nil:
		return *out
	case p == nil:
		return sinks.Outcome{Class: sinks.Absent, Message: fmt.Sprintf("S/4HANA has no product %s.", req.Code)}
	}
	if changes := x.itemChanges(p, req); len(changes) > 0 {
		return sinks.Outcome{Class: sinks.Absent, Ref: req.Code, Message: "The product has other values in " + keysOf(changes) + "."}
	}
	return itemOutcome(sinks.AlreadyApplied, req)
}

func itemOutcome(class sinks.Class, req itemRequest) sinks.Outcome {
	return sinks.Outcome{Class: class, Ref: req.Code, Number: req.Code, Facts: map[string]string{"name": req.Name}}
}

// itemChanges are what makes p what is wanted. A product's unit cannot be changed.
func (x *exchange) itemChanges(p object, req itemRequest) (all []change) {
	if dead := req.Live != nil && !*req.Live; dead != p.truth("IsMarkedForDeletion") {
		all = append(all, change{Method: http.MethodPatch, Path: "A_Product(" + quoted(req.Code) + ")", ETag: p.etag(), Body: object{"IsMarkedForDeletion": dead}})
	}
	for _, d := range p.list("to_Description") {
		if d.text("Language") == x.cfg.Partner.Language {
			at := "A_ProductDescription(Product=" + quoted(req.Code) + ",Language=" + quoted(x.cfg.Partner.Language) + ")"
			return appendChange(all, d, at, differ(d, object{"ProductDescription": req.Name}))
		}
	}
	return append(all, change{Method: http.MethodPost, Path: "A_ProductDescription", Body: object{"Product": req.Code, "Language": x.cfg.Partner.Language, "ProductDescription": req.Name}})
}
