package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
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

// signer signs requests by secrets that may rotate.
type signer struct {
	secrets []web.Secret // those that are set

	mu    sync.Mutex
	at    time.Time // when they were read
	texts []string
	keys  [][]byte
}

func newSigner(all ...web.Secret) *signer {
	s := &signer{}
	for _, secret := range all {
		if secret.Set() {
			s.secrets = append(s.secrets, secret)
		}
	}
	return s
}

// header is what a request with the id and the body says of who sent it; without a signature when there are no secrets.
func (s *signer) header(id string, at time.Time, body []byte) (map[string]string, error) {
	keys, err := s.read()
	if err != nil {
		return nil, err
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	header := map[string]string{headerID: id, headerTime: stamp}
	var all []string
	for _, k := range keys {
		all = append(all, "v1,"+sign(k, id, stamp, body))
	}
	if len(all) > 0 {
		header[headerSignature] = strings.Join(all, " ")
	}
	return header, nil
}

// sign is the signature of Standard Webhooks, version 1.
func sign(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// hide takes the secrets out of a text: a receiver knows them.
func (s *signer) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.texts {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
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
			return nil, err
		}
		k, err := keyOf(text)
		if err != nil {
			return nil, err
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
