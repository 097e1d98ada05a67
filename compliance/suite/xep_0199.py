"""XEP-0199: XMPP Ping."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.names import condition, find
from compliance.scene import Scene

check = checks_of("XEP-0199")
PING = "<ping xmlns='urn:xmpp:ping'/>"


@check("4.2", MUST, "A server that lists the feature answers a client's ping with a result.")
async def domain_answers_ping(scene: Scene) -> None:
    scene.needs("urn:xmpp:ping")
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", PING, to=scene.domain)
    require_equal(len(reply), 0, "the number of elements in the result")
    require_equal(reply.get("from"), scene.domain, "the from of the result")


@check("4.2", SHOULD, "A ping without an address, or to the own bare JID, is answered too.")
async def account_answers_ping(scene: Scene) -> None:
    scene.needs("urn:xmpp:ping")
    romeo = await scene.login("romeo")
    await romeo.ask("get", PING)
    await romeo.ask("get", PING, to=romeo.bare)


@check("4.4", MUST, "A ping to a client is delivered to it, and its answer comes back.")
async def ping_between_clients_is_relayed(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<iq type='get' id='p' to={quoteattr(juliet.jid)}>{PING}</iq>")
    ping = await juliet.expect("c:iq", id="p", type="get")
    require(ping.find("{urn:xmpp:ping}ping") is not None, "the ping is gone")
    await juliet.send(f"<iq type='result' id='p' to={quoteattr(romeo.jid)}/>")
    await romeo.expect("c:iq", id="p", type="result", from_=juliet.jid)


@check("4.4", MUST, "A ping to a resource that is not there is an error.")
async def ping_to_a_gone_resource_is_an_error(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", PING, to=f"{scene.jid('juliet')}/gone")
    require(find(reply, "c:error") is not None, "a resource that is gone answered a ping")
    require_equal(condition(reply), "service-unavailable", "the condition")
