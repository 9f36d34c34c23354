package s4hana

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// Boundaries of a batch. No body of JSON holds them at the beginning of a line.
const (
	batchBoundary = "batch_waybill"
	setBoundary   = "changeset_waybill"
)

// batch sends changes as one changeset: all are done, or none (OData V2, "Batch Processing"). created is what the first of them made.
func (x *exchange) batch(service string, changes []change, header map[string]string) (created object, out *sinks.Outcome) {
	body, err := writeBatch(changes)
	if err != nil {
		return nil, rejected("BODY", "", err.Error(), "")
	}
	header["Content-Type"], header["Accept"] = "multipart/mixed; boundary="+batchBoundary, "multipart/mixed"
	x.request = web.Clip(string(body), excerpt)
	a := x.client.Do(x.ctx, web.Request{Method: http.MethodPost, URL: x.address(service+"$batch", nil), Header: header, Body: body})
	x.answer = web.Clip(string(a.Body), excerpt)
	if out := web.Unanswered(a, false); out != nil {
		return nil, out
	}
	if a.Status != http.StatusAccepted && a.Status != http.StatusOK {
		o := x.classified(writes, a.Status, a.Header, a.Body, a.Wait)
		return nil, &o
	}
	parts, err := readBatch(a.Header.Get("Content-Type"), a.Body)
	if err != nil {
		return nil, &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: web.Clip("reading the answer to a changeset: "+err.Error(), 500), Hint: web.HintUnknown}
	}
	for i, p := range parts {
		made, out := x.made(p.status, p.header, p.body, a.Wait)
		if out != nil {
			return nil, out // the changeset was not done
		}
		if i == 0 {
			created = made
		}
	}
	if len(parts) != len(changes) {
		return nil, &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: fmt.Sprintf("%d answers to %d changes", len(parts), len(changes)), Hint: web.HintUnknown}
	}
	return created, nil
}

// writeBatch writes the body of a batch with one changeset.
func writeBatch(changes []change) ([]byte, error) {
	var set bytes.Buffer
	w := multipart.NewWriter(&set)
	if err := w.SetBoundary(setBoundary); err != nil {
		return nil, err
	}
	for i, c := range changes {
		body, err := c.json()
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i+1, err)
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/http"}, "Content-Transfer-Encoding": {"binary"}, "Content-Id": {fmt.Sprint(i + 1)}})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(part, "%s %s HTTP/1.1\r\nAccept: application/json\r\n", c.Method, c.Path)
		if body != nil {
			fmt.Fprintf(part, "Content-Type: application/json\r\n")
		}
		if c.ETag != "" {
			fmt.Fprintf(part, "If-Match: %s\r\n", c.ETag)
		}
		fmt.Fprintf(part, "Content-Length: %d\r\n\r\n", len(body))
		if _, err := part.Write(append(body, '\r', '\n')); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "--%s\r\nContent-Type: multipart/mixed; boundary=%s\r\nContent-Length: %d\r\n\r\n", batchBoundary, setBoundary, set.Len())
	all.Write(set.Bytes())
	fmt.Fprintf(&all, "\r\n--%s--\r\n", batchBoundary)
	return all.Bytes(), nil
}

// part is the answer to one change; to all of them when the changeset failed.
type part struct {
	status int
	header http.Header
	body   []byte
}

// maxParts bounds an answer.
const maxParts = 1000

// readBatch reads the answer to a batch with one changeset.
func readBatch(form string, body []byte) (all []part, err error) {
	media, more, err := mime.ParseMediaType(form)
	if err != nil || !strings.HasPrefix(media, "multipart/") || more["boundary"] == "" {
		return nil, fmt.Errorf("its type is %q, not multipart/mixed", form)
	}
	r := multipart.NewReader(bytes.NewReader(body), more["boundary"])
	for len(all) <= maxParts {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		if inner := p.Header.Get("Content-Type"); strings.HasPrefix(inner, "multipart/") {
			parts, err := readBatch(inner, raw)
			if err != nil {
				return nil, err
			}
			all = append(all, parts...)
			continue
		}
		one, err := readPart(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return nil, fmt.Errorf("more than %d parts", maxParts)
}

// readPart reads an answer of HTTP inside a part. Its length is that of the part: SAP counts differently at times.
func readPart(raw []byte) (p part, err error) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	p.status, p.header = resp.StatusCode, resp.Header
	if resp.StatusCode == http.StatusNoContent {
		return p, nil
	}
	if p.body, err = io.ReadAll(resp.Body); errors.Is(err, io.ErrUnexpectedEOF) {
		_, p.body, _ = bytes.Cut(raw, []byte("\r\n\r\n"))
	} else if err != nil {
		return p, err
	}
	return p, nil
}
