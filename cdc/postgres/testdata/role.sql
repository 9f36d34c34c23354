-- The role that Waybill needs in a PostgreSQL database, and no more. Run it as a superuser in the database that is captured
-- (here dispatch; the source is named dispatch, its tables are loads and stops of schema public).
CREATE ROLE waybill LOGIN REPLICATION PASSWORD 'change-me';

-- The snapshot reads the tables; pg_read_all_stats shows how long transactions run and how far standbys are behind.
GRANT CONNECT ON DATABASE dispatch TO waybill;
GRANT USAGE ON SCHEMA public TO waybill;
GRANT SELECT ON public.loads, public.stops TO waybill;
GRANT pg_read_all_stats TO waybill;

-- The stream carries the tables of this publication. The role need not own it, nor the tables.
CREATE PUBLICATION waybill_dispatch FOR TABLE public.loads, public.stops WITH (publish_via_partition_root = true);

-- In pg_hba.conf, before broader lines (replication connections of logical slots match the database, not "replication"):
-- hostssl  dispatch  waybill  <address of Waybill>/32  scram-sha-256
