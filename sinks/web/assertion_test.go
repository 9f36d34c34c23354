package web

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCert writes a certificate of its own for a key, and the key.
func writeCert(t *testing.T, cert, key, name string, serial int64) *x509.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cert, "CERTIFICATE", der)
	write(t, key, "PRIVATE KEY", pkcs8(t, private))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemText(kind string, der []byte) Secret {
	return Plain(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func part(t *testing.T, text string, into any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// Each algorithm is verified with the public key, by the standard library and not by our own code.
func TestAssertions(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curves := map[string]*ecdsa.PrivateKey{}
	for name, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if curves[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	sec1, err := x509.MarshalECPrivateKey(curves["ES256"])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		alg string
		key Secret
	}{
		{"RS256", pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		{"PS256", pemText("PRIVATE KEY", pkcs8(t, rsaKey))}, {"PS384", pemText("PRIVATE KEY", pkcs8(t, rsaKey))}, {"PS512", pemText("PRIVATE KEY", pkcs8(t, rsaKey))},
		{"ES256", pemText("EC PRIVATE KEY", sec1)}, {"ES384", pemText("PRIVATE KEY", pkcs8(t, curves["ES384"]))}, {"ES512", pemText("PRIVATE KEY", pkcs8(t, curves["ES512"]))},
	} {
		t.Run(c.alg, func(t *testing.T) {
			i := newIssuer(t)
			a := Assertion{Algorithm: c.alg, Key: c.key, KeyID: "cert-7", Claims: map[string]string{"scope": "rest_webservices"}}
			cl := client(t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", ClientID: "c1", Assertion: &a}}, Options{}, i.URL)
			if answer := post(cl, i.URL); answer.Status != 200 {
				t.Fatalf("%+v", answer)
			}
			if i.form.Get("grant_type") != "client_credentials" || i.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || i.form.Has("client_id") {
				t.Errorf("%v", i.form)
			}
			parts := strings.Split(i.form.Get("client_assertion"), ".")
			var header map[string]string
			var claims struct {
				Iss, Sub, Aud, Scope, Jti string
				Iat, Nbf, Exp             int64
			}
			part(t, parts[0], &header)
			part(t, parts[1], &claims)
			if header["alg"] != c.alg || header["kid"] != "cert-7" || header["typ"] != "JWT" {
				t.Errorf("%v", header)
			}
			now := time.Now().Unix()
			if claims.Iss != "c1" || claims.Sub != "c1" || claims.Aud != i.URL+"/token" || claims.Scope != "rest_webservices" || claims.Jti == "" ||
				claims.Iat > now || claims.Exp < now || claims.Exp-claims.Iat > 600 {
				t.Errorf("%+v", claims)
			}
			signature, err := base64.RawURLEncoding.DecodeString(parts[2])
			if err != nil {
				t.Fatal(err)
			}
			hash := algorithms[c.alg].hash
			h := hash.New()
			h.Write([]byte(parts[0] + "." + parts[1]))
			digest := h.Sum(nil)
			switch key := curves[c.alg]; {
			case c.alg == "RS256":
				err = rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest, signature)
			case key == nil:
				err = rsa.VerifyPSS(&rsaKey.PublicKey, hash, digest, signature, &rsa.PSSOptions{SaltLength: hash.Size()})
			default:
				half := len(signature) / 2
				if half != (key.Params().BitSize+7)/8 || !ecdsa.Verify(&key.PublicKey, digest, new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])) {
					t.Errorf("a signature of %d bytes that does not verify", len(signature))
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// The forms that Entra and plain grants take.
func TestFormsOfAssertions(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "our.crt"), filepath.Join(dir, "our.key")
	parsed := writeCert(t, cert, key, "waybill", 1)
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t)
	a := Assertion{Algorithm: "ES256", Key: Plain(string(text)), Certificate: File(cert), SendID: true}
	cl := client(t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", ClientID: "c1", Assertion: &a, Scope: "x/.default"}}, Options{}, i.URL)
	if answer := post(cl, i.URL); answer.Status != 200 || i.form.Get("client_id") != "c1" || i.form.Get("scope") != "x/.default" {
		t.Fatalf("%+v %v", answer, i.form)
	}
	var header map[string]string
	part(t, strings.Split(i.form.Get("client_assertion"), ".")[0], &header)
	sum := sha256.Sum256(parsed.Raw)
	if header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) || header["kid"] != "" {
		t.Errorf("%v", header)
	}
	i.answer = func(token string) (int, string) { return 200, `{"access_token":"` + token + `"}` }
	a = Assertion{As: "grant", Algorithm: "ES256", Key: Plain(string(text)), Issuer: "svc", Subject: "ann", Audience: "aud"}
	cl = client(t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", Assertion: &a}}, Options{}, i.URL)
	if answer := post(cl, i.URL); answer.Status != 200 || i.form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || i.form.Has("client_assertion") {
		t.Fatalf("%+v %v", answer, i.form)
	}
	var claims map[string]any
	part(t, strings.Split(i.form.Get("assertion"), ".")[1], &claims)
	if claims["iss"] != "svc" || claims["sub"] != "ann" || claims["aud"] != "aud" {
		t.Errorf("%v", claims)
	}
	i.answer = nil
	for _, bad := range []Assertion{{Algorithm: "PS256", Key: Plain(string(text))}, {Algorithm: "ES384", Key: Plain(string(text))}, {Algorithm: "ES256", Key: Plain("hunter2-key")},
		{Algorithm: "ES256", Key: Plain("-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n")}} {
		cl := client(t, AuthConfig{OAuth2: &OAuth2{TokenURL: i.URL + "/token", ClientID: "c1", Assertion: &bad}}, Options{}, i.URL)
		before := i.logins.Load()
		if answer := post(cl, i.URL); answer.Err == nil || strings.Contains(answer.Err.Error(), "hunter2") || i.logins.Load() != before {
			t.Errorf("%+v", answer)
		}
	}
}
