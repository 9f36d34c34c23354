package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/sinks/sinktest"
)

// The saga of a rebill – credit the original, then post its replacement – is killed at each of its steps. Whatever the step: in the end
// the original is credited in full, the replacement is the one open invoice, each document was made and posted once, and at no moment
// were two of them open.

// sagaSteps are the entries that the journal takes of a rebill.
var sagaSteps = func() (all []sagaStep) {
	for _, document := range []string{"C", "R"} {
		for _, step := range []string{"create", "post"} {
			all = append(all, sagaStep{document, step, "I"}, sagaStep{document, step, "O"})
		}
	}
	return all
}()

// sagaStep is an intent (I) or an outcome (O) of a step of the credit (C) or the replacement (R).
type sagaStep struct{ document, step, kind string }

// killpointBinary makes the program that ends itself where WAYBILL_KILL says the one under test. Tests that run beside others may not use it.
func killpointBinary(t *testing.T) {
	t.Helper()
	mortal := filepath.Join(scratch, "waybill-killpoint")
	if _, err := os.Stat(mortal); err != nil {
		if out, err := exec.Command("go", "build", "-race", "-tags", "killpoint", "-o", mortal, "waybill/cmd/waybill").CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	racy := binary
	binary = mortal
	t.Cleanup(func() { binary = racy })
}

// saga is a site on which invoices are rebilled.
type saga struct {
	*site
	erp    *sinktest.LedgerProcess
	chains []string // numbers of the originals
}

// newSaga writes the originals, whose chains are named in order, released before the daemon first runs.
func newSaga(t *testing.T, chains int) *saga {
	t.Helper()
	s := &saga{site: newSite(t)}
	s.erp = s.site.ledger()
	s.target(s.erp.URL)
	s.write()
	s.customer("100001", "Lone Star Foods")
	for i := range chains {
		no := fmt.Sprintf("K%02d", i+1)
		s.chains = append(s.chains, no)
		s.draft(plain(no, "100001", s.cents(i)))
		s.release(no)
	}
	return s
}

// target makes a simulator, or what stands before it, the ERP. Its horizon is a second longer than the timeout.
func (s *saga) target(url string) {
	s.sink = fmt.Sprintf("  erp:\n    type: ledger\n    url: %s\n    timeout: 300ms\n    policy: { concurrency: 4, backoff_base: 100ms, backoff_cap: 200ms, breaker_cooldown: 200ms }\n", url)
}

func (s *saga) cents(i int) int64 { return int64(10001 + 137*i) }

// rebill corrects an original by a credit and a replacement of 1.00 less, released together.
func (s *saga) rebill(i int) {
	s.t.Helper()
	no := s.chains[i]
	credit, again := plain(no+"C", "100001", s.cents(i)), plain(no+"R", "100001", s.cents(i)-100)
	credit.original, again.original = no, no
	for j := range credit.lines {
		credit.lines[j].cents = -credit.lines[j].cents
	}
	s.draft(again)
	s.draft(credit)
	s.release(no+"C", no+"R")
}

func (s *saga) originalsPosted() bool {
	select {
	case <-s.exited:
		s.t.Fatalf("the daemon ended: %v\n%s", s.daemon.ProcessState, s.log.String())
	default:
	}
	n := 0
	for _, e := range s.effects() {
		if e.Step == "post" && !strings.HasSuffix(numberOf(e.ExternalID), "C") && !strings.HasSuffix(numberOf(e.ExternalID), "R") {
			n++
		}
	}
	return n == len(s.chains)
}

func (s *saga) effects() []sinktest.Effect {
	s.t.Helper()
	report, err := sinktest.Ledger(s.erp.File, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return report.Effects
}

// dies waits until the daemon has killed itself, or was killed.
func (s *saga) dies(what string) {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		out, _, _ := s.waybill("status")
		s.t.Fatalf("%s: the daemon lives\n%s", what, out)
	}
	if code := s.daemon.ProcessState.ExitCode(); code != -1 {
		s.t.Fatalf("%s: the daemon ended with code %d\n%s", what, code, s.log.String())
	}
	s.daemon = nil
}

// proved reads the history of the ERP: see the top of this file.
func (s *saga) proved() {
	s.t.Helper()
	effects := s.effects()
	done := map[string]int{}
	open := map[string]map[string]int64{} // chain → document → cents
	for _, e := range effects {
		if e.Entity != "sales_invoice" {
			continue
		}
		no := numberOf(e.ExternalID)
		if done[no+" "+e.Step]++; done[no+" "+e.Step] > 1 {
			s.t.Errorf("%s %s was done twice", e.Step, no)
		}
		if e.Step != "post" {
			continue
		}
		chain := strings.TrimRight(no, "CR")
		if open[chain] == nil {
			open[chain] = map[string]int64{}
		}
		if cents := totalOf(s.t, e); cents < 0 {
			open[chain][chain] += cents
		} else {
			open[chain][no] += cents
		}
		if n := stillOpen(open[chain]); len(n) > 1 {
			s.t.Errorf("after %s %s both %s are open", e.Step, no, strings.Join(n, " and "))
		}
	}
	for i, no := range s.chains {
		_, want := plain("", "", s.cents(i)-100).totals()
		if got := stillOpen(open[no]); !slices.Equal(got, []string{no + "R"}) || open[no][no+"R"] != want || open[no][no] != 0 {
			s.t.Errorf("chain %s: open are %v, in cents %v; expected %sR with %d", no, got, open[no], no, want)
		}
	}
	if n := len(s.chains); len(done) != 6*n {
		s.t.Errorf("%d steps were done for %d chains, expected %d: %v", len(done), n, 6*n, done)
	}
}

func stillOpen(chain map[string]int64) (all []string) {
	for no, cents := range chain {
		if cents != 0 {
			all = append(all, no)
		}
	}
	slices.Sort(all)
	return all
}

// totalOf reads the total of a posted body, in cents.
func totalOf(t *testing.T, e sinktest.Effect) (cents int64) {
	t.Helper()
	var body struct{ Total string }
	if err := json.Unmarshal(e.Body, &body); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(strings.Replace(body.Total, ".", "", 1), &cents); err != nil || !strings.Contains(body.Total, ".") {
		t.Fatalf("total %q of %s: %v", body.Total, e.ExternalID, err)
	}
	return cents
}

// TestCrashRebillAtEachEntry kills the daemon before and after the sync of each entry of the saga.
func TestCrashRebillAtEachEntry(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			killpointBinary(t)
			s := newSaga(t, len(sagaSteps))
			for i, at := range sagaSteps {
				what := fmt.Sprintf("%s the %s %s of %s%s", when, at.kind, at.step, s.chains[i], at.document)
				s.env = []string{fmt.Sprintf(`WAYBILL_KILL=%s %s nstar:%s%s:0 "step":"%s"`, when, at.kind, s.chains[i], at.document, at.step)}
				s.launch()
				s.until(60*time.Second, "the originals are posted", s.originalsPosted)
				s.rebill(i)
				s.dies(what)
			}
			s.rest()
		})
	}
}

