package netsuite

import (
	"fmt"
	"net/http"
	"strings"
)

// problem is a refusal.
type problem struct {
	status   int
	details  []detail
	location string
}

// detail is one entry of o:errorDetails. One of its four places is set, or none.
type detail struct {
	Detail string `json:"detail"`
	Code   string `json:"o:errorCode"`
	Path   string `json:"o:errorPath,omitempty"`
	URL    string `json:"o:urlPath,omitempty"`
	Header string `json:"o:errorHeader,omitempty"`
	Query  string `json:"o:errorQueryParam,omitempty"`
}

const (
	invalidContent = "INVALID_CONTENT"
	userError      = "USER_ERROR"
)

func (p *problem) answer() answer {
	a := answer{status: p.status, fault: true, header: map[string]string{}, body: map[string]any{"type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4",
		"title": http.StatusText(p.status), "status": p.status, "o:errorDetails": p.details}}
	if p.location != "" {
		a.header["Location"] = p.location
	}
	return a
}

func (p *problem) text() string {
	var all []string
	for _, d := range p.details {
		all = append(all, fmt.Sprintf("%s %s: %s", d.Code, d.Path, d.Detail))
	}
	return strings.Join(all, "; ")
}

func refusal(status int, d detail) *problem { return &problem{status: status, details: []detail{d}} }

// content refuses a value of the body.
func content(path, text string, args ...any) *problem {
	return refusal(http.StatusBadRequest, detail{Detail: "Error while accessing a resource. " + fmt.Sprintf(text, args...), Code: invalidContent, Path: path})
}

// invalidValue refuses a reference, in the words of the vendor's own sample.
func invalidValue(path, value, field string) *problem {
	return content(path, "You have entered an Invalid Field Value %s for the following field: %s", value, field)
}

// wrong refuses what the business rules do not allow.
func wrong(code, path, text string, args ...any) *problem {
	return refusal(http.StatusBadRequest, detail{Detail: "Error while accessing a resource. " + fmt.Sprintf(text, args...), Code: code, Path: path})
}

func badHeader(name, text string) *problem {
	return refusal(http.StatusBadRequest, detail{Detail: text, Code: "INVALID_HEADER", Header: name})
}

func badQuery(name, text string) *problem {
	return refusal(http.StatusBadRequest, detail{Detail: text, Code: "INVALID_PARAMETER", Query: name})
}

func badURL(part, text string) *problem {
	return refusal(http.StatusBadRequest, detail{Detail: text, Code: "INVALID_ID", URL: part})
}

func notFound(part string) *problem {
	return refusal(http.StatusNotFound, detail{Detail: "The record instance does not exist. Provide a valid record instance ID.", Code: "NONEXISTENT_ID", URL: part})
}

var invalidLogin = refusal(http.StatusUnauthorized, detail{Code: "INVALID_LOGIN",
	Detail: "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI at Setup > Users/Roles > User Management > View Login Audit Trail."})

// failures are what the account answers before it looks at a request, or instead of its answer.
func failures(status int) answer {
	d := detail{Detail: "An unexpected error occurred.", Code: "UNEXPECTED_ERROR"}
	switch status {
	case http.StatusTooManyRequests:
		d = detail{Detail: "Concurrent request limit exceeded. Request blocked.", Code: "CONCURRENCY_LIMIT_EXCEEDED"}
	case http.StatusServiceUnavailable:
		d = detail{Detail: "The service is temporarily unavailable.", Code: "SERVICE_UNAVAILABLE"}
	}
	return refusal(status, d).answer()
}
