"""ClickHouse for one machine: the real engine (chdb, in process) behind as much of ClickHouse's HTTP interface as an
unmodified client needs. For development, demonstration and tests; production runs a ClickHouse server.

Not there: users and grants, replication, the query log, server-side sessions (SET and temporary tables end with their
request), the Native format's revisioned variant (`client_protocol_version`).
"""
