package pipeline

import "fmt"

// week is what happens to three carriers in some days: loads and shipments on their way, invoices with their lines, rebills, credit memos, voids,
// corrections of what is a cent off, approvals and disputes. Each thread is rows whose order the databases keep.
func week() (all []thread) {
	all = append(all, northstarWeek()...)
	all = append(all, pinevalleyWeek()...)
	return append(all, gulfcoastWeek()...)
}

func line(format string, args ...any) change { return change(fmt.Sprintf(format, args...)) }

func northstarWeek() []thread {
	all := []thread{
		one("dispatch customers insert cust_cd=100100 name=Lone_Star terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00",
			"dispatch customers update cust_cd=100100 name=Lone_Star_Foods upd_ts=2026-10-01_09:00:00"),
		one("billing bill_cust insert cust_cd=ACM01 erp_acct=100100 eff_dt=2019-01-01"),
		// A charge is asked for, disputed and approved after all.
		one("dispatch accessorials insert acc_id=5 load_no=1 chg_cd=LMP qty=1.000 rate=80.0000 amt=80.00 appr_flg=N upd_ts=2026-10-02_09:00:00",
			"dispatch accessorials update acc_id=5 appr_flg=Y appr_by=mk upd_ts=2026-10-02_11:00:00"),
		// A draft is voided, and a total is a cent off until it is corrected.
		one(header("I3", "", "D", "70.00"), "billing inv_hdr update inv_no=I3 stat=V"), one(lineOf("I3", "70.00")),
		one(header("I5", "", "D", "20.00"), "billing inv_hdr delete inv_no=I5"), one(lineOf("I5", "20.00"), "billing inv_line delete inv_no=I5 line_no=1"),
		one(header("I4", "", "R", "50.00")), one(lineOf("I4", "49.99"), "billing inv_line update inv_no=I4 line_no=1 ext_amt=50.00 rate=50.0000"),
	}
	for i := 1; i <= 2; i++ {
		load := line("dispatch loads update load_no=%d", i)
		all = append(all, one(line("dispatch loads insert load_no=%d cust_cd=100100 status_cd=AVL pcs_ord=9 bol_no=B%d ord_ts=2026-10-01_06:00:00 upd_ts=2026-10-01_07:00:00", i, i),
			load+" status_cd=ASG driver_id=17 upd_ts=2026-10-01_07:10:00", load+" driver_id=18 upd_ts=2026-10-01_07:20:00",
			load+" status_cd=LDD dep_ts=2026-10-01_09:00:00 upd_ts=2026-10-01_09:01:00",
			load+" status_cd=MTY dlv_dt=2026-10-02 dlv_tm=10:00:00 pcs_dlv=9 upd_ts=2026-10-02_10:00:00",
			load+" upd_ts=2026-10-02_10:00:01", load+" status_cd=CLS pod_ts=2026-10-02_12:00:00 upd_ts=2026-10-02_12:00:00"),
			one(line("dispatch stops insert load_no=%d stop_seq=1 stop_typ=P loc_cd=DAL", i), line("dispatch stops update load_no=%d stop_seq=1 arr_ts=2026-10-01_08:00:00", i)))
	}
	// An invoice of load 1 that is rebilled, and one of load 2 with a credit memo. Drafted, then released in one transaction with its last line.
	all = append(all,
		thread{{header("I1", "", "D", "150.00") + " load_no=1"}, {lineOf("I1", "150.00"), "billing inv_hdr update inv_no=I1 stat=R rel_ts=2026-10-03_09:00:00"}},
		one(header("I1C", "I1", "R", "-150.00")), one(lineOf("I1C", "-150.00")), one(header("I1R", "I1", "R", "140.00")), one(lineOf("I1R", "140.00")),
		one(header("I2", "", "D", "90.00")+" load_no=2", "billing inv_hdr update inv_no=I2 stat=R rel_ts=2026-10-03_09:00:00"), one(lineOf("I2", "90.00")),
		thread{{header("I2C", "I2", "R", "-5.00"), lineOf("I2C", "-5.00")}})
	return all
}

func header(no, original, stat, amount string) change {
	c := line("billing inv_hdr insert inv_no=%s rev_no=0 cust_cd=ACM01 stat=%s inv_dt=2026-10-03 line_cnt=1 inv_amt=%s tax_amt=0.00 upd_ts=2026-10-03_08:00:00", no, stat, amount)
	if stat == "R" {
		c += " rel_ts=2026-10-03_08:00:00"
	}
	if original != "" {
		c += line(" orig_inv_no=%s", original)
	}
	return c
}

func lineOf(no, amount string) change {
	return line("billing inv_line insert inv_no=%s line_no=1 chg_cd=LH qty=1.000 rate=%s ext_amt=%[2]s tax_cd=EX", no, amount)
}

