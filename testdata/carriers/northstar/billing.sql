-- Northstar Freight Lines: the billing database (MariaDB), as it was found. Customer codes are billing's own; the table
-- bill_cust says which account they mean, and since when. Local times without zone. An invented carrier.
CREATE TABLE bill_cust (
    cust_cd     varchar(10)  NOT NULL,             -- 'ACM01'
    erp_acct    varchar(12)  NOT NULL,             -- the customer number of dispatch, which is the account in the ERP
    eff_dt      date         NOT NULL,
    end_dt      date         NULL,                 -- last day; NULL is open
    PRIMARY KEY (cust_cd, eff_dt)
) DEFAULT CHARSET=latin1;
CREATE TABLE inv_hdr (
    inv_no      varchar(12)  NOT NULL PRIMARY KEY,
    rev_no      int          NOT NULL DEFAULT 0,
    load_no     int          NULL,
    cust_cd     varchar(10)  NOT NULL,
    stat        char(1)      NOT NULL,             -- D draft, H held, R released, V void
    inv_dt      date         NOT NULL,
    cur_cd      char(3)      NULL,                 -- NULL means USD
    line_cnt    int          NOT NULL,
    tax_amt     decimal(12,2) NOT NULL,
    inv_amt     decimal(12,2) NOT NULL,            -- with tax; negative is a credit memo
    orig_inv_no varchar(12)  NULL,                 -- a credit or a rebill says which invoice it corrects
    memo        varchar(80)  NULL,                 -- latin1: customers have accents
    rel_ts      datetime     NULL,                 -- when it was released, local
    upd_ts      datetime     NOT NULL
) DEFAULT CHARSET=latin1;
CREATE TABLE inv_line (
    inv_no      varchar(12)  NOT NULL,
    line_no     smallint     NOT NULL,
    chg_cd      varchar(4)   NOT NULL,             -- LH FSC DET LMP
    descr       varchar(60)  NULL,
    qty         decimal(10,3) NOT NULL,
    rate        decimal(12,4) NOT NULL,
    ext_amt     decimal(12,2) NOT NULL,
    tax_cd      char(2)      NOT NULL,             -- TX EX
    PRIMARY KEY (inv_no, line_no)
) DEFAULT CHARSET=latin1;
