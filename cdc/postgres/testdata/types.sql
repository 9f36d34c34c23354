CREATE TYPE load_status AS ENUM ('AVL', 'DSP', 'O''HARE');
CREATE DOMAIN money_amount AS numeric(12,2) CHECK (VALUE >= -1000000);
CREATE DOMAIN invoice_amount AS money_amount;
CREATE TABLE types (
  id       text PRIMARY KEY,
  bool     boolean,
  small    smallint,
  int      integer,
  big      bigint,
  num      numeric,
  num12    numeric(12,2),
  real     real,
  double   double precision,
  text     text,
  varchar  varchar(40),
  char     char(8),
  name     name,
  bytea    bytea,
  date     date,
  time     time,
  ts       timestamp,
  tstz     timestamptz,
  uuid     uuid,
  json     json,
  jsonb    jsonb,
  enum     load_status,
  domain   invoice_amount
);