func pinevalleyWeek() []thread {
	all := []thread{
		one("pvly ops.consignee insert shipto_cd=ACME-CHI nm=Acme adr1=1_Lake adr2=Chicago,_IL_60601 ctry=US trm=30D act=Y chg_utc=2026-10-01_08:00:00",
			"pvly ops.consignee update shipto_cd=ACME-CHI trm=10D chg_utc=2026-10-02_08:00:00"),
		one("pvly ar.cust_acct insert shipto_cd=ACME-CHI erp_acct=ACME-CHI cur=USD eff_dt=2019-01-01"),
		one("pvly ops.acc_chg insert acc_id=7 pro_no=0000000001 acc_cd=DTN units=3.00 rt=25.0000 amt=75.00 ins_utc=2026-10-02_10:00:00"),
		one("pvly ops.acc_appr insert appr_id=1 acc_id=7 dcsn=A appr_by=mk appr_utc=2026-10-02_11:00:00"),
		// Another is disputed, and waived an hour later: two rows.
		one("pvly ops.acc_chg insert acc_id=8 pro_no=0000000002 acc_cd=INS units=1.00 rt=40.0000 amt=40.00 ins_utc=2026-10-02_10:00:00"),
		one("pvly ops.acc_appr insert appr_id=2 acc_id=8 dcsn=D appr_by=mk appr_utc=2026-10-02_11:00:00"),
		one("pvly ops.acc_appr insert appr_id=3 acc_id=8 dcsn=W appr_by=mk appr_utc=2026-10-02_12:00:00"),
		one("pvly ops.doc_image insert img_id=1 pro_no=0000000001 doc_typ=DR sig_nm=J_Doe scan_utc=2026-10-02_12:00:00"),
	}
	n := 0
	for i := 1; i <= 2; i++ {
		for _, s := range []string{"05 res_id=T17 evt_utc=2026-10-01_09:00:00", "AF pcs=12 evt_utc=2026-10-01_12:00:00", "D1 pcs=12 rcv_nm=J_Doe evt_utc=2026-10-02_10:00:00"} {
			n++
			all = append(all, one(line("pvly ops.shipment_status_hist insert hist_id=%d pro_no=%010d ins_utc=2026-10-02_10:00:00 st_cd=%s", n, i, s)))
		}
	}
	// A week's invoice of two shipments with an adjustment, credited whole and billed anew.
	for i, c := range []struct{ no, original, net, total string }{{"C1", "", "100.00", "98.00"}, {"C1C", "C1", "-98.00", "-98.00"}, {"C1R", "C1", "80.00", "80.00"}, {"C2", "", "60.00", "60.00"}} {
		h := line("pvly ar.cons_inv insert cons_no=%s shipto_cd=ACME-CHI cur=USD wk_end=2026-10-02 ln_cnt=2 net_amt=%s hst_amt=0.00 tot_amt=%s chg_utc=2026-10-03_08:00:00", c.no, c.net, c.total)
		if c.original != "" {
			h += line(" orig_cons=%s", c.original)
		}
		half := map[string]string{"100.00": "50.00", "-98.00": "-49.00", "80.00": "40.00", "60.00": "30.00"}[c.net]
		all = append(all, one(h), one(line("pvly ar.bill_queue insert q_id=%d cons_no=%s q_stat=W", i+1, c.no),
			line("pvly ar.bill_queue update q_id=%d cons_no=%s q_stat=R rel_utc=2026-10-04_08:00:00", i+1, c.no)))
		for l := 1; l <= 2; l++ {
			all = append(all, one(line("pvly ar.cons_dtl insert cons_no=%s seq=%d pro_no=%010d chg_cd=FRT units=1.00 amt=%s hst_amt=0.00 tax_cd=US cur=USD", c.no, l, l, half)))
		}
	}
	return append(all, one("pvly ar.inv_adj insert adj_id=1 cons_no=C1 adj_cd=EPD adj_amt=-2.00"))
}

func gulfcoastWeek() []thread {
	bill := func(no, stat string, cents int) change {
		return line(`gcbk bills insert bill_no=%s bill_tax_id=36-1234567 stat=%s bill_ms=1790850000000 rel_ms=1790850000000 tot_c=%d chg=[{"cd":"HAUL","c":%[3]d}] is_void=false upd_ms=1790850000000`, no, stat, cents)
	}
	job := change("gcbk jobs update job_no=7001")
	return []thread{
		one("gcbk parties insert tax_id=36-1234567 pname=Sand addr=1_Main_St|Houston|TX|77002 net_days=30 is_void=false upd_ms=1790850000000"),
		one("gcbk jobs insert job_no=7001 bill_tax_id=36-1234567 state=0 tons_ord=24.500 wait_c=0 pod_yn=N is_void=false upd_ms=1790850000000",
			job+" state=1 hauler_id=17", job+" hauler_id=18", job+" state=3 loaded_ts=1790856000000", job+" state=6 dlv_ts=1790866800000 tons_dlv=24.350", job+" pod_yn=Y pod_ts=1790870400000"),
		one("gcbk jobs insert job_no=7002 bill_tax_id=36-1234567 state=0 tons_ord=24.500 wait_c=0 pod_yn=N is_void=false upd_ms=1790850000000", "gcbk jobs update job_no=7002 is_void=true"),
		// 50017 is rebilled; of 50018 a part is credited; 50019 is opened and voided; 50020 waits for its job.
		one(bill("50017", "O", 100000), "gcbk bills update bill_no=50017 stat=R"), one(bill("50017-A", "R", -100000)), one(bill("50017-B", "R", 90000)),
		one(bill("50018", "R", 50000)), one(bill("50018-A", "R", -20000)), one(bill("50019", "O", 100), "gcbk bills update bill_no=50019 stat=V"),
		one(bill("50020", "R", 30000) + " job_no=7001"),
	}
}

// corrected says of each whole credit which original it takes back, and what replaces it, by external id.
var corrected = []struct{ original, credit, replacement string }{
	{"nstar:I1:0", "nstar:I1C:0", "nstar:I1R:0"}, {"pvly:C1", "pvly:C1C", "pvly:C1R"}, {"gcbk:50017", "gcbk:50017-A", "gcbk:50017-B"},
}
