-- Saguaro Freight: the dispatch database (PostgreSQL) of the stories. Local times without zone are Phoenix time, where clocks never
-- change. An invented carrier.
CREATE TABLE customers (
    cust_cd     varchar(6)   PRIMARY KEY,
    name        varchar(60)  NOT NULL,
    city        varchar(40),
    state       char(2),
    zip         varchar(10),
    terms_cd    varchar(4)   NOT NULL DEFAULT 'N30', -- N30 N15 COD
    pod_flg     char(1)      NOT NULL DEFAULT 'N',   -- Y: no invoice without the paper
    dsp_rule    char(1)      NOT NULL DEFAULT 'L',   -- a dispute holds L the line or W the whole invoice
    active_flg  char(1)      NOT NULL DEFAULT 'Y',
    upd_ts      timestamp    NOT NULL
);
CREATE TABLE locations (
    loc_cd      varchar(6)   PRIMARY KEY,
    city        varchar(40)  NOT NULL
);
CREATE TABLE loads (
    load_no     integer      PRIMARY KEY,
    cust_cd     varchar(6)   NOT NULL,
    status_cd   char(3)      NOT NULL,               -- AVL ASG LDD PRT MTY CLS CAN
    driver_id   integer,
    bol_no      varchar(20),
    po_no       varchar(20),
    pcs_ord     integer      NOT NULL DEFAULT 20,
    pcs_dlv     integer,
    ass_ts      timestamp,
    dep_ts      timestamp,
    dlv_ts      timestamp,
    pod_ts      timestamp,
    cxl_rsn     varchar(20),
    upd_ts      timestamp    NOT NULL
);
CREATE TABLE stops (
    load_no     integer      NOT NULL,
    stop_seq    smallint     NOT NULL,
    stop_typ    char(1)      NOT NULL,               -- P pickup, D delivery
    loc_cd      varchar(6)   NOT NULL,
    arr_ts      timestamp,
    dep_ts      timestamp,
    PRIMARY KEY (load_no, stop_seq)
);
CREATE TABLE accessorials (
    acc_id      integer      PRIMARY KEY,
    load_no     integer      NOT NULL,
    chg_cd      varchar(4)   NOT NULL,               -- DET LMP
    qty         numeric(10,3) NOT NULL DEFAULT 1,
    amt         numeric(12,2) NOT NULL,
    appr_flg    char(1)      NOT NULL DEFAULT 'N',   -- N asked, Y approved, W waived, D disputed by the customer
    upd_ts      timestamp    NOT NULL
);

-- What dispatch's program does when a driver takes a load and leaves, and when he is empty.
CREATE FUNCTION drive(no integer, customer text, assigned timestamp, departed timestamp, bol text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loads (load_no, cust_cd, status_cd, bol_no, upd_ts) VALUES (no, customer, 'AVL', bol, assigned);
    UPDATE loads SET status_cd='ASG', driver_id=7, ass_ts=assigned, upd_ts=assigned WHERE load_no=no;
    UPDATE loads SET status_cd='LDD', dep_ts=departed, upd_ts=departed WHERE load_no=no;
END $$;
CREATE FUNCTION deliver(no integer, at timestamp) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE loads SET status_cd='MTY', dlv_ts=at, pcs_dlv=pcs_ord, upd_ts=at WHERE load_no=no;
END $$;

-- P10001 takes invoices without paper, P10002 never does, P10003 holds the whole invoice when he disputes a line, P10004 is in Canada.
INSERT INTO customers (cust_cd, name, city, state, zip, pod_flg, dsp_rule, upd_ts) VALUES
    ('P10001', 'Lone Star Foods', 'Dallas', 'TX', '75201', 'N', 'L', '2026-01-05 08:00'),
    ('P10002', 'Gulf Steel', 'Houston', 'TX', '77002', 'Y', 'L', '2026-01-05 08:00'),
    ('P10003', 'Mesa Tile', 'Mesa', 'AZ', '85201', 'N', 'W', '2026-01-05 08:00'),
    ('P10004', 'Maple Tools', NULL, NULL, NULL, 'N', 'L', '2026-01-05 08:00');
INSERT INTO locations VALUES ('PHX1', 'Phoenix'), ('DAL1', 'Dallas');