// rest lets the daemon finish, and proves the books.
func (s *saga) rest() {
	s.t.Helper()
	s.env = nil
	s.start()
	if st := s.settled(60 * time.Second); len(st.Exceptions) > 0 {
		s.t.Errorf("exceptions are open:\n%s", s.must("exceptions", "list"))
	}
	s.proved()
	out := s.must("trace", "invoice/"+s.chains[0])
	if want := fmt.Sprintf("invoice %s is posted", s.chains[0]); !strings.Contains(out, "correction") || !strings.Contains(out, want) {
		s.t.Errorf("trace does not tell the correction:\n%s", out)
	}
	s.stop()
}

// The moments inside a call at which its sender dies.
const (
	beforeArrival = "before it arrives"                   // and it never does
	beforeCommit  = "before the ERP commits"              // which it does all the same
	beforeAnswer  = "after the commit, before the answer" //
)

// TestCrashRebillInsideEachCall kills the daemon while the ERP works on each call of the saga.
func TestCrashRebillInsideEachCall(t *testing.T) {
	s := newSaga(t, 0)
	p := &deadlyProxy{erp: s.erp.URL}
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	s.target(front.URL)
	s.write()
	moments := []string{beforeArrival, beforeCommit, beforeAnswer}
	for i := range 4 * len(moments) {
		no := fmt.Sprintf("K%02d", i+1)
		s.chains = append(s.chains, no)
		s.draft(plain(no, "100001", s.cents(i)))
		s.release(no)
	}
	i := 0
	for _, at := range sagaSteps {
		if at.kind != "I" {
			continue
		}
		for _, moment := range moments {
			s.launch()
			s.until(60*time.Second, "the originals are posted", s.originalsPosted)
			daemon := s.daemon.Process
			p.arm("nstar:"+s.chains[i]+at.document+":0", at.step, moment, func() { _ = daemon.Kill() })
			s.rebill(i)
			s.dies(fmt.Sprintf("%s %s%s, %s", at.step, s.chains[i], at.document, moment))
			i++
		}
	}
	s.rest()
}

