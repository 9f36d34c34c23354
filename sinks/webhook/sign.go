package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"waybill/sinks/web"
)

// The headers of Standard Webhooks.
const (
	headerID        = "webhook-id"
	headerTime      = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// keysFor is how long secrets are used before they are read again: so soon a rotated one is found.
const keysFor = 10 * time.Second

// signer signs requests by secrets that may rotate. It implements web.Auth, so that the client lets no secret into a text.
type signer struct {
	secrets []web.Secret // those that are set

	mu    sync.Mutex
	at    time.Time // when they were read
	texts []string
	keys  [][]byte
}

var _ web.Auth = (*signer)(nil)

func newSigner(all ...web.Secret) *signer {
	s := &signer{}
	for _, secret := range all {
		if secret.Set() {
			s.secrets = append(s.secrets, secret)
		}
	}
	return s
}

// Apply implements web.Auth: the signatures are over the id, the time and the body.
func (s *signer) Apply(_ context.Context, r *http.Request, body []byte) error {
	keys, err := s.read()
	if err != nil || len(keys) == 0 {
		return err
	}
	var all []string
	for _, k := range keys {
		all = append(all, "v1,"+sign(k, r.Header.Get(headerID), r.Header.Get(headerTime), body))
	}
	r.Header.Set(headerSignature, strings.Join(all, " "))
	return nil
}

// sign is the signature of Standard Webhooks, version 1.
func sign(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Refused implements web.Auth: a signature is never renewed within a request.
func (s *signer) Refused(context.Context, web.Answer) (bool, error) {
	s.mu.Lock()
	s.at = time.Time{}
	s.mu.Unlock()
	return false, nil
}

// Secrets implements web.Auth.
func (s *signer) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.texts
}

func (s *signer) read() ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) < keysFor {
		return s.keys, nil
	}
	var texts []string
	var keys [][]byte
	for _, secret := range s.secrets {
		text, err := secret.Read()
		if err != nil {
			return nil, &web.AuthError{Err: err}
		}
		k, err := keyOf(text)
		if err != nil {
			return nil, &web.AuthError{Err: err}
		}
		texts, keys = append(texts, text, strings.TrimPrefix(text, secretPrefix)), append(keys, k)
	}
	s.texts, s.keys, s.at = texts, keys, time.Now()
	return keys, nil
}

const secretPrefix = "whsec_"

// keyOf decodes a secret. Errors do not show it.
func keyOf(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, errors.New("the signing secret does not begin with whsec_; make one with: echo \"whsec_$(openssl rand -base64 32)\"")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("the signing secret is not base64 after whsec_")
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("the signing secret has %d bytes; 24 to 64 are expected", len(key))
	}
	return key, nil
}
