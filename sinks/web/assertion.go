package web

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // of the 384 and 512 bit algorithms
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Assertion is a JSON Web Token, signed anew for each login, that says who we are (RFC 7523). NetSuite takes PS256 or ES256 with key_id and
// claims: { scope: rest_webservices }; Entra takes PS256 with certificate.
type Assertion struct {
	// client (default): it authenticates the client of client credentials. grant: it is the grant itself.
	As string `yaml:"as"`
	// RS256, PS256, PS384, PS512, ES256, ES384 or ES512. Default PS256.
	Algorithm string `yaml:"algorithm"`
	// Private key in PEM, of RSA or of the algorithm's curve; key_file, key_command.
	Key Secret `yaml:"key"`
	// Name of the key in the header: kid. NetSuite: the certificate id.
	KeyID string `yaml:"key_id"`
	// Our certificate (PEM), whose thumbprint goes into the header: x5t#S256. Entra wants it.
	Certificate File `yaml:"certificate"`
	// iss and sub. Default: client_id, and the issuer.
	Issuer  string `yaml:"issuer"`
	Subject string `yaml:"subject"`
	// aud. Default: token_url.
	Audience string `yaml:"audience"`
	// More claims, as texts.
	Claims map[string]string `yaml:"claims"`
	// Whether client_id is sent beside the assertion, as Entra wants it.
	SendID bool `yaml:"send_id"`
}

// assertionLife is how long an assertion is good for; it is used at once. Clocks may differ by assertionSkew.
const (
	assertionLife = 5 * time.Minute
	assertionSkew = 30 * time.Second
)

func (a Assertion) validate(at string, bad fault) {
	if !slices.Contains([]string{"", "client", "grant"}, a.As) {
		bad(at+"as", a.As, "client or grant")
	}
	if _, known := algorithms[a.algorithm()]; !known {
		bad(at+"algorithm", a.Algorithm, strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
	}
	if !a.Key.Set() {
		bad(at+"key", "", "a private key in PEM, or key_file")
	}
	if a.Certificate != "" {
		if _, err := thumbprint(a.Certificate); err != nil {
			bad(at+"certificate", string(a.Certificate), "a certificate in PEM ("+err.Error()+")")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Claims)) {
		if slices.Contains([]string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti"}, name) {
			bad(at+"claims."+name, "a claim of its own", "another claim")
		}
	}
}

func (a Assertion) algorithm() string {
	if a.Algorithm == "" {
		return "PS256"
	}
	return a.Algorithm
}

// sign makes an assertion. The errors do not show the key.
func (a Assertion) sign(client, tokenURL, key string, now time.Time) (string, error) {
	name := a.algorithm()
	header := map[string]string{"typ": "JWT", "alg": name}
	if a.KeyID != "" {
		header["kid"] = a.KeyID
	}
	if a.Certificate != "" {
		print, err := thumbprint(a.Certificate)
		if err != nil {
			return "", fmt.Errorf("the certificate of the assertion: %w", err)
		}
		header["x5t#S256"] = print
	}
	claims := map[string]any{"iat": now.Add(-assertionSkew).Unix(), "nbf": now.Add(-assertionSkew).Unix(), "exp": now.Add(assertionLife).Unix(), "jti": rand.Text()}
	issuer := cmp.Or(a.Issuer, client)
	claims["iss"], claims["sub"], claims["aud"] = issuer, cmp.Or(a.Subject, issuer), cmp.Or(a.Audience, tokenURL)
	for name, value := range a.Claims {
		claims[name] = value
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	signature, err := algorithms[name].sign(key, text)
	if err != nil {
		return "", fmt.Errorf("signing the assertion with %s: %w", name, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// algorithm of RFC 7518, 3.1.
type algorithm struct {
	hash crypto.Hash
	pss  bool // RSASSA-PSS in place of PKCS #1 v1.5
	bits int  // of the curve; 0: RSA
}

var algorithms = map[string]algorithm{
	"RS256": {crypto.SHA256, false, 0},
	"PS256": {crypto.SHA256, true, 0}, "PS384": {crypto.SHA384, true, 0}, "PS512": {crypto.SHA512, true, 0},
	"ES256": {crypto.SHA256, false, 256}, "ES384": {crypto.SHA384, false, 384}, "ES512": {crypto.SHA512, false, 521},
}

func (a algorithm) sign(keyText, text string) ([]byte, error) {
	key, err := privateKey(keyText)
	if err != nil {
		return nil, err
	}
	h := a.hash.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		switch {
		case a.bits != 0:
			return nil, errors.New("the key is one of RSA")
		case a.pss:
			return rsa.SignPSS(rand.Reader, key, a.hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, key, a.hash, digest)
	case *ecdsa.PrivateKey:
		if size := key.Curve.Params().BitSize; size != a.bits {
			return nil, fmt.Errorf("the key is one of a curve of %d bits", size)
		}
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		width := (a.bits + 7) / 8 // RFC 7518, 3.4: both numbers in full width
		return append(r.FillBytes(make([]byte, width)), s.FillBytes(make([]byte, width))...), nil
	}
	return nil, errors.New("the key is neither of RSA nor of a curve")
}

// privateKey reads PKCS #8, PKCS #1 or SEC 1. No error shows the text.
func privateKey(text string) (any, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the key is not in PEM")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("the key is none of PKCS #8, PKCS #1 and SEC 1 without a password")
}

// thumbprint is the x5t#S256 of a certificate (RFC 7515, 4.1.8).
func thumbprint(file File) (string, error) {
	text, err := os.ReadFile(string(file))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", errors.New("no certificate in it")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return "", err
	}
	sum := sha256.Sum256(block.Bytes)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
