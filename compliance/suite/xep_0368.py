"""XEP-0368: SRV records for XMPP over TLS, which is TLS from the first byte (direct TLS)."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import find
from compliance.scene import Scene

check = checks_of("XEP-0368")


async def _connect(scene: Scene, *alpn: str) -> Client:
    if scene.target.direct_tls_port is None:
        raise NotPossible("no port for direct TLS was given to the run (--direct-tls)")
    client = scene.client()
    await client.connect(direct_tls=True, alpn=alpn)
    return client


@check("3", MUST, "The port speaks TLS from the first byte, and a client can log in on it.")
async def direct_tls_serves_clients(scene: Scene) -> None:
    client = await _connect(scene, "xmpp-client")
    await client.open_stream()
    await client.read_features()
    await client.enter()
    await client.roundtrip()


@check("3", MUST, "STARTTLS is not offered inside TLS.")
async def starttls_is_not_offered(scene: Scene) -> None:
    client = await _connect(scene, "xmpp-client")
    await client.open_stream()
    require(find(await client.read_features(), "tls:starttls") is None, "STARTTLS is offered inside TLS")


@check("3", SHOULD, "The protocol xmpp-client is chosen by ALPN when the client offers it.")
async def alpn_is_negotiated(scene: Scene) -> None:
    client = await _connect(scene, "xmpp-client")
    assert client.tls is not None
    require_equal(client.tls.selected_alpn_protocol(), "xmpp-client", "the protocol chosen by ALPN")


@check("5", SHOULD, "A client that does not use ALPN is served as well.")
async def alpn_is_not_required(scene: Scene) -> None:
    client = await _connect(scene)
    await client.open_stream()
    await client.read_features()
    require(client.mechanisms(), "no SASL mechanism is offered to a client without ALPN")


@check("3", MUST, "Direct TLS is no weaker than STARTTLS: TLS 1.2 at least.")
async def tls_is_as_strong(scene: Scene) -> None:
    client = await _connect(scene, "xmpp-client")
    assert client.tls is not None
    require_in(client.tls.version(), ("TLSv1.2", "TLSv1.3"), "the version of TLS")
