package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Signature signs each request as Standard Webhooks 1.0 says: webhook-id, webhook-timestamp, webhook-signature. The id is the header
// Webhook-Id or Idempotency-Key of the request; one that has neither is named by a digest of itself, so the same request has the same id.
type Signature struct {
	// whsec_ and base64 of 24 to 64 bytes; or secret_file, secret_command.
	Secret Secret `yaml:"secret"`
}

func (s Signature) validate(at string, bad fault) { needs(at+"secret", s.Secret, bad) }

func (s Signature) auth() Auth {
	return &static{secrets: []Secret{s.Secret}, let: sign(time.Now), derived: func(texts []string) []string {
		return []string{strings.TrimPrefix(texts[0], "whsec_")}
	}}
}

func sign(now func() time.Time) func(r *http.Request, body []byte, texts []string) error {
	return func(r *http.Request, body []byte, texts []string) error {
		key, err := signingKey(texts[0])
		if err != nil {
			return &AuthError{Err: err}
		}
		id := r.Header.Get("Webhook-Id")
		if id == "" {
			id = r.Header.Get("Idempotency-Key")
		}
		if id == "" {
			sum := sha256.Sum256([]byte(r.Method + "\n" + r.URL.String() + "\n" + string(body)))
			id = "msg_" + hex.EncodeToString(sum[:16])
		}
		stamp := strconv.FormatInt(now().Unix(), 10)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		r.Header.Set("Webhook-Id", id)
		r.Header.Set("Webhook-Timestamp", stamp)
		r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		return nil
	}
}

var errSigningKey = errors.New("the signing secret is not whsec_ and base64 of 24 to 64 bytes")

func signingKey(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	if !ok {
		return nil, errSigningKey
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errSigningKey
	}
	return key, nil
}
