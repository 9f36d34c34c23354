-- The user that Waybill needs in MariaDB, and no more. Run it as an administrator. Here the tables are loads and stops of database
-- billing. Take the address of Waybill's machine for '%', and REQUIRE SSL where the network is not yours alone.
CREATE USER 'waybill'@'%' IDENTIFIED BY 'change-me';

-- Reading the binary log, and asking where it begins and ends (the second is REPLICATION CLIENT before MariaDB 10.5).
GRANT REPLICATION SLAVE ON *.* TO 'waybill'@'%';
GRANT BINLOG MONITOR ON *.* TO 'waybill'@'%';

-- The snapshot and the catalog.
GRANT SELECT ON billing.loads TO 'waybill'@'%';
GRANT SELECT ON billing.stops TO 'waybill'@'%';

-- Not needed: PROCESS would show how long transactions of others run, but every statement of theirs, too. REPLICA MONITOR
-- shows how far a replica is behind, if the source is one.
