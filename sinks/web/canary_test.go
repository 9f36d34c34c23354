package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waybill/sinks"
)

const canary = "canary/7h3 s3cr3t+\"quoted\""

// parrot answers with everything that it was sent, in several forms, and gives tokens that are canaries too.
func parrot(status *int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/token" && *status < 300 {
			fmt.Fprint(w, `{"access_token":"canary-token-of-a-login","expires_in":60}`)
			return
		}
		said := map[string]any{"message": "you sent", "headers": r.Header, "body": string(body)}
		if user, password, ok := r.BasicAuth(); ok {
			said["user"], said["password"] = user, password
		}
		for name := range r.Header {
			w.Header().Add("X-Echo", name+"="+r.Header.Get(name))
		}
		if r.Header.Get("X-CSRF-Token") == "Fetch" {
			w.Header().Set("X-CSRF-Token", "canary-csrf-token")
			w.Header().Set("Set-Cookie", "SAP_SESSIONID=canary-cookie-of-a-session")
		}
		w.WriteHeader(*status)
		raw, _ := json.Marshal(said)
		w.Write(raw)
		w.Write(body)
		if _, password, ok := r.BasicAuth(); ok {
			fmt.Fprint(w, password)
		}
	}
}

// No secret of any kind comes back: not in an answer, a header, an error, an outcome or a log; whatever the target and the token server
// say, and also when they go away.
func TestNoSecretComesBack(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key")
	writeCert(t, cert, key, "canary", 1)
	pemKey, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	status := 200
	server := serving(t, parrot(&status))
	secret, token := Plain(canary), server.URL+"/token"
	hook := "whsec_" + base64.StdEncoding.EncodeToString([]byte("canary-canary-canary-canary-"))
	kinds := map[string]AuthConfig{
		"basic":     {Basic: &Basic{User: "u", Password: secret}},
		"bearer":    {Bearer: &Bearer{Token: secret}},
		"api_key":   {APIKey: &APIKey{Key: secret}},
		"oauth2":    {OAuth2: &OAuth2{TokenURL: token, ClientID: "c", ClientSecret: secret}},
		"in body":   {OAuth2: &OAuth2{TokenURL: token, ClientID: "c", ClientSecret: secret, SecretIn: "body"}},
		"assertion": {OAuth2: &OAuth2{TokenURL: token, ClientID: "c", Assertion: &Assertion{Algorithm: "ES256", Key: Plain(string(pemKey))}}},
		"oauth1":    {OAuth1: &OAuth1{ConsumerKey: "c", ConsumerSecret: secret, TokenID: "t", TokenSecret: Plain("canary-other")}},
		"signature": {Signature: &Signature{Secret: Plain(hook)}},
		"csrf":      {Basic: &Basic{User: "u", Password: secret}, CSRF: &CSRF{}},
	}
	shown := []string{"canary", "7h3 s3cr3t", "7h3+s3cr3t", "7h3%20s3cr3t", "c3cr3t", base64.StdEncoding.EncodeToString([]byte("u:" + canary)), strings.Split(string(pemKey), "\n")[1], strings.TrimPrefix(hook, "whsec_")}
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(slog.NewJSONHandler(&out, nil))
			note := func(a Answer) {
				log.Info("x", "err", a.Err, "answer", fmt.Sprintf("%+v %s", a, a.Body))
				o := Classify([]Case{{From: 200, To: 299, Class: sinks.Applied}}, Said{Status: a.Status, Message: string(a.Body), Field: string(a.Body)})
				if lost := Unanswered(a, false); lost != nil {
					o = *lost
				}
				raw, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				out.Write(raw)
			}
			for _, s := range []int{200, 400, 401, 403, 500} {
				status = s
				cl, err := c.Client(Options{}, server.URL)
				if err != nil {
					t.Fatal(err)
				}
				note(post(cl, server.URL))
				note(get(cl, server.URL))
				if s == 200 && c.Kind() != "" && len(cl.options.Auth.Secrets()) == 0 {
					t.Error("no secrets are told")
				}
				cl.Close()
			}
			status = 200
			cl, err := c.Client(Options{}, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			note(post(cl, server.URL))
			note(post(cl, "http://127.0.0.1:1/"+strings.ReplaceAll("canary-gone", "canary", "x")))
			log.Info("the configuration", "c", c, "text", fmt.Sprintf("%+v", c))
			for _, text := range shown {
				if i := strings.Index(out.String(), text); i >= 0 {
					t.Fatalf("%q shows itself: …%.200s", text, out.String()[max(0, i-100):])
				}
			}
			if !strings.Contains(out.String(), hidden) {
				t.Error("nothing was hidden: the target did not echo")
			}
		})
	}
}
