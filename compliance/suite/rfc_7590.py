"""RFC 7590: use of TLS in XMPP, which makes the rules of RFC 7525 (now BCP 195) hold here."""

from __future__ import annotations

import ssl

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_in
from compliance.client import Client
from compliance.names import find
from compliance.scene import Scene

check = checks_of("RFC 7590")


async def _inside_tls(scene: Scene, newest: ssl.TLSVersion | None = None) -> Client:
    client = scene.client()
    await client.connect()
    await client.open_stream()
    features = await client.read_features()
    if find(features, "tls:starttls") is None:
        raise NotPossible("the server does not offer STARTTLS")
    await client.start_tls(newest=newest)
    return client


@check("3.1", MUST, "A server supports TLS 1.2 at least, by STARTTLS.")
async def tls_1_2_or_newer_is_negotiated(scene: Scene) -> None:
    client = await _inside_tls(scene)
    assert client.tls is not None
    require_in(client.tls.version(), ("TLSv1.2", "TLSv1.3"), "the version of TLS")


@check("3.1", SHOULD, "A server still serves clients that know no TLS newer than 1.2.")
async def tls_1_2_alone_is_enough(scene: Scene) -> None:
    client = await _inside_tls(scene, ssl.TLSVersion.TLSv1_2)
    assert client.tls is not None
    require(client.tls.version() == "TLSv1.2", f"the version of TLS is {client.tls.version()}")


@check("3.3", MUST, "TLS compression is not used.")
async def tls_compression_is_off(scene: Scene) -> None:
    client = await _inside_tls(scene)
    assert client.tls is not None
    require(client.tls.compression() is None, f"TLS compresses with {client.tls.compression()}")


@check("3.1", MUST, "The cipher keeps past traffic secret when the server's key is lost.")
async def cipher_has_forward_secrecy(scene: Scene) -> None:
    client = await _inside_tls(scene)
    assert client.tls is not None
    name, version, bits = client.tls.cipher() or ("", "", 0)
    require(version == "TLSv1.3" or "DHE" in name, f"the cipher is {name}")
    require(bits >= 128, f"the cipher has {bits} bits")


@check("3.4", MUST, "The certificate is for the domain and is trusted by what the run was told to trust.")
async def certificate_is_valid_for_the_domain(scene: Scene) -> None:
    if scene.target.insecure:
        raise NotPossible("the run was told to trust any certificate (--insecure)")
    client = await _inside_tls(scene)
    assert client.tls is not None
    require(client.tls.getpeercert(), "the server showed no certificate")


@check("3.2", SHOULD, "Versions older than TLS 1.2 are refused.")
async def old_tls_is_refused(scene: Scene) -> None:
    client = scene.client()
    await client.connect()
    await client.open_stream()
    if find(await client.read_features(), "tls:starttls") is None:
        raise NotPossible("the server does not offer STARTTLS")
    await client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await client.expect("tls:proceed")
    try:
        await client.handshake(newest=ssl.TLSVersion.TLSv1_1)
    except Failed:
        return
    require(False, f"{client.tls and client.tls.version()} was accepted")
