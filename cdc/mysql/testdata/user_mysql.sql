-- The user that Waybill needs in MySQL, and no more. Run it as an administrator. Here the tables are loads and stops of database
-- billing. Take the address of Waybill's machine for '%', and REQUIRE SSL where the network is not yours alone.
CREATE USER 'waybill'@'%' IDENTIFIED BY 'change-me';

-- Reading the binary log, and asking where it begins and ends.
GRANT REPLICATION SLAVE ON *.* TO 'waybill'@'%';
GRANT REPLICATION CLIENT ON *.* TO 'waybill'@'%';

-- A snapshot begins with FLUSH TABLES WITH READ LOCK, for the moment between two statements.
GRANT RELOAD ON *.* TO 'waybill'@'%';

-- The snapshot and the catalog.
GRANT SELECT ON billing.loads TO 'waybill'@'%';
GRANT SELECT ON billing.stops TO 'waybill'@'%';
