package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The example of RFC 5849, 3.4.1.1, with the parameters of its form in the address.
func TestBaseString(t *testing.T) {
	u, err := url.Parse("http://EXAMPLE.com:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b&c2&a3=2+q")
	if err != nil {
		t.Fatal(err)
	}
	got := baseString("post", u, [][2]string{{"oauth_consumer_key", "9djdj82h48djs9d2"}, {"oauth_token", "kkk9d7dh3k39sjv7"}, {"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", "137131201"}, {"oauth_nonce", "7d8f3e4a"}})
	want := "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2" +
		"%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

var oauthParam = regexp.MustCompile(`(\w+)="([^"]*)"`)

func TestOAuth1(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		p := map[string]string{}
		for _, m := range oauthParam.FindAllStringSubmatch(strings.TrimPrefix(r.Header.Get("Authorization"), "OAuth "), -1) {
			p[m[1]], _ = url.PathUnescape(m[2])
		}
		base := "PUT&" + percent("http://"+r.Host+"/record/v1/invoice/eid%3Ax") + "&" + percent("oauth_consumer_key=ck&oauth_nonce="+p["oauth_nonce"]+
			"&oauth_signature_method=HMAC-SHA256&oauth_timestamp="+p["oauth_timestamp"]+"&oauth_token=tk&oauth_version=1.0&replace=item")
		mac := hmac.New(sha256.New, []byte("c0nsumer%26s&t0ken-s"))
		mac.Write([]byte(base))
		if p["realm"] != "1234567_SB1" || p["oauth_signature"] != base64.StdEncoding.EncodeToString(mac.Sum(nil)) || len(p["oauth_nonce"]) < 20 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[p["oauth_nonce"]] {
			t.Error("a nonce twice")
		}
		seen[p["oauth_nonce"]] = true
	})
	cl := client(t, AuthConfig{OAuth1: &OAuth1{ConsumerKey: "ck", ConsumerSecret: Plain("c0nsumer&s"), TokenID: "tk", TokenSecret: Plain("t0ken-s"), Realm: "1234567_SB1"}}, Options{}, server.URL)
	many(10, func(int) {
		a := cl.Do(t.Context(), Request{Method: "PUT", URL: server.URL + "/record/v1/invoice/eid%3Ax?replace=item", Body: []byte("{}")})
		if a.Status != 200 {
			t.Errorf("%+v", a)
		}
	})
}

// NetSuite refuses a timestamp that is older than the last one.
func TestTimestampsNeverGoBack(t *testing.T) {
	clock := newClock()
	s := &signer{now: clock.now}
	var last int64
	for _, step := range []time.Duration{0, time.Second, -time.Hour, time.Minute, 2 * time.Hour, -24 * time.Hour} {
		clock.forward(step)
		r, err := http.NewRequest("GET", "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.sign(r, nil, []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`oauth_timestamp="(\d+)"`).FindStringSubmatch(r.Header.Get("Authorization"))
		stamp, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || stamp < last {
			t.Errorf("%d after %d (%v)", stamp, last, err)
		}
		last = stamp
	}
}

// A read whose connection ended is sent again by Go's transport, as it was; a target that knows its nonce refuses it, and it is signed anew. So it is
// where nothing shows yet that the secret is the right one: behind an outage.
func TestAReplayIsSignedAnew(t *testing.T) {
	for _, first := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(first), func(t *testing.T) { replayed(t, first) })
	}
}

func replayed(t *testing.T, first int) {
	var mu sync.Mutex
	seen, calls := map[string]bool{}, 0
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		m := regexp.MustCompile(`oauth_nonce="([^"]*)"`).FindStringSubmatch(r.Header.Get("Authorization"))
		calls++
		if seen[m[1]] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		seen[m[1]] = true
		if calls == 2 {
			panic(http.ErrAbortHandler) // the second request is answered by nobody
		}
		if calls == 1 {
			w.WriteHeader(first)
		}
	})
	cl := client(t, AuthConfig{OAuth1: &OAuth1{ConsumerKey: "ck", ConsumerSecret: Plain("c0nsumer"), TokenID: "tk", TokenSecret: Plain("t0ken-s")}}, Options{}, server.URL)
	for _, status := range []int{first, http.StatusOK, http.StatusOK} {
		if a := cl.Do(t.Context(), Request{Method: "GET", URL: server.URL}); a.Status != status {
			t.Errorf("%+v", a)
		}
	}
	if calls != 5 {
		t.Errorf("%d calls; expected one, one that is lost with its replay and another, and one", calls)
	}
}
