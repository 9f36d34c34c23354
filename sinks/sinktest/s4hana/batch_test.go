package s4hana

import (
	"fmt"
	"strings"
	"testing"

	"waybill/sinks/sinktest"
)

func batchOf(boundary string, parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		kind := "application/http\r\nContent-Transfer-Encoding: binary"
		if inner, ok := strings.CutPrefix(p, "changeset "); ok {
			p = inner
			kind = "multipart/mixed; boundary=" + boundary + "in"
		}
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\n\r\n%s\r\n", boundary, kind, p)
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func write(method, path, body string, more ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n%s\r\n%s", method, path, strings.Join(more, ""), body)
}

func TestBatch(t *testing.T) {
	s, _ := Start(t, Options{})
	c := newClient(t, s)
	c.login()
	header := map[string]string{"Content-Type": "multipart/mixed; boundary=out"}
	number := c.customer()
	address := write("POST", "A_BusinessPartner('"+number+"')/to_BusinessPartnerAddress", `{"Country":"US","CityName":"Waco"}`)
	good := "changeset " + batchOf("outin", write("POST", "A_BusinessPartner", acme, "Content-ID: 1\r\n"), write("POST", "$1/to_BusinessPartnerTax", `{"BPTaxType":"US1","BPTaxNumber":"12"}`), address)
	bad := "changeset " + batchOf("outin", write("POST", "A_BusinessPartner", acme), write("POST", "A_BusinessPartner", `{"BusinessPartnerCategory":"2"}`))
	a := c.must(202, "POST", partnerSrv+"$batch", batchOf("out", good, bad, "GET A_BusinessPartner?$format=json HTTP/1.1\r\n\r\n"), header)
	if n := strings.Count(a.body, "HTTP/1.1 201"); n != 3 {
		t.Errorf("%d parts were created: %s", n, a.body)
	}
	if n := strings.Count(a.body, "HTTP/1.1 400"); n != 1 {
		t.Errorf("%d parts failed: %s", n, a.body)
	}
	if strings.Index(a.body, "HTTP/1.1 201") > strings.Index(a.body, "HTTP/1.1 400") || !strings.Contains(a.body, "HTTP/1.1 200") {
		t.Errorf("out of order: %s", a.body)
	}
	created := 0
	for _, l := range s.Ledger() {
		if l.Step == "create" {
			created++
		}
	}
	if created != 2 {
		t.Errorf("%d partners; the failed changeset left something: %+v", created, s.Ledger())
	}
	if a := c.must(200, "GET", partners+"?$top=0&$inlinecount=allpages", "", nil); get(t, a, "d", "__count") != "2" {
		t.Errorf("the failed changeset left something: %s", a.body)
	}
	for _, wrong := range []string{
		batchOf("out", "changeset "+batchOf("outin", "GET A_BusinessPartner HTTP/1.1\r\n\r\n")),
		batchOf("out", "changeset "+batchOf("outin", "changeset "+batchOf("outinin", address))), "nothing"} {
		c.must(400, "POST", partnerSrv+"$batch", wrong, header)
	}
	a = c.must(202, "POST", partnerSrv+"$batch", batchOf("out", address), header)
	if !strings.Contains(a.body, "HTTP/1.1 400") {
		t.Errorf("a write outside of a changeset: %s", a.body)
	}
	before := len(s.Ledger())
	s.SetFault(sinktest.FaultOrder{Fault: sinktest.PartialBatch, Count: 1})
	a = c.must(202, "POST", partnerSrv+"$batch", batchOf("out", "changeset "+batchOf("outin", address), "changeset "+batchOf("outin", address)), header)
	if strings.Count(a.body, "HTTP/1.1 201") != 1 || strings.Count(a.body, "HTTP/1.1 400") != 1 || len(s.Ledger()) != before+1 {
		t.Errorf("%d lines: %s", len(s.Ledger())-before, a.body)
	}
}

func TestRepeatability(t *testing.T) {
	header := map[string]string{"RequestID": strings.Repeat("aB", 16), "RepeatabilityCreation": "Thu, 01 Oct 2026 00:00:00 GMT"}
	for _, honoured := range []bool{true, false} {
		s, _ := Start(t, Options{Repeatable: honoured})
		c := newClient(t, s)
		c.login()
		one, two := c.must(201, "POST", partners, acme, header), c.must(201, "POST", partners, acme, header)
		want := 2
		if honoured {
			want = 1
		}
		if (one.body == two.body) != honoured || len(s.Ledger()) != want || (two.header.Get("RepeatabilityResult") == "accepted") != honoured {
			t.Errorf("honoured %v: %d lines, %v", honoured, len(s.Ledger()), two.header)
		}
		if honoured {
			c.must(400, "POST", partners, acme, map[string]string{"RequestID": "short", "RepeatabilityCreation": "now"})
		}
	}
}
