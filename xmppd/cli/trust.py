"""Whether clients will believe a certificate: a handshake in memory, with the same checks that a client makes."""

import ssl
from pathlib import Path

from xmppd.certificates import dns_name

ROUNDS = 10
"""A TLS 1.3 handshake takes three flights; who has not finished after this many never will."""


def why_not_trusted(server: ssl.SSLContext, domain: str, ca_file: Path | None) -> str | None:
    """Return why a client that wants `domain` refuses what the server presents, None when it does not.

    Args:
        server: the context that the server uses for this domain.
        ca_file: PEM file of the authorities that the client trusts; None for this system's.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    client = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=dns_name(domain).strip("[]")),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    for _ in range(ROUNDS):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            waiting.remove(end)
        if not waiting:
            return None
    return "the handshake does not end"
