package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// bulk makes the days of Gulf Coast: jobs whose states are numbers, bills whose lines are JSON, corrections told by a suffix.
type bulk struct {
	*days
	rng               *rand.Rand
	lastJob, lastBill int
}

// partner is a customer of Gulf Coast, known by its tax id.
type partner struct{ taxID, name, address string }

var partners = []partner{
	{"36-1234567", "Lone Star Sand", "1 Main St|Houston|TX|77002"},
	{"74-2200118", "Bayou Cement", "300 Dock Rd|New Orleans|LA|70112"},
	{"76-0081233", "Sabine Aggregates", "12 Quarry Ln|Beaumont|TX|77701"},
	{"63-7719240", "Mobile Grain Terminal", "8 Elevator Way|Mobile|AL|36602"},
}

// job is one truck of bulk goods.
type job struct {
	number int
	party  partner
	tons   int64 // thousandths
}

// charge is a line of a bill, in cents.
type charge struct {
	code, state string
	tons, cents int64
}

// bill is a document; one whose number has a suffix corrects another.
type bill struct {
	number string
	party  partner
	job    int
	lines  []charge
}

func (d *days) gulfCoast() {
	b := &bulk{days: d, rng: rand.New(rand.NewPCG(d.Seed, 0x6763626b)), lastJob: 7_000, lastBill: 50_000}
	for _, p := range partners {
		d.before(GulfCoast, "party "+p.taxID, Statement{"INSERT INTO parties (tax_id, pname, addr, net_days, upd_ms) VALUES ($1, $2, $3, 30, $4)",
			[]any{p.taxID, p.name, p.address, b.ms(-30 * 24 * time.Hour)}})
		d.script.Accounts[p.taxID] = "GC" + strings.ReplaceAll(p.taxID, "-", "")
	}
	for n := range 12 {
		p := partners[n%len(partners)]
		if n%3 == 0 {
			b.release(d.between(0.02, 0.30), b.bill(b.pastJob(p)), "")
			continue
		}
		at := d.between(0.02, 0.50)
		j := b.haul(p, &at)
		b.release(at+d.between(0.02, 0.08), b.bill(j), "")
	}
	b.rebill()
	b.overCredit()
	b.early()
}

// ms is a moment as this carrier writes it.
func (b *bulk) ms(at time.Duration) int64 { return b.Start.Add(at).UnixMilli() }

// happened is the business clock of a moment of the days.
func (b *bulk) happened(at time.Duration) int64 {
	t, err := time.ParseInLocation(time.DateTime, b.business(at), b.Zone)
	if err != nil {
		panic(err) // we have just written it
	}
	return t.UnixMilli()
}

func (b *bulk) newJob(p partner) job {
	b.lastJob++
	return job{b.lastJob, p, int64(22_000+b.rng.IntN(4_000)) / 10 * 10}
}

const jobSQL = "INSERT INTO jobs (job_no, bill_tax_id, state, commodity, tons_ord, upd_ms) VALUES ($1, $2, 0, 'sand', $3, $4)"

// pastJob was hauled before the days begin.
func (b *bulk) pastJob(p partner) job {
	j := b.newJob(p)
	day := b.Start.AddDate(0, 0, -5).UnixMilli()
	b.before(GulfCoast, fmt.Sprintf("job %d", j.number), Statement{`INSERT INTO jobs (job_no, bill_tax_id, state, hauler_id, commodity, tons_ord, tons_dlv, ticket_no,
loaded_ts, at_dest_ts, dlv_ts, pod_yn, pod_ts, upd_ms) VALUES ($1, $2, 6, 17, 'sand', $3, $3, $4, $5, $6, $7, 'Y', $8, $8)`,
		[]any{j.number, p.taxID, fixed(j.tons, 3), b.ticket(j), day, day + 5_400_000, day + 7_200_000, day + 9_000_000}})
	return j
}

func (b *bulk) ticket(j job) string { return fmt.Sprintf("T-%d", 88_000+j.number%1000) }

// haul plays a job from its order to its paper, beginning at t, which it moves to the end.
func (b *bulk) haul(p partner, t *time.Duration) job {
	j := b.order(p, *t)
	*t += b.between(0.01, 0.03)
	b.load(j, t)
	b.deliver(j, t)
	return j
}

