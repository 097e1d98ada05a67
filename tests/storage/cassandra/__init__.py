"""Storage in Cassandra: what the contract does not ask."""
