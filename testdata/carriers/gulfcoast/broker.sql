-- Gulf Coast Bulk: the one database (PostgreSQL) of a bulk broker, as it was found. Its program was written for another database and
-- moved: states are numbers whose meaning nobody wrote down, times are milliseconds since 1970, money is cents, nothing is deleted
-- but flagged void, and a bill carries its lines as JSON. Customers are known by their tax id. An invented carrier.
CREATE TABLE parties (
    tax_id      varchar(12)  PRIMARY KEY,          -- '36-1234567'
    pname       varchar(60)  NOT NULL,
    addr        varchar(120),                      -- packed: street|city|state|zip
    net_days    integer      NOT NULL DEFAULT 30,  -- 0 cash, 15, 30
    is_void     boolean      NOT NULL DEFAULT false,
    upd_ms      bigint       NOT NULL
);
CREATE TABLE jobs (
    job_no      bigint       PRIMARY KEY,
    bill_tax_id varchar(12)  NOT NULL,
    state       integer      NOT NULL,             -- 0 1 2 3 5 6 8 9; 8 meant "transferred" before 2024-07-01, and means "refused" since
    hauler_id   integer,                           -- whose truck
    commodity   varchar(20),
    tons_ord    numeric(10,3) NOT NULL DEFAULT 0,
    tons_dlv    numeric(10,3),
    ticket_no   varchar(20),                       -- of the scale; there is no BOL and no PRO
    loaded_ts   bigint,                            -- milliseconds; loaded and gone when it is set
    at_dest_ts  bigint,
    dlv_ts      bigint,
    wait_c      bigint       NOT NULL DEFAULT 0,   -- waiting time, flat, in cents; a foreman's signature is its approval
    foreman     varchar(40),
    pod_yn      char(1)      NOT NULL DEFAULT 'N',
    pod_ts      bigint,
    is_void     boolean      NOT NULL DEFAULT false,
    upd_ms      bigint       NOT NULL
);
CREATE TABLE bills (
    bill_no     varchar(14)  PRIMARY KEY,          -- '50017'; '50017-A' takes it back, '50017-B' is what replaces it
    bill_tax_id varchar(12)  NOT NULL,
    job_no      bigint,
    stat        char(1)      NOT NULL,             -- O open, R released, V void
    bill_ms     bigint       NOT NULL,             -- its day, in the broker's town
    rel_ms      bigint,
    tot_c       bigint       NOT NULL,             -- cents; negative takes another bill back
    chg         jsonb        NOT NULL,             -- [{"cd": "HAUL", "q": 24.350, "c": 146100}, {"cd": "FUEL%", …}, {"cd": "SFT", "st": "TX", …}]
    is_void     boolean      NOT NULL DEFAULT false,
    upd_ms      bigint       NOT NULL
);
