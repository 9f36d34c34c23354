package s4hana

import (
	"net/http"
	"strings"
	"testing"
)

// The body of a changeset, byte for byte.
func TestBatchOnTheWire(t *testing.T) {
	raw, err := writeBatch([]change{{Method: "PATCH", Path: "A_BusinessPartner('1')", ETag: `W/"7"`, Body: object{"A": "ü"}}, {Method: "DELETE", Path: "A_X('2')", ETag: `W/"8"`}})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`--batch_waybill
Content-Type: multipart/mixed; boundary=changeset_waybill
Content-Length: 477

--changeset_waybill
Content-Id: 1
Content-Transfer-Encoding: binary
Content-Type: application/http

PATCH A_BusinessPartner('1') HTTP/1.1
Accept: application/json
Content-Type: application/json
If-Match: W/"7"
Content-Length: 10

{"A":"ü"}

--changeset_waybill
Content-Id: 2
Content-Transfer-Encoding: binary
Content-Type: application/http

DELETE A_X('2') HTTP/1.1
Accept: application/json
If-Match: W/"8"
Content-Length: 0



--changeset_waybill--

--batch_waybill--
`, "\n", "\r\n")
	if got := string(raw); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBatchAnswers(t *testing.T) {
	text := func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }
	done := text(`--A
Content-Type: multipart/mixed; boundary=B
Content-Length: 999

--B
Content-Type: application/http
Content-Length: 100
content-transfer-encoding: binary

HTTP/1.1 201 Created
Content-Type: application/json
Content-Length: 30

{"d":{"BusinessPartner":"17"}}
--B
Content-Type: application/http
content-transfer-encoding: binary

HTTP/1.1 204 No Content
Content-Length: 0


--B--

--A--
`)
	parts, err := readBatch("multipart/mixed; boundary=A", done)
	if err != nil || len(parts) != 2 || parts[0].status != 201 || string(parts[0].body) != `{"d":{"BusinessPartner":"17"}}` || parts[1].status != 204 {
		t.Fatalf("%+v %v", parts, err)
	}
	failed := text(`--A
Content-Type: application/http
Content-Length: 100
content-transfer-encoding: binary

HTTP/1.1 400 Bad Request
Content-Type: application/json;charset=utf-8
Content-Length: 9999

{"error":{"code":"R1/550","message":{"lang":"en","value":"no"}}}
--A--
`)
	parts, err = readBatch("multipart/mixed; boundary=A", failed)
	if err != nil || len(parts) != 1 || parts[0].status != http.StatusBadRequest || !strings.Contains(string(parts[0].body), "R1/550") {
		t.Fatalf("%+v %v", parts, err)
	}
	for form, raw := range map[string]string{"application/json": "{}", "multipart/mixed": "--A", "multipart/mixed; boundary=A": "--A\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--A--"} {
		if parts, err := readBatch(form, []byte(raw)); err == nil {
			t.Errorf("%s: %+v", form, parts)
		}
	}
}
