-- Saguaro Freight: the billing database (MariaDB) of the stories. Customer codes are billing's own; bill_cust says which account they
-- mean, and since when. Local times without zone. An invented carrier.
CREATE TABLE bill_cust (
    cust_cd     varchar(10)  NOT NULL,
    erp_acct    varchar(12)  NOT NULL,
    cur_cd      char(3)      NOT NULL DEFAULT 'USD',
    pod_flg     char(1)      NOT NULL DEFAULT 'N',
    eff_dt      date         NOT NULL,
    end_dt      date         NULL,
    PRIMARY KEY (cust_cd, eff_dt)
) DEFAULT CHARSET=latin1;
CREATE TABLE inv_hdr (
    inv_no      varchar(12)  NOT NULL PRIMARY KEY,
    load_no     int          NULL,
    bol_no      varchar(20)  NULL,
    po_no       varchar(20)  NULL,
    cust_cd     varchar(10)  NOT NULL,
    stat        char(1)      NOT NULL,             -- D draft, H held, R released, V void
    inv_dt      date         NOT NULL,
    cur_cd      char(3)      NOT NULL DEFAULT 'USD',
    line_cnt    int          NOT NULL,
    tax_amt     decimal(12,2) NOT NULL DEFAULT 0,
    inv_amt     decimal(12,2) NOT NULL,            -- with tax; negative is a credit memo
    orig_inv_no varchar(12)  NULL,                 -- a credit or a rebill says which invoice it corrects
    void_flg    char(1)      NOT NULL DEFAULT 'N', -- Y: deleted, as billing's program does it
    rel_ts      datetime     NULL,
    upd_ts      datetime     NOT NULL
) DEFAULT CHARSET=latin1;
CREATE TABLE inv_line (
    inv_no      varchar(12)  NOT NULL,
    line_no     smallint     NOT NULL,
    chg_cd      varchar(4)   NOT NULL,             -- LH FSC DET LMP
    qty         decimal(10,3) NOT NULL DEFAULT 1,
    ext_amt     decimal(12,2) NOT NULL,
    tax_cd      char(2)      NOT NULL DEFAULT 'EX', -- TX EX
    PRIMARY KEY (inv_no, line_no)
) DEFAULT CHARSET=latin1;
CREATE TABLE week_hdr (                            -- one invoice for all loads of a week
    wk_no       varchar(12)  NOT NULL PRIMARY KEY,
    cust_cd     varchar(10)  NOT NULL,
    stat        char(1)      NOT NULL,
    wk_dt       date         NOT NULL,
    line_cnt    int          NOT NULL,
    wk_amt      decimal(12,2) NOT NULL,
    rel_ts      datetime     NULL
) DEFAULT CHARSET=latin1;
CREATE TABLE week_line (
    wk_no       varchar(12)  NOT NULL,
    line_no     smallint     NOT NULL,
    load_no     int          NOT NULL,
    chg_cd      varchar(4)   NOT NULL,
    ext_amt     decimal(12,2) NOT NULL,
    PRIMARY KEY (wk_no, line_no)
) DEFAULT CHARSET=latin1;
CREATE TABLE ctr_inv (                             -- an invoice of contract freight: billed as it was ordered
    inv_no      varchar(12)  NOT NULL PRIMARY KEY,
    cust_cd     varchar(10)  NOT NULL,
    stat        char(1)      NOT NULL,
    ord_dt      date         NOT NULL,
    inv_dt      date         NOT NULL,
    inv_amt     decimal(12,2) NOT NULL,
    rel_ts      datetime     NULL
) DEFAULT CHARSET=latin1;
CREATE TABLE ctr_line (
    inv_no      varchar(12)  NOT NULL,
    line_no     smallint     NOT NULL,
    ext_amt     decimal(12,2) NOT NULL,
    PRIMARY KEY (inv_no, line_no)
) DEFAULT CHARSET=latin1;

-- What billing's program does: a draft of one line haul, and its release.
CREATE PROCEDURE draft(no varchar(12), ld int, cust varchar(10), amt decimal(12,2), dt date)
BEGIN
    START TRANSACTION;
    INSERT INTO inv_hdr (inv_no, load_no, cust_cd, stat, inv_dt, line_cnt, inv_amt, upd_ts) VALUES (no, ld, cust, 'D', dt, 1, amt, dt);
    INSERT INTO inv_line (inv_no, line_no, chg_cd, qty, ext_amt) VALUES (no, 1, 'LH', IF(amt < 0, -1, 1), amt);
    COMMIT;
END;
CREATE PROCEDURE correct(no varchar(12), orig varchar(12), cust varchar(10), amt decimal(12,2), dt date)
BEGIN
    START TRANSACTION;
    INSERT INTO inv_hdr (inv_no, load_no, cust_cd, stat, inv_dt, line_cnt, inv_amt, orig_inv_no, upd_ts)
        SELECT no, load_no, cust, 'D', dt, 1, amt, orig, dt FROM inv_hdr WHERE inv_no = orig;
    INSERT INTO inv_line (inv_no, line_no, chg_cd, qty, ext_amt) VALUES (no, 1, 'LH', IF(amt < 0, -1, 1), amt);
    COMMIT;
END;
CREATE PROCEDURE release_inv(no varchar(12), at datetime)
    UPDATE inv_hdr SET stat='R', rel_ts=at, upd_ts=at WHERE inv_no=no;
CREATE PROCEDURE bill_contract(no varchar(12), cust varchar(10), amt decimal(12,2), ordered date, dt date, at datetime)
BEGIN
    START TRANSACTION;
    INSERT INTO ctr_inv VALUES (no, cust, 'R', ordered, dt, amt, at);
    INSERT INTO ctr_line VALUES (no, 1, amt);
    COMMIT;
END;

INSERT INTO bill_cust (cust_cd, erp_acct, cur_cd, pod_flg, eff_dt) VALUES
    ('LONE1', 'P10001', 'USD', 'N', '2019-01-01'),
    ('GULF1', 'P10002', 'USD', 'Y', '2019-01-01'),
    ('MESA1', 'P10003', 'USD', 'N', '2019-01-01'),
    ('MAPL1', 'P10004', 'CAD', 'N', '2019-01-01');
