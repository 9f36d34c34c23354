-- Pine Valley Lines: the one database (PostgreSQL) of an LTL carrier, as it was found: ops for dispatch, ar for billing. Statuses are a
-- history that is only added to, all paper is in one image table, accessorials are approved in a table of their own, and shipments
-- are billed weekly, many on one invoice. Times are UTC without zone. US and Canadian dollars. An invented carrier.
CREATE SCHEMA ops;
CREATE SCHEMA ar;
CREATE TABLE ops.consignee (
    shipto_cd   varchar(12)  PRIMARY KEY,          -- 'ACME-CHI': a customer is a ship-to
    nm          varchar(60)  NOT NULL,
    adr1        varchar(60),
    adr2        varchar(80),                       -- packed: city, state zip
    ctry        char(2)      NOT NULL DEFAULT 'US',
    gst_no      varchar(20),
    trm         varchar(4)   NOT NULL DEFAULT '30D', -- 30D 10D COD
    act         char(1)      NOT NULL DEFAULT 'Y',
    chg_utc     timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE ops.shpmt (
    pro_no      char(10)     PRIMARY KEY,          -- ten digits, with leading zeros; unique within SCAC PVLY
    bol_no      varchar(20),
    shipto_cd   varchar(12)  NOT NULL,
    pcs         integer      NOT NULL,
    wt_lb       numeric(9,1),
    crt_utc     timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE ops.shipment_status_hist (
    hist_id     bigserial    PRIMARY KEY,
    pro_no      char(10)     NOT NULL,
    st_cd       varchar(2)   NOT NULL,             -- 01 05 10 X3 AF X1 D1 PA CB SD AH A7 CA OO
    rsn_cd      varchar(2),
    res_id      varchar(8),                        -- with 05: tractor or cartage agent
    prv_res_id  varchar(8),                        -- with 05: the one before, when it is taken away from one
    loc_cd      varchar(8),
    pcs         integer,
    rcv_nm      varchar(40),
    evt_utc     timestamp    NOT NULL,             -- when it happened; keyed in hours or days later
    ins_utc     timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE ops.doc_image (
    img_id      bigserial    PRIMARY KEY,
    pro_no      char(10)     NOT NULL,
    doc_typ     char(2)      NOT NULL,             -- DR delivery receipt, BL, LR lumper receipt
    sha1        char(40),
    sig_nm      varchar(40),
    scan_utc    timestamp    NOT NULL
);
CREATE TABLE ops.acc_chg (
    acc_id      bigserial    PRIMARY KEY,
    pro_no      char(10)     NOT NULL,
    acc_cd      varchar(6)   NOT NULL,             -- DTN UNL LGATE FS INS HD LADPU
    units       numeric(9,2) NOT NULL,             -- of DTN: 15 minutes each, after 60
    rt          numeric(9,4) NOT NULL,
    amt         numeric(12,2) NOT NULL,
    ins_utc     timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE ops.acc_appr (
    appr_id     bigserial    PRIMARY KEY,
    acc_id      bigint       NOT NULL,
    dcsn        char(1)      NOT NULL,             -- A approved, R rejected, W waived, D disputed
    appr_by     varchar(20)  NOT NULL,
    appr_utc    timestamp    NOT NULL
);
CREATE TABLE ar.cust_acct (
    shipto_cd   varchar(12)  NOT NULL,
    erp_acct    varchar(12)  NOT NULL,
    cur         char(3)      NOT NULL,
    eff_dt      date         NOT NULL,
    end_dt      date,
    PRIMARY KEY (shipto_cd, eff_dt)
);
CREATE TABLE ar.cons_inv (
    cons_no     varchar(12)  PRIMARY KEY,          -- the week's invoice of a ship-to
    shipto_cd   varchar(12)  NOT NULL,
    cur         char(3)      NOT NULL,
    wk_end      date         NOT NULL,
    ln_cnt      integer      NOT NULL,
    net_amt     numeric(12,2) NOT NULL,
    hst_amt     numeric(12,2) NOT NULL,            -- harmonised sales tax, of Canadian lines
    tot_amt     numeric(12,2) NOT NULL,            -- with tax and adjustment; negative is a credit
    orig_cons   varchar(12),
    chg_utc     timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE ar.cons_dtl (
    cons_no     varchar(12)  NOT NULL,
    seq         integer      NOT NULL,
    pro_no      char(10)     NOT NULL,             -- n shipments in one invoice
    chg_cd      varchar(6)   NOT NULL,             -- FRT and the accessorials
    descr       varchar(60),
    units       numeric(9,2) NOT NULL,
    amt         numeric(12,2) NOT NULL,
    hst_amt     numeric(12,2) NOT NULL,
    tax_cd      varchar(4)   NOT NULL,             -- H13 ZR US
    cur         char(3)      NOT NULL,
    PRIMARY KEY (cons_no, seq)
);
CREATE TABLE ar.bill_queue (
    q_id        bigserial    PRIMARY KEY,
    cons_no     varchar(12)  NOT NULL,
    q_stat      char(1)      NOT NULL,             -- W waiting, R released, X withdrawn
    rel_utc     timestamp
);
CREATE TABLE ar.inv_adj (
    adj_id      bigserial    PRIMARY KEY,
    cons_no     varchar(12)  NOT NULL,
    adj_cd      varchar(4)   NOT NULL,             -- EPD early payment
    adj_amt     numeric(12,2) NOT NULL
);