func (b *bulk) order(p partner, at time.Duration) job {
	j := b.newJob(p)
	b.script.Loads++
	b.do(at, GulfCoast, fmt.Sprintf("job %d ordered", j.number), Statement{jobSQL, []any{j.number, p.taxID, fixed(j.tons, 3), b.happened(at)}})
	return j
}

func (b *bulk) load(j job, t *time.Duration) {
	b.step(j, t, "assigned", "UPDATE jobs SET state = 1, hauler_id = $3, upd_ms = $2 WHERE job_no = $1", 11+b.rng.IntN(20))
	b.step(j, t, "dispatched", "UPDATE jobs SET state = 2, upd_ms = $2 WHERE job_no = $1")
	b.step(j, t, "loaded", "UPDATE jobs SET state = 3, loaded_ts = $2, ticket_no = $3, upd_ms = $2 WHERE job_no = $1", b.ticket(j))
}

func (b *bulk) deliver(j job, t *time.Duration) {
	b.step(j, t, "at the consignee", "UPDATE jobs SET state = 5, at_dest_ts = $2, upd_ms = $2 WHERE job_no = $1")
	b.step(j, t, "delivered", "UPDATE jobs SET state = 6, dlv_ts = $2, tons_dlv = $3, upd_ms = $2 WHERE job_no = $1", fixed(j.tons, 3))
	b.step(j, t, "paper is in", "UPDATE jobs SET pod_yn = 'Y', pod_ts = $2, upd_ms = $2 WHERE job_no = $1")
}

func (b *bulk) step(j job, t *time.Duration, what, text string, more ...any) {
	b.do(*t, GulfCoast, fmt.Sprintf("job %d %s", j.number, what), Statement{text, append([]any{j.number, b.happened(*t)}, more...)})
	*t += b.between(0.01, 0.03)
}

// bill charges a job: haulage by the ton, fuel by percent, waiting time flat, and the state's fuel tax as a line.
func (b *bulk) bill(j job) bill {
	b.lastBill++
	haul := j.tons * int64(1_200+b.rng.IntN(900)) / 1000
	d := bill{number: fmt.Sprint(b.lastBill), party: j.party, job: j.number,
		lines: []charge{{"HAUL", "", j.tons, haul}, {"FUEL%", "", 0, haul * 22 / 100}, {"SFT", "TX", 0, haul * 3 / 100}}}
	if b.rng.IntN(3) == 0 {
		d.lines = append(d.lines, charge{"WAIT", "", 0, 12_500})
	}
	return d
}

func (d bill) total() (cents int64) {
	for _, l := range d.lines {
		cents += l.cents
	}
	return cents
}

// json is the lines as the bill carries them.
func (d bill) json() string {
	var all []string
	for _, l := range d.lines {
		text := fmt.Sprintf(`{"cd": %q`, l.code)
		if l.state != "" {
			text += fmt.Sprintf(`, "st": %q`, l.state)
		}
		if l.tons != 0 {
			text += `, "q": ` + fixed(l.tons, 3)
		}
		all = append(all, fmt.Sprintf(`%s, "c": %d}`, text, l.cents))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// corrected is a document that corrects this one, under its number with a suffix, at a part of its amounts in percent.
func (d bill) corrected(suffix string, percent int64) bill {
	lines := d.lines
	d.number, d.lines = d.number+suffix, nil
	for _, l := range lines {
		l.cents = halfUp(l.cents*percent, 100)
		d.lines = append(d.lines, l)
	}
	return d
}

func (b *bulk) release(at time.Duration, d bill, tell string) {
	b.doTold(at, GulfCoast, "bill "+d.number+" released", tell, d.released(b.ms(at)))
	b.script.Released = append(b.script.Released, "gcbk:"+d.number)
}

// released is the row of a bill that is released as it is written, at a moment in milliseconds.
func (d bill) released(ms any) Statement {
	return Statement{`INSERT INTO bills (bill_no, bill_tax_id, job_no, stat, bill_ms, rel_ms, tot_c, chg, upd_ms) VALUES ($1, $2, $3, 'R', $4, $4, $5, $6, $4)`,
		[]any{d.number, d.party.taxID, d.job, ms, d.total(), d.json()}}
}
