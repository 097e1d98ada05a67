"""A small internet on loopback: a DNS server, certificate authorities, and real servers of other makers."""
