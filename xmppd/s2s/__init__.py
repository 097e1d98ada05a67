"""Federation: finding other servers, proving who is who on both sides, and the streams between us (RFC 6120, XEP-0220)."""