// deadlyProxy stands before the simulated ERP and kills the sender of one call.
type deadlyProxy struct {
	erp string

	mu                       sync.Mutex
	externalID, step, moment string
	kill                     func()
}

func (p *deadlyProxy) arm(externalID, step, moment string, kill func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.externalID, p.step, p.moment, p.kill = externalID, step, moment, kill
}

// meant reports at which moment the sender of a call dies, "" for never, and how.
func (p *deadlyProxy) meant(r *http.Request, body []byte) (moment string, kill func()) {
	var e sinktest.Effect
	if r.URL.Path != "/do" || json.Unmarshal(body, &e) != nil {
		return "", nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kill == nil || e.ExternalID != p.externalID || e.Step != p.step {
		return "", nil
	}
	moment, kill = p.moment, p.kill
	p.kill = nil
	return moment, kill
}

func (p *deadlyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender is gone
	}
	moment, kill := p.meant(r, body)
	if moment == beforeArrival || moment == beforeCommit {
		kill()
	}
	if moment == beforeArrival {
		return
	}
	req, err := http.NewRequest(r.Method, p.erp+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if moment == beforeAnswer {
		kill()
		return
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer) // the sender may be gone
}

// TestCrashRebillTryton kills the daemon in front of Tryton: each time an intent of the saga is in the journal, and nothing was sent yet or was
// sent a moment ago.
func TestCrashRebillTryton(t *testing.T) {
	killpointBinary(t)
	s := newSaga(t, 4)
	tryton := s.site.tryton()
	s.write()
	i := 0
	for _, at := range sagaSteps {
		if at.kind != "I" {
			continue
		}
		s.env = []string{fmt.Sprintf(`WAYBILL_KILL=after I nstar:%s%s:0 "step":"%s"`, s.chains[i], at.document, at.step)}
		s.launch()
		s.rebill(i)
		s.dies(fmt.Sprintf("%s %s%s", at.step, s.chains[i], at.document))
		i++
	}
	s.env = nil
	s.start()
	if st := s.settled(2 * time.Minute); len(st.Exceptions) > 0 {
		t.Errorf("exceptions are open:\n%s", s.must("exceptions", "list"))
	}
	if report := s.books(tryton); !report.OK() || report.Paired != 3*len(s.chains) {
		t.Errorf("%d of %d documents are paired: %+v", report.Paired, 3*len(s.chains), report)
	}
	s.stop()
}

// TestRebillHalfway has the ERP refuse the credit of a rebill. Nothing is posted in its place; the correction is shown as one thing that is
// pending, and goes on when the credit is tried again, or when a person who gave it up says that the original was credited otherwise. A daemon
// that is killed in between changes nothing.
func TestRebillHalfway(t *testing.T) {
	s := newSaga(t, 2)
	s.start()
	s.until(60*time.Second, "the originals are posted", s.originalsPosted)
	shown := func(i int, want string) string {
		return fmt.Sprintf("%s is shown as %q", s.chains[i], want)
	}
	told := func(i int, parts ...string) func() bool {
		return func() bool {
			out := s.must("trace", "invoice/"+s.chains[i], "--json")
			return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(out, p) })
		}
	}
	created := func(id string) bool {
		return slices.ContainsFunc(s.effects(), func(e sinktest.Effect) bool { return e.ExternalID == "nstar:"+id+":0" })
	}
	open := func(code string) string {
		for _, line := range strings.Split(s.must("exceptions", "list"), "\n") {
			if strings.Contains(line, code) {
				return strings.Fields(line)[0]
			}
		}
		return ""
	}
	for i, step := range []string{"create", "post"} {
		no := s.chains[i]
		s.erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Step: step, Fault: sinktest.Reject, Count: 1})
		s.rebill(i)
		s.until(30*time.Second, shown(i, "pending"), told(i, "credit "+no+"C is held by exception X-", "replacement "+no+"R waits for credit "+no+"C to be posted"))
		s.kill()
		s.start()
		if created(no + "R") {
			t.Errorf("%sR is in the ERP, its credit is not", no)
		}
	}
	first, second := s.chains[0], s.chains[1]
	s.must("exceptions", "retry", open(first+"C"), "--why", "the ERP was repaired")
	s.until(30*time.Second, shown(0, "done"), told(0, "replacement "+first+"R is posted as ", "open: "+first+"R"))
	s.must("exceptions", "discard", open(second+"C"), "--why", "credited by hand", "--yes")
	s.until(30*time.Second, "the replacement waits for a person", func() bool { return open("CORRECTION_PENDING") != "" })
	s.kill()
	s.start()
	if created(second + "R") {
		t.Errorf("%sR is in the ERP beside its original", second)
	}
	s.must("exceptions", "retry", open("CORRECTION_PENDING"), "--why", "the original was credited in the ERP")
	s.until(30*time.Second, shown(1, "done"), told(1, "replacement "+second+"R is posted as "))
	if out := s.must("exceptions", "list"); strings.Contains(out, "X-") {
		t.Errorf("exceptions are open:\n%s", out)
	}
	s.stop()
}

