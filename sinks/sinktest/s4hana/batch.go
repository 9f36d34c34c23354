package s4hana

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"waybill/sinks/sinktest"
)

// step of a batch: one request, or a changeset of several.
type step struct {
	calls     []call
	ids       []string // Content-ID of each
	changeset bool
}

// batch does the parts of a multipart request in their order.
func (p *Product) batch(s *sinktest.Sim, w http.ResponseWriter, r *http.Request, service string, body []byte) {
	steps, err := readBatch(service, r.Header.Get("Content-Type"), body)
	if err != nil || r.Method != http.MethodPost {
		send(w, fault(service, http.StatusBadRequest, "/IWFND/CM_MGW/506", fmt.Sprintf("Malformed batch request: %v", err)))
		return
	}
	_, broken := s.Struck(sinktest.PartialBatch, "", "")
	var out bytes.Buffer
	m := multipart.NewWriter(&out)
	for i, st := range steps {
		last := broken && i == len(steps)-1 // the others are done, or were
		if !st.changeset {
			answer := fault(service, http.StatusBadRequest, codeData, "The part failed")
			if !last {
				answer = p.onePart(s, st.calls[0])
			}
			writePart(m, answer, "")
			continue
		}
		p.changeset(s, m, service, st, last)
	}
	if err := m.Close(); err != nil {
		panic("writing a batch: " + err.Error()) // into memory
	}
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+m.Boundary())
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(out.Bytes()) // into memory
}

func (p *Product) onePart(s *sinktest.Sim, c call) reply {
	if c.method != http.MethodGet {
		return fault(c.service, http.StatusBadRequest, "/IWFND/CM_MGW/506", "A write of a batch stands in a changeset")
	}
	return p.begin(s).do(c)
}

// changeset is done as a whole; when one request fails, its error is the only answer.
func (p *Product) changeset(s *sinktest.Sim, m *multipart.Writer, service string, st step, broken bool) {
	t := p.begin(s)
	var answers []reply
	made := map[string]string{} // Content-ID → address
	for i, c := range st.calls {
		if strings.HasPrefix(c.path, "$") {
			id, rest, _ := strings.Cut(strings.TrimPrefix(c.path, "$"), "/")
			if made[id] == "" {
				writePart(m, fault(service, http.StatusBadRequest, "/IWFND/CM_MGW/506", "Unknown Content-ID "+id), "")
				return
			}
			c.path = made[id] + "/" + rest
		}
		answer := t.do(c)
		if broken && i == len(st.calls)-1 {
			answer = fault(service, http.StatusBadRequest, codeData, "The part failed")
		}
		if answer.status >= 300 {
			writePart(m, answer, "")
			return
		}
		if st.ids[i] != "" {
			made[st.ids[i]] = strings.TrimPrefix(answer.header.Get("Location"), odataRoot+service+"/")
		}
		answers = append(answers, answer)
	}
	t.commit()
	var inner bytes.Buffer
	n := multipart.NewWriter(&inner)
	for i, answer := range answers {
		writePart(n, answer, st.ids[i])
	}
	if err := n.Close(); err != nil {
		panic("writing a batch: " + err.Error()) // into memory
	}
	into, err := m.CreatePart(map[string][]string{"Content-Type": {"multipart/mixed; boundary=" + n.Boundary()}})
	if err == nil {
		_, err = into.Write(inner.Bytes())
	}
	if err != nil {
		panic("writing a batch: " + err.Error()) // into memory
	}
}

func writePart(m *multipart.Writer, r reply, id string) {
	header := map[string][]string{"Content-Type": {"application/http"}, "Content-Transfer-Encoding": {"binary"}}
	if id != "" {
		header["Content-Id"] = []string{id}
	}
	into, err := m.CreatePart(header)
	if err != nil {
		panic("writing a batch: " + err.Error()) // into memory
	}
	fmt.Fprintf(into, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	for name, values := range r.header {
		for _, v := range values {
			fmt.Fprintf(into, "%s: %s\r\n", strings.ToLower(name), v)
		}
	}
	fmt.Fprintf(into, "Content-Length: %d\r\n\r\n", len(r.body))
	_, _ = into.Write(r.body) // into memory
	fmt.Fprint(into, "\r\n")
}

// readBatch reads the parts. A changeset is a part that is multipart itself; it holds writes only, and no other changeset.
func readBatch(service, contentType string, body []byte) (steps []step, err error) {
	return readParts(service, contentType, body, false)
}

func readParts(service, contentType string, body []byte, inside bool) (steps []step, err error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/mixed" || params["boundary"] == "" {
		return nil, fmt.Errorf("Content-Type %q is no multipart/mixed with a boundary", contentType)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return steps, nil
		}
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "multipart/mixed") {
			if inside {
				return nil, fmt.Errorf("a changeset in a changeset")
			}
			inner, err := readParts(service, p.Header.Get("Content-Type"), raw, true)
			if err != nil {
				return nil, err
			}
			set := step{changeset: true}
			for _, one := range inner {
				if one.calls[0].method == http.MethodGet {
					return nil, fmt.Errorf("a GET in a changeset")
				}
				set.calls, set.ids = append(set.calls, one.calls[0]), append(set.ids, one.ids[0])
			}
			steps = append(steps, set)
			continue
		}
		c, id, err := readPartCall(service, raw)
		if err != nil {
			return nil, err
		}
		if header := p.Header.Get("Content-ID"); header != "" {
			id = header
		}
		steps = append(steps, step{calls: []call{c}, ids: []string{id}})
	}
}

var requestLine = regexp.MustCompile(`^([A-Z]+) (\S+) HTTP/1\.1$`)

// readPartCall reads a request as it stands in a part: a request line, headers, an empty line and the body.
func readPartCall(service string, raw []byte) (c call, id string, err error) {
	in := bufio.NewReader(bytes.NewReader(raw))
	line, err := in.ReadString('\n')
	m := requestLine.FindStringSubmatch(strings.TrimSpace(line))
	if err != nil || m == nil {
		return c, "", fmt.Errorf("request line %q", strings.TrimSpace(line))
	}
	u, err := url.Parse(m[2])
	if err != nil {
		return c, "", fmt.Errorf("address %q", m[2])
	}
	path := strings.TrimPrefix(strings.TrimPrefix(u.EscapedPath(), odataRoot+service), "/")
	c = call{method: m[1], service: service, path: path, query: u.Query(), header: http.Header{}}
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if err != nil || !ok {
			return c, "", fmt.Errorf("header %q", line)
		}
		c.header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	c.body, err = io.ReadAll(in)
	c.body = bytes.TrimSpace(c.body)
	return c, c.header.Get("Content-ID"), err
}

// batchNames is what a batch is about: its first write, or else a read.
func batchNames(path string, body []byte) (entity, step string) {
	service, _, _ := strings.Cut(strings.TrimPrefix(path, odataRoot), "/")
	for line := range strings.Lines(string(body)) {
		m := requestLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		if entity, step = pathNames(m[1], "/"+service+"/"+m[2]); step != "read" {
			return entity, step
		}
	}
	entity, _ = pathNames(http.MethodGet, "/"+service)
	return entity, "read"
}
