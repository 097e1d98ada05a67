"""XEP-0388: Extensible SASL Profile."""

from __future__ import annotations

import base64

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, condition, find, text
from compliance.sasl import HASHES, Plain, Scram
from compliance.sasl2 import FEATURE, NS, log_in, mechanisms, outcome, request, start, try_password
from compliance.scene import Scene

check = checks_of("XEP-0388")


async def _challenged(scene: Scene) -> Client:
    """Return a client with a challenge of SCRAM to answer."""
    client = await start(scene)
    assert client.account is not None
    name = next((name for name in HASHES if name in mechanisms(client)), None)
    if name is None:
        raise NotPossible(f"no SCRAM without channel binding is offered, but {mechanisms(client)}")
    await client.send(request(name, Scram(name, client.account.username, "").first()))
    require((await outcome(client)).tag == f"{{{NS}}}challenge", "SCRAM did not begin with a challenge")
    return client


@check("2.1", MUST, "Where it is offered, a mechanism is offered with it.")
async def mechanism_is_offered(scene: Scene) -> None:
    require(mechanisms(await start(scene)), "<authentication/> has no <mechanism/>")


@check("3", MUST, "It is offered after TLS has been negotiated, not before.")
async def it_is_offered_inside_tls(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    if f"{{{PREFIXES['tls']}}}starttls" not in scene.profile.before_tls:
        raise NotPossible("the server does not offer TLS")
    require(FEATURE not in scene.profile.before_tls, "it is offered on a stream without TLS")


@check("2.6.1", MUST, "A success names the account, and features follow at once, without a restart of the stream.")
async def success_is_followed_by_features(scene: Scene) -> None:
    client = await start(scene)
    await log_in(client)
    require_equal(client.jid, scene.jid("romeo"), "the authorization identifier")
    await client.read_features()
    await client.bind()
    await client.roundtrip()


@check("2.6.2", MUST, "A failure names a condition of RFC 6120, and the client may try again.")
async def failure_leaves_the_stream_as_it_was(scene: Scene) -> None:
    client = await start(scene)
    failure = await try_password(client, password="certainly not the password")
    require_equal(condition(failure), "not-authorized", "the condition")
    await log_in(client)


@check("2.3", MUST, "A mechanism that was not offered fails.")
async def unknown_mechanism_fails(scene: Scene) -> None:
    client = await start(scene)
    await client.send(request("X-NO-SUCH-THING", b"x"))
    failure = await outcome(client)
    require_equal(failure.tag, f"{{{NS}}}failure", "the answer")
    require(condition(failure), "the failure has no condition")


@check("2.3", MUST, "An authorization identity other than the one in the stream's header fails.")
async def identity_other_than_the_headers_fails(scene: Scene) -> None:
    client = await start(scene, from_=scene.jid("juliet"))
    if "PLAIN" not in mechanisms(client):
        raise NotPossible("PLAIN is not offered")
    assert client.account is not None
    exchange = Plain(client.account.username, client.account.password, client.account.jid)
    await client.send(request("PLAIN", exchange.first()), shown="[PLAIN as romeo on a stream from juliet]")
    require_equal((await outcome(client)).tag, f"{{{NS}}}failure", "the answer")


@check("2.1", SHOULD, "A header whose two domains differ gets invalid-from.")
async def header_of_another_domain_is_invalid(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    header = (
        f"<?xml version='1.0'?><stream:stream to='{scene.domain}' from='romeo@elsewhere.example' version='1.0' "
        "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    other = scene.client(label="romeo of elsewhere")
    await other.connect()
    await other.open_stream(header)
    await other.expect_stream_error("invalid-from")


@check("2.4", MUST, "Anything but the exchange itself while it is under way ends the stream.")
async def other_traffic_during_the_exchange_ends_the_stream(scene: Scene) -> None:
    client = await _challenged(scene)
    await client.send("<iq type='get' id='early'><ping xmlns='urn:xmpp:ping'/></iq>")
    await client.expect_end()
    client.refuse("c:iq", id="early", why="the request was answered during the exchange")


@check("4.5", MUST, "A client may abort, and gets a failure.")
async def abort_is_a_failure(scene: Scene) -> None:
    client = await _challenged(scene)
    await client.send(f"<abort xmlns='{NS}'/>")
    failure = await outcome(client)
    require_equal(failure.tag, f"{{{NS}}}failure", "the answer")
    require_equal(condition(failure), "aborted", "the condition")


@check("4.8", MUST, "Another request after success is a stream error.")
async def second_login_is_a_stream_error(scene: Scene) -> None:
    client = await start(scene)
    await log_in(client)
    await client.send(request("PLAIN", b"\0romeo\0x"))
    await client.expect_stream_error()


@check("2.6.2", MUST, "Nothing that was asked for inline is done when the login fails.")
async def nothing_inline_is_done_for_a_failed_login(scene: Scene) -> None:
    client = await start(scene)
    failure = await try_password(client, f"<bind xmlns='{PREFIXES['bind2']}'/>", password="certainly not it")
    require_equal(
        [el.tag for el in failure if NS not in str(el.tag) and PREFIXES["sasl"] not in str(el.tag)], [], "more"
    )
    answer = await log_in(client)
    require(find(answer, "bind2:bound") is None and client.jid == scene.jid("romeo"), "the earlier <bind/> was done")


@check("2.2", MUST, "What the mechanism sends with its success is in <additional-data/>, in base64.")
async def additional_data_is_base64(scene: Scene) -> None:
    client = await start(scene)
    if not any(name in mechanisms(client) for name in HASHES):
        raise NotPossible("no SCRAM is offered")
    answer = await log_in(client)  # verifies the signature in it
    data = text(answer, "sasl2:additional-data")
    if data is None:
        raise Failed("there is no <additional-data/>")
    require(base64.b64decode(data.strip(), validate=True).startswith(b"v="), "it is not the server's signature")
