-- Northstar Freight Lines: the dispatch database (PostgreSQL), as it was found. Names, codes and local times without
-- zone are the carrier's own (terminal time is America/Chicago). An invented carrier.
CREATE TABLE customers (
    cust_cd     varchar(6)   PRIMARY KEY,          -- '104377'
    name        varchar(60)  NOT NULL,
    addr1       varchar(60),
    city        varchar(40),
    state       char(2),
    zip         varchar(10),
    email       varchar(80),
    phone       varchar(20),
    tax_id      varchar(20),
    terms_cd    varchar(4)   NOT NULL DEFAULT 'N30', -- N30 N15 COD
    active_flg  char(1)      NOT NULL DEFAULT 'Y',
    upd_ts      timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE loads (
    load_no     integer      PRIMARY KEY,          -- the load number is the PRO number
    cust_cd     varchar(6)   NOT NULL,
    shipper_cd  varchar(6),
    cons_cd     varchar(6),
    bol_no      varchar(20),
    status_cd   char(3)      NOT NULL,             -- AVL ASG DSP APU LDD ADL MTY CLS CAN RFS
    driver_id   integer,
    unit_no     varchar(8),
    pcs_ord     integer      NOT NULL DEFAULT 0,
    pcs_dlv     integer,
    wt_lbs      numeric(10,2),
    ord_ts      timestamp    NOT NULL,
    dep_ts      timestamp,                         -- left the shipper, local
    dlv_dt      date,
    dlv_tm      time,
    pod_ts      timestamp,                         -- paperwork is in, local
    rcvd_by     varchar(40),
    note        text,
    upd_ts      timestamp    NOT NULL DEFAULT now()
);
CREATE TABLE stops (
    load_no     integer      NOT NULL,
    stop_seq    smallint     NOT NULL,
    stop_typ    char(1)      NOT NULL,             -- P pickup, D delivery
    loc_cd      varchar(6)   NOT NULL,
    arr_ts      timestamp,
    dep_ts      timestamp,
    PRIMARY KEY (load_no, stop_seq)
);
CREATE TABLE accessorials (
    acc_id      bigserial    PRIMARY KEY,
    load_no     integer      NOT NULL,
    chg_cd      varchar(4)   NOT NULL,             -- DET LMP
    qty         numeric(10,3) NOT NULL,
    rate        numeric(12,4) NOT NULL,
    amt         numeric(12,2) NOT NULL,
    appr_flg    char(1)      NOT NULL DEFAULT 'N', -- N Y D(isputed)
    appr_by     varchar(20),
    upd_ts      timestamp    NOT NULL DEFAULT now()
);
