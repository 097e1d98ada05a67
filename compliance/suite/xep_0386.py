"""XEP-0386: Bind 2, with what XEP-0198 §9 says of its part."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, find_all
from compliance.sasl2 import inline, log_in, needs_inline, new_agent, start, try_password
from compliance.scene import Scene

check = checks_of("XEP-0386")
SM = PREFIXES["sm"]
ENABLE_SM = f"<enable xmlns='{SM}' resume='true'/>"
ENABLE_CARBONS = f"<enable xmlns='{PREFIXES['carbons']}'/>"


def _bind(inner: str = "", tag: str = "") -> str:
    return f"<bind xmlns='{PREFIXES['bind2']}'>{f'<tag>{tag}</tag>' if tag else ''}{inner}</bind>"


async def _start(scene: Scene, name: str = "romeo", *, label: str = "", feature: str = "") -> Client:
    """Return a client before login; the check ends unless Bind 2, and the feature in it, are offered."""
    client = await start(scene, name, label=label)
    needs_inline(client, "bind2:bind")
    if feature and feature not in _features(client):
        raise NotPossible(f"{feature} is not offered within <bind/>")
    return client


def _features(client: Client) -> list[str]:
    return [el.get("var", "") for el in inline(client, "bind2:bind/bind2:inline/bind2:feature")]


async def _bound(client: Client, inner: str = "", *, tag: str = "", agent: str = "", before: str = "") -> Element:
    """Log in with <bind/> and return <bound/>, the features that follow read."""
    answer = await log_in(client, before + _bind(inner, tag), agent)
    bound = find(answer, "bind2:bound")
    require(bound is not None, "<success/> has no <bound/>")
    assert bound is not None
    client.stanzas_received = 0
    await client.read_features()
    return bound


async def _resumable(scene: Scene) -> tuple[Client, str]:
    client = await _start(scene, feature=SM)
    if not inline(client, "sm:sm"):
        raise NotPossible("resuming is not offered inline")
    enabled = find(await _bound(client, ENABLE_SM), "sm:enabled")
    if enabled is None or enabled.get("resume") not in ("true", "1"):
        raise NotPossible("the server does not resume streams")
    await client.send("<presence/>")
    await client.expect("c:presence", from_=client.jid)
    await client.roundtrip()
    return client, enabled.get("id") or ""


@check("3.1", MUST, "What can be asked for within <bind/> is listed by name.")
async def features_have_names(scene: Scene) -> None:
    client = await _start(scene)
    if not inline(client, "bind2:bind/bind2:inline"):
        raise NotPossible("nothing is offered within <bind/>")
    require(_features(client) and all(_features(client)), f"the names are {_features(client)}")


@check("3.2", MUST, "A login with <bind/> ends with <bound/> and the full JID, and the resource works at once.")
async def full_jid_is_bound(scene: Scene) -> None:
    client = await _start(scene)
    await _bound(client)
    require(
        client.jid.startswith(f"{scene.jid('romeo')}/") and len(client.jid) > len(scene.jid("romeo")) + 1, client.jid
    )
    await client.roundtrip()


@check("3.2.1", SHOULD, "The client's tag stands in the resource.")
async def tag_stands_in_the_resource(scene: Scene) -> None:
    client = await _start(scene)
    await _bound(client, tag="Compliance")
    require("Compliance" in client.jid.partition("/")[2], f"the JID is {client.jid}")


@check("3.2.1", MUST, "The id of the user agent is not to be seen in the resource.")
async def agent_is_not_shown(scene: Scene) -> None:
    client, agent = await _start(scene), new_agent()
    await _bound(client, tag="Compliance", agent=agent)
    resource = client.jid.partition("/")[2].lower()
    require(agent not in resource and agent.replace("-", "") not in resource, f"the JID is {client.jid}")


@check("3.2", SHOULD, "A new session of an installation ends its earlier one.")
async def earlier_session_ends(scene: Scene) -> None:
    first, agent = await _start(scene, label="romeo 1"), new_agent()
    await _bound(first, tag="Compliance", agent=agent)
    second = await _start(scene, label="romeo 2")
    await _bound(second, tag="Compliance", agent=agent)
    await first.expect_end()
    await second.roundtrip()


@check("3.2", SHOULD, "The answer describes the history (XEP-0313).")
async def history_is_described(scene: Scene) -> None:
    scene.needs(PREFIXES["mam"])
    client = await _start(scene)
    require(find(await _bound(client), "mam:metadata") is not None, "<bound/> has no <metadata/>")


@check("3.2", MUST, "Stream management is enabled on request, and <bound/> holds the answer.")
async def stream_management_is_enabled(scene: Scene) -> None:
    client = await _start(scene, feature=SM)
    bound = await _bound(client, ENABLE_SM)
    require(find(bound, "sm:enabled") is not None, "<bound/> has no <enabled/>")
    client.stanzas_received = 0
    await client.send(f"<message to={quoteattr(client.jid)}/><r xmlns='{SM}'/>")
    answer = await client.expect("sm:a")
    require_equal(answer.get("h"), "1", "the count of what was handled")


@check("3.2", MUST, "Carbons are enabled on request.")
async def carbons_are_enabled(scene: Scene) -> None:
    phone = await _start(scene, label="romeo's phone", feature=PREFIXES["carbons"])
    await _bound(phone, ENABLE_CARBONS)
    await scene.appear(phone)
    desktop = await scene.online("romeo", label="romeo's desktop")
    token = secrets.token_hex(8)
    await desktop.send(
        f"<message type='chat' to={quoteattr(scene.jid('juliet'))} id='{token}'><body>{token}</body></message>"
    )
    await phone.expect("c:message/carbons:sent")


@check("3.2", MUST, "Messages that waited are not sent to a client that binds so; they are in its history.")
async def messages_that_waited_are_left_to_the_history(scene: Scene) -> None:
    scene.needs(PREFIXES["mam"])
    await scene.strangers("romeo", "juliet")
    juliet, token = await scene.online("juliet"), secrets.token_hex(8)
    await juliet.send(
        f"<message type='chat' to={quoteattr(scene.jid('romeo'))} id='{token}'><body>{token}</body></message>"
    )
    await juliet.roundtrip()
    romeo = await _start(scene)
    await _bound(romeo)
    await scene.appear(romeo)
    await scene.settle(juliet, romeo)
    romeo.refuse("c:message", id=token, why="a message that had waited was sent")
    await romeo.ask("set", f"<query xmlns='{PREFIXES['mam']}'><set xmlns='{PREFIXES['rsm']}'><before/></set></query>")
    found = [
        el
        for result in romeo.unread("c:message/mam:result")
        for el in find_all(result, "mam:result/forward:forwarded/c:message")
        if el.get("id") == token
    ]
    require(found, "the message is not in the history either")


@check("3.2", MUST, "Nothing is bound when the login fails.")
async def failed_login_binds_nothing(scene: Scene) -> None:
    client = await _start(scene)
    failure = await try_password(client, _bind(), password="certainly not the password")
    require(condition(failure) is not None and find(failure, "bind2:bound") is None, "a failed login bound a resource")


@check("3.2", MUST, "A session that is resumed within the login makes <bind/> void.")
async def resuming_comes_first(scene: Scene) -> None:
    client, previd = await _resumable(scene)
    jid = client.jid
    client.abort()
    again = await _start(scene, label="romeo resuming")
    resume = f"<resume xmlns='{SM}' previd={quoteattr(previd)} h='{client.stanzas_received}'/>"
    answer = await log_in(again, resume + _bind(ENABLE_SM))
    require(find(answer, "sm:resumed") is not None, "the session was not resumed")
    require(find(answer, "bind2:bound") is None, "a resource was bound all the same")
    again.jid = jid
    await again.roundtrip()  # the stream goes on with the old resource
    again.refuse("stream:features", why="features were sent on a stream that was resumed (XEP-0198 §9.2)")


@check("3.2", MUST, "Where resuming fails, the answer says so and a resource is bound.")
async def failed_resumption_binds(scene: Scene) -> None:
    client = await _start(scene)
    if not inline(client, "sm:sm"):
        raise NotPossible("resuming is not offered inline")
    answer = await log_in(client, f"<resume xmlns='{SM}' previd='no-such-stream' h='0'/>" + _bind())
    require(find(answer, "sm:failed") is not None, "the failure to resume is not in <success/>")
    require(find(answer, "bind2:bound") is not None and "/" in client.jid, "no resource was bound")
    await client.read_features()
    await client.roundtrip()
