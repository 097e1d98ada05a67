"""XEP-0357: Push Notifications, the server's part. The component of the run (`--component`) is the app server."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.names import Element, condition, find
from compliance.scene import Scene
from compliance.stream import Closed, Header
from compliance.suite.xep_0114 import Component, accepted

check = checks_of("XEP-0357")
NS = "urn:xmpp:push:0"
PUBSUB = "http://jabber.org/protocol/pubsub"
OPTIONS = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
    "<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    "<field var='secret'><value>eruio234vzxc2kla-91</value></field></x>"
)
QUIET_S = 2.0
"""How long nothing must come; a notification that is to come is here within a fraction of that."""


def _enable(jid: str, node: str, inner: str = "") -> str:
    return f"<enable xmlns='{NS}' jid='{jid}' node='{node}'>{inner}</enable>"


def _domain(scene: Scene) -> str:
    access = scene.world.component
    return "push.example.invalid" if access is None else access.domain


async def _write(scene: Scene, body: str) -> None:
    """Have juliet write to romeo, who is not there."""
    juliet = await scene.online("juliet")
    await juliet.send(f"<message to='{scene.jid('romeo')}' type='chat'><body>{body}</body></message>")
    await juliet.roundtrip()


async def _register(scene: Scene, component: Component, inner: str = "") -> str:
    """Have romeo enable a node of the component, and leave; return the node."""
    scene.needs(NS)
    node = secrets.token_hex(6)
    romeo = await scene.login("romeo")
    await romeo.ask("set", f"<disable xmlns='{NS}' jid='{component.access.domain}'/>")
    await romeo.ask("set", _enable(component.access.domain, node, inner))
    await romeo.close()
    return node


async def _published(component: Component) -> Element | None:
    """Return the next publish request, None when none comes for a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(QUIET_S):
            while True:
                event = await component.next()
                if isinstance(event, Closed):
                    raise NotPossible("the component's stream was closed")
                if not isinstance(event, Header) and find(event, f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish") is not None:
                    return event
    return None


def _publish_node(iq: Element) -> str | None:
    publish = find(iq, f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish")
    return None if publish is None else publish.get("node")


async def _answer(component: Component, iq: Element, error: str = "") -> None:
    type_ = "error" if error else "result"
    to, from_ = iq.get("from"), iq.get("to")
    await component.send(f"<iq type='{type_}' id='{iq.get('id')}' to='{to}' from='{from_}'>{error}</iq>")


@check("4.1", MUST, "An account that may have notifications published lists the feature.")
async def account_lists_the_feature(scene: Scene) -> None:
    scene.needs(NS)
    require(NS in scene.profile.account, "the domain lists it, the account does not")


@check("5", MUST, "An app server is enabled with a node, also again and with publish options.")
async def app_server_is_enabled(scene: Scene) -> None:
    scene.needs(NS)
    romeo = await scene.login("romeo")
    for inner in ("", OPTIONS, OPTIONS.replace(" type='submit'", "")):
        await romeo.ask("set", _enable(_domain(scene), "n1", inner))
    await romeo.ask("set", f"<disable xmlns='{NS}' jid='{_domain(scene)}'/>")


@check("5", MUST, "A request that names no app server is refused as bad-request.")
async def nobody_is_refused(scene: Scene) -> None:
    scene.needs(NS)
    romeo = await scene.login("romeo")
    answer = await romeo.iq("set", f"<enable xmlns='{NS}' node='n1'/>")
    require_equal(condition(answer), "bad-request", "the condition")


@check("6", SHOULD, "An app server is disabled, with and without a node.")
async def app_server_is_disabled(scene: Scene) -> None:
    scene.needs(NS)
    romeo, domain = await scene.login("romeo"), _domain(scene)
    for end in (f"<disable xmlns='{NS}' jid='{domain}' node='n1'/>", f"<disable xmlns='{NS}' jid='{domain}'/>"):
        await romeo.ask("set", _enable(domain, "n1"))
        await romeo.ask("set", end)


@check("7", SHOULD, "A message to somebody absent is published to the node, with the publish options that were given.")
async def message_is_published_with_its_options(scene: Scene) -> None:
    async with accepted(scene) as component:
        node = await _register(scene, component, OPTIONS)
        await _write(scene, "are you there?")
        iq = await _published(component)
        require(iq is not None, "nothing was published")
        assert iq is not None
        await _answer(component, iq)
        require_equal(_publish_node(iq), node, "the node")
        path = f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish/{{{PUBSUB}}}item/{{{NS}}}notification"
        require(find(iq, path) is not None, "the item holds no <notification/>")
        value = find(iq, f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish-options/data:x/data:field[@var='secret']/data:value")
        require_equal(None if value is None else value.text, "eruio234vzxc2kla-91", "the publish option")


@check("6", MUST, "Nothing is published to an app server that is not enabled.")
async def nothing_is_published_when_disabled(scene: Scene) -> None:
    async with accepted(scene) as component:
        node = await _register(scene, component)
        romeo = await scene.login("romeo")
        await romeo.ask("set", f"<disable xmlns='{NS}' jid='{component.access.domain}' node='{node}'/>")
        await romeo.close()
        await _write(scene, "not a word of this")
        require(await _published(component) is None, "it was published all the same")


@check("7.1", SHOULD, "After an error nothing more is published to that node.")
async def error_disables(scene: Scene) -> None:
    async with accepted(scene) as component:
        await _register(scene, component)
        await _write(scene, "the first")
        iq = await _published(component)
        require(iq is not None, "nothing was published")
        assert iq is not None
        gone = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        await _answer(component, iq, f"<error type='cancel'>{gone}</error>")
        await _write(scene, "the second")
        require(await _published(component) is None, "it was published all the same")
