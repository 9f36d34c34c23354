package netsuite

import (
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/sinks/web"
)

func TestConfigValidate(t *testing.T) {
	parse := func(t *testing.T, text string) (c Config) {
		t.Helper()
		if err := yaml.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	tba := web.AuthConfig{OAuth1: &web.OAuth1{ConsumerKey: "ck", ConsumerSecret: web.Plain("cs"), TokenID: "ti", TokenSecret: web.Plain("ts")}}
	c := parse(t, "account: 1234567_sb1\nfields: { customer.tax_id: custentity_ein }\ntaxes: { TX: { code: TX_8.25 }, EX: { exempt: true } }")
	c.Auth = tba
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	d := c.withDefaults()
	if d.URL != "https://1234567-sb1.suitetalk.api.netsuite.com" || d.Account != "1234567_SB1" || d.Horizon != 15*time.Minute || d.Mode != modeSync || d.Prefix != "waybill" || d.Auth.OAuth1.Realm != "1234567_SB1" || tba.OAuth1.Realm != "" {
		t.Errorf("defaults: %+v", d)
	}
	for _, f := range []struct{ text, want string }{
		{"account: ''", `account: found "", expected an account id`},
		{"account: 1234567/x", `account: found "1234567/x"`},
		{"url: suitetalk", `url: found "suitetalk"`},
		{"url: https://me:hunter2@x.example", `url: found "https://me:xxxxx@x.example"`},
		{"prefix: Way_bill", `prefix: found "Way_bill"`},
		{"mode: soon", `mode: found "soon", expected sync, async`},
		{"addresses: all", `addresses: found "all", expected own, create`},
		{"poll: 1h", `poll: found "1h0m0s"`},
		{"timeout: 2h", `timeout: found "2h0m0s"`},
		{"horizon: -1s", `horizon: found "-1s"`},
		{"item_type: a/b", `item_type: found "a/b"`},
		{"fields: { customer.tax_id: 'a b' }", `fields.customer.tax_id: found "a b"`},
		{"taxation: VAT", `taxation: found "VAT", expected details, lines, none`},
		{"fields: { customer.street: custentity_x }", `fields.customer.street: found "custentity_x", expected one of customer.code, customer.email`},
		{"taxes: { TX: {} }", `taxes.TX.code: found ""`},
	} {
		text := "account: '1234567'\n" + f.text
		if strings.HasPrefix(f.text, "account") {
			text = f.text
		}
		c := parse(t, text)
		c.Auth = tba
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("%s: %v, want %s", f.text, err, f.want)
		}
	}
	if err := (Config{Account: "1", Auth: web.AuthConfig{Basic: &web.Basic{}}}).Validate(); err == nil || !strings.Contains(err.Error(), `auth: found "basic", expected one of oauth2, oauth1, bearer`) {
		t.Errorf("basic: %v", err)
	}
	own := Config{Account: "1", Auth: web.AuthConfig{OAuth2: &web.OAuth2{ClientID: "x", Assertion: &web.Assertion{Key: web.Plain("k"), KeyID: "c"}}}}
	if err := own.Validate(); err != nil {
		t.Error(err)
	}
	if a := own.withDefaults().Auth.OAuth2; a.TokenURL != "https://1.suitetalk.api.netsuite.com/services/rest/auth/oauth2/v1/token" || a.Assertion.Claims["scope"] != "rest_webservices" {
		t.Errorf("%+v", a)
	}
}
