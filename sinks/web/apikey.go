package web

import "net/http"

// APIKey is a key in a header, with each request.
type APIKey struct {
	// Name of the header. Default X-Api-Key.
	Header string `yaml:"header"`
	// What stands before the key: "token " for Frappe.
	Prefix string `yaml:"prefix"`
	// The key; or key_file, key_command.
	Key Secret `yaml:"key"`
}

func (k APIKey) validate(at string, bad fault) {
	if k.Header != "" && !HeaderName(k.Header) {
		bad(at+"header", k.Header, "the name of an HTTP header, such as X-Api-Key")
	}
	if !oneLine(k.Prefix) {
		bad(at+"prefix", k.Prefix, "one line")
	}
	needs(at+"key", k.Key, bad)
}

func (k APIKey) auth() Auth {
	if k.Header == "" {
		k.Header = "X-Api-Key"
	}
	return prefixed(k.Header, k.Prefix, k.Key)
}

// prefixed puts a secret into a header, behind a word that is none.
func prefixed(header, prefix string, s Secret) Auth {
	return &static{secrets: []Secret{s}, let: func(r *http.Request, _ []byte, texts []string) error {
		r.Header.Set(header, prefix+texts[0])
		return nil
	}}
}
