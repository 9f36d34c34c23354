package pipeline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The audit is a chain of lines that only grows: each holds the hash of the line before it, so a line that is changed, removed or
// put between breaks every later one. What a person said, and who it was, is in the hash only as a seal: a hash of a salt and the
// text. Redaction drops text and salt and keeps the seal, so the chain stays whole and the text cannot be found by trying.

// AuditLine is one decision of a person or of the daemon on its own.
type AuditLine struct {
	Seq    uint64    `json:"seq"` // place in the chain, from 1
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Action string    `json:"action"`
	Target string    `json:"target,omitempty"`
	Why    string    `json:"why,omitempty"`
	Note   string    `json:"note,omitempty"`  // what was decided, beyond the action: to whom, until when, a comment
	Index  uint64    `json:"index"`           // journal entry
	Entry  string    `json:"entry,omitempty"` // SHA-256 of the entry's payload; none in lines from before the chain
	// Seals stand for by, why and note in the hash.
	Seals map[string]AuditSeal `json:"seals,omitempty"`
	Prev  string               `json:"prev"` // hash of the line before; empty in the first
	Hash  string               `json:"hash"` // SHA-256, hex

	salt string // of the decision, from which the fields' salts follow
}

// AuditSeal stands for a field that may be redacted.
type AuditSeal struct {
	Salt     string `json:"salt,omitempty"`     // hex; none when it is redacted
	Hash     string `json:"hash"`               // of salt, name and text
	Redacted uint64 `json:"redacted,omitempty"` // line of the redaction
}

// AuditFields are the fields that can be redacted.
var AuditFields = []string{"by", "note", "why"}

// maxTarget bounds the target of a line, in bytes. The journal entry has it whole, and its hash is in the line.
const maxTarget = 500

// audit writes the next line of the chain and remembers its number for what follows from the entry.
func (s *state) audit(line AuditLine) error {
	var head auditHead
	if _, err := s.load(bucketSystem, auditHeadKey, &head); err != nil {
		return err
	}
	if s.payload != nil {
		line.Entry = digest(string(s.payload))
	}
	if line.salt == "" {
		line.salt = line.Entry
	}
	line.Seq, line.Prev, line.Target, line.At = head.Seq+1, head.Hash, clip(line.Target, maxTarget), line.At.UTC()
	line.Seals = map[string]AuditSeal{}
	for _, name := range AuditFields {
		if text := *line.field(name); text != "" {
			salt := digest(line.salt, name)[:32]
			line.Seals[name] = AuditSeal{Salt: salt, Hash: digest(salt, name, text)}
		}
	}
	line.Hash = line.digest()
	s.at.Line = line.Seq
	if err := s.save(bucketChain, hexKey(line.Seq), line); err != nil {
		return err
	}
	return s.save(bucketSystem, auditHeadKey, auditHead{line.Seq, line.Hash})
}

// auditHead is the end of the chain, kept apart so that lines cut from it are missed.
type auditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

const auditHeadKey = "audit"

// digest is the hash that the next line holds.
func (l *AuditLine) digest() string {
	parts := []string{"waybill audit 1", strconv.FormatUint(l.Seq, 10), l.At.UTC().Format(time.RFC3339Nano), l.Action, l.Target,
		strconv.FormatUint(l.Index, 10), l.Entry}
	for _, name := range AuditFields {
		parts = append(parts, name, l.Seals[name].Hash)
	}
	return digest(append(parts, l.Prev)...)
}

func (l *AuditLine) field(name string) *string {
	switch name {
	case "by":
		return &l.By
	case "note":
		return &l.Note
	}
	return &l.Why
}

// shown is a field for people.
func (l *AuditLine) shown(name, text string) string {
	if l.Seals[name].Redacted > 0 {
		return "(redacted)"
	}
	return text
}

// said is what a line tells beside its action.
func (l *AuditLine) said() string {
	var parts []string
	for _, p := range []string{l.shown("note", l.Note), l.shown("why", l.Why)} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

func (s *state) auditLine(seq uint64) (*AuditLine, error) {
	var line AuditLine
	ok, err := s.load(bucketChain, hexKey(seq), &line)
	if err != nil || !ok {
		return nil, err
	}
	return &line, nil
}

// moveAudit takes lines that an earlier release wrote into the chain, as many as a transaction holds, before anything else is
// projected. It reports whether none is left.
func (s *state) moveAudit() (done bool, err error) {
	if s.floors != nil && s.floors.audited {
		return true, nil
	}
	cursor := ""
	done, err = s.each(bucketAudit, "", &cursor, func(k string, raw []byte) (bool, error) {
		var line AuditLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return false, err
		}
		line.salt = digest(string(raw))
		if err := s.audit(line); err != nil {
			return false, err
		}
		return true, s.Delete(bucketAudit, k)
	})
	if s.floors != nil {
		s.floors.audited = done && err == nil
	}
	return done, err
}

// redact drops fields of a line, because a named person decided so.
func (s *state) redact(r *RedactRequest) error {
	line, err := s.auditLine(r.Line)
	if err != nil || line == nil {
		return err
	}
	for _, name := range AuditFields {
		seal, ok := line.Seals[name]
		if !ok || seal.Redacted > 0 || !slices.Contains(r.Fields, name) {
			continue
		}
		*line.field(name) = ""
		line.Seals[name] = AuditSeal{Hash: seal.Hash, Redacted: s.at.Line}
	}
	return s.save(bucketChain, hexKey(line.Seq), line)
}

// digest is a SHA-256 in hex that depends on every part and on where one ends.
func digest(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
