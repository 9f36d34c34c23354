package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example of the Standard Webhooks specification's reference libraries.
func TestSignature(t *testing.T) {
	r, err := http.NewRequest("POST", "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	let := sign(func() time.Time { return time.Unix(1614265330, 0) })
	if err := let(r, []byte(`{"test": 2432232314}`), []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}); err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("Webhook-Signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || r.Header.Get("Webhook-Timestamp") != "1614265330" {
		t.Error(got)
	}
}

func TestTheSameRequestHasTheSameID(t *testing.T) {
	var ids []string
	server := serving(t, func(_ http.ResponseWriter, r *http.Request) { ids = append(ids, r.Header.Get("Webhook-Id")) })
	secret := Plain("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	cl := client(t, AuthConfig{Signature: &Signature{Secret: secret}}, Options{}, server.URL)
	for _, r := range []Request{{Body: []byte("a")}, {Body: []byte("a")}, {Body: []byte("b")}, {Body: []byte("b"), Header: map[string]string{"Idempotency-Key": "k7"}}} {
		r.Method, r.URL = "POST", server.URL
		if a := cl.Do(t.Context(), r); a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	if ids[0] != ids[1] || ids[1] == ids[2] || ids[3] != "k7" || !strings.HasPrefix(ids[0], "msg_") {
		t.Error(ids)
	}
	for _, bad := range []string{"secret-without-prefix", "whsec_####", "whsec_c2hvcnQ="} {
		cl := client(t, AuthConfig{Signature: &Signature{Secret: Plain(bad)}}, Options{}, server.URL)
		if a := post(cl, server.URL); a.Err == nil || a.Sent || strings.Contains(a.Err.Error(), bad) {
			t.Errorf("%+v", a)
		}
	}
}
