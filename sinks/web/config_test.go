package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAuthConfigTellsAllFaults(t *testing.T) {
	c := AuthConfig{
		Basic:     &Basic{User: "a:b", Password: Plain("hunter2\nhunter2")},
		Bearer:    &Bearer{},
		APIKey:    &APIKey{Header: "x y", Prefix: "a\n"},
		OAuth2:    &OAuth2{TokenURL: "https://u:hunter2@x/token", SecretIn: "query", Params: map[string]string{"scope": "x"}, ClientSecret: Plain("hunter2"), Assertion: &Assertion{As: "x", Algorithm: "HS256", Certificate: "nowhere", Claims: map[string]string{"iss": "x"}}},
		OAuth1:    &OAuth1{Realm: `"`},
		Signature: &Signature{},
		CSRF:      &CSRF{Path: "x"},
		TLS:       TLS{CA: "nowhere", Key: "our.key"},
	}
	want := `auth: found "basic, bearer, api_key, oauth2, oauth1, signature", expected one kind of credentials
auth.basic.user: found "a:b", expected the name of the user, without a colon
auth.basic.password: found "several lines", expected one line
auth.bearer.token: found "", expected the secret, or token_file
auth.api_key.header: found "x y", expected the name of an HTTP header, such as X-Api-Key
auth.api_key.prefix: found "a\n", expected one line
auth.api_key.key: found "", expected the secret, or key_file
auth.oauth2.token_url: found "https://u:xxxxx@x/token", expected no credentials in the address of the token server
auth.oauth2.client_id: found "", expected the id that the token server knows us by
auth.oauth2.secret_in: found "query", expected header or body
auth.oauth2.params.scope: found "a parameter with a key of its own", expected another parameter
auth.oauth2.client_secret: found "both client_secret and assertion", expected one of them
auth.oauth2.assertion.as: found "x", expected client or grant
auth.oauth2.assertion.algorithm: found "HS256", expected ES256, ES384, ES512, PS256, PS384, PS512, RS256
auth.oauth2.assertion.key: found "", expected a private key in PEM, or key_file
auth.oauth2.assertion.certificate: found "nowhere", expected a certificate in PEM (open nowhere: no such file or directory)
auth.oauth2.assertion.claims.iss: found "a claim of its own", expected another claim
auth.oauth1.consumer_key: found "", expected the key of the integration record
auth.oauth1.token_id: found "", expected the id of the access token
auth.oauth1.realm: found "\"", expected a text without quotes
auth.oauth1.consumer_secret: found "", expected the secret, or consumer_secret_file
auth.oauth1.token_secret: found "", expected the secret, or token_secret_file
auth.signature.secret: found "", expected the secret, or secret_file
auth.csrf.path: found "x", expected a path behind url, beginning with /
auth.tls.key: found "our.key", expected cert and key together
auth.tls.ca: found "nowhere", expected certificates in PEM (open nowhere: no such file or directory)`
	if got := fmt.Sprint(c.Validate("auth.")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, c := range []struct {
		c     AuthConfig
		kinds []string
		ok    bool
	}{
		{AuthConfig{}, nil, true},
		{AuthConfig{}, []string{KindBasic}, false},
		{AuthConfig{Bearer: &Bearer{Token: Plain("abcd")}}, []string{KindBasic, KindOAuth2}, false},
		{AuthConfig{Basic: &Basic{User: "u", Password: Plain("abcd")}, CSRF: &CSRF{}}, []string{KindBasic}, true},
		{AuthConfig{CSRF: &CSRF{}}, nil, false},
	} {
		if err := c.c.Validate("auth.", c.kinds...); (err == nil) != c.ok {
			t.Errorf("%s for %v: %v", c.c.Kind(), c.kinds, err)
		}
	}
}

// A configuration that is printed, logged or encoded shows no secret.
func TestSecretsDoNotShowThemselves(t *testing.T) {
	c := AuthConfig{Basic: &Basic{User: "u", Password: Plain("hunter2")}, OAuth2: &OAuth2{ClientSecret: Plain("hunter2"), Assertion: &Assertion{Key: Plain("hunter2")}}}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "secret", c.Basic.Password, "block", *c.Basic, "all", *c.OAuth2)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "secret", c.Basic.Password, "block", c.Basic, "all", c)
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	text := b.String() + string(raw) + fmt.Sprintf("%v %+v %#v %s %v", *c.Basic, *c.Basic, *c.Basic, c.Basic.Password, *c.OAuth2)
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "***") {
		t.Error(text)
	}
}
