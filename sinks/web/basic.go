package web

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// Basic is a user and a password, with each request (RFC 7617).
type Basic struct {
	// Name of the user, without a colon.
	User string `yaml:"user"`
	// Of the user; or password_file, password_command.
	Password Secret `yaml:"password"`
}

func (b Basic) validate(at string, bad fault) {
	if b.User == "" || strings.ContainsAny(b.User, ":\r\n") {
		bad(at+"user", b.User, "the name of the user, without a colon")
	}
	needs(at+"password", b.Password, bad)
}

func (b Basic) auth() Auth {
	return &static{secrets: []Secret{b.Password}, let: func(r *http.Request, _ []byte, texts []string) error {
		r.SetBasicAuth(b.User, texts[0])
		return nil
	}, derived: func(texts []string) []string {
		return []string{base64.StdEncoding.EncodeToString([]byte(b.User + ":" + texts[0]))}
	}}
}