// TestRebillBeforeTheOriginalIsPosted credits originals whole while they wait, and while the ERP has one and has not answered: what was certainly
// never sent is withdrawn with its credit, what may be there is posted and credited. A credit of a part lets no replacement go, and one beyond
// what is left is refused until it is corrected.
func TestRebillBeforeTheOriginalIsPosted(t *testing.T) {
	s := newSaga(t, 0)
	mapping := s.read("mapping.yaml")
	counted := strings.Replace(mapping, `      credit_memo.issued: became(h.stat, "R") and h.inv_amt < 0`,
		`      credit_memo.issued: { when: 'became(h.stat, "R") and h.inv_amt < 0', credits: original, unsent: withdraw }`, 1)
	if counted == mapping {
		t.Fatal("the mapping's credit memos are not where they were")
	}
	s.file("mapping.yaml", cutoverLine.ReplaceAllString(counted, "cutover: "+s.cutover.Format(time.RFC3339)))
	s.sql(s.dispatch, `INSERT INTO loads (load_no, cust_cd, status_cd, ord_ts, pcs_ord) VALUES (7, '100001', 'ASG', now(), 20)`)
	s.start()
	told := func(no string, parts ...string) {
		t.Helper()
		s.until(30*time.Second, fmt.Sprintf("%s is told as %q", no, parts), func() bool {
			out, _, _ := s.waybill("trace", "invoice/"+no, "--json")
			return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(out, p) })
		})
	}
	issue := func(no, original string, cents int64, load int) {
		t.Helper()
		inv := invoice{no: no, customer: "100001", original: original, load: load, lines: []line{{"LH", cents, "EX"}}}
		s.draft(inv)
		s.release(no)
	}
	issue("W1", "", 10000, 7) // its load is not delivered
	told("W1", "invoice.released invoice/W1")
	issue("W1C", "W1", -10000, 0)
	issue("W1R", "W1", 9000, 0)
	told("W1", "invoice W1 was withdrawn", "credit W1C was never sent", "replacement W1R is posted as ", "open: W1R 90.00 USD")

	s.erp.SetFault(sinktest.FaultOrder{Entity: "sales_invoice", Step: "create", Fault: sinktest.ErrorAfter, Count: 1})
	issue("W2", "", 20000, 0)
	issue("W2C", "W2", -20000, 0)
	issue("W2R", "W2", 19000, 0)
	told("W2", "invoice W2 is posted as ", "credit W2C is posted as ", "replacement W2R is posted as ", "open: W2R 190.00 USD")

	issue("W3", "", 10000, 0)
	issue("W3A", "W3", -6000, 0)
	issue("W3R", "W3", 9000, 0)
	told("W3", "of which 40.00 USD is not credited yet", "open: W3 40.00 USD")
	issue("W3C", "W3", -5000, 0)
	s.until(30*time.Second, "the second credit is beyond what is left", func() bool { return strings.Contains(s.must("exceptions", "list"), "CREDIT_EXCEEDS_ORIGINAL") })
	s.sql(s.billing, `UPDATE inv_hdr SET inv_amt=-40.00 WHERE inv_no='W3C'`)
	s.sql(s.billing, `UPDATE inv_line SET ext_amt=-40.00, rate=40.00 WHERE inv_no='W3C'`)
	told("W3", "replacement W3R is posted as ", "open: W3R 90.00 USD")

	if st := s.settled(30 * time.Second); len(st.Exceptions) > 0 {
		t.Errorf("exceptions are open:\n%s", s.must("exceptions", "list"))
	}
	var posted []string
	for _, e := range s.effects() {
		if e.Step == "post" {
			posted = append(posted, numberOf(e.ExternalID))
		}
	}
	if want := "W1R W2 W2C W2R W3 W3A W3C W3R"; strings.Join(posted, " ") != want {
		t.Errorf("posted %v, want %s", posted, want)
	}
	s.stop()
}
