"""Storage in Apache Cassandra (or ScyllaDB, which speaks the same protocol), for many gateways."""
