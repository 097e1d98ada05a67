"""XEP-0049: Private XML Storage."""

from __future__ import annotations

import secrets

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import condition, find
from compliance.scene import Scene

check = checks_of("XEP-0049")


def _query(inner: str) -> str:
    return f"<query xmlns='jabber:iq:private'>{inner}</query>"


def _namespace() -> str:
    return f"urn:example:private:{secrets.token_hex(6)}"


async def _storing_client(scene: Scene) -> Client:
    """Return romeo, or end the check: the XEP defines no feature to look for, so only an attempt tells."""
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", _query(f"<notes xmlns='{_namespace()}'/>"))
    if condition(reply) in ("service-unavailable", "feature-not-implemented"):
        raise NotPossible("the server has no private storage")
    return romeo


@check("2.2", MUST, "What was stored under a namespace is returned as it was, also to a later session.")
async def stored_xml_comes_back(scene: Scene) -> None:
    romeo = await _storing_client(scene)
    namespace = _namespace()
    await romeo.ask("set", _query(f"<notes xmlns='{namespace}' a='1'><note lang='la'>ave &amp; vale</note></notes>"))
    await romeo.close()
    again = await scene.login("romeo", label="romeo again")
    reply = await again.ask("get", _query(f"<notes xmlns='{namespace}'/>"))
    notes = reply.find(f"{{jabber:iq:private}}query/{{{namespace}}}notes")
    require(notes is not None, "what was stored is gone")
    assert notes is not None
    require_equal(notes.get("a"), "1", "the attribute")
    note = notes.find(f"{{{namespace}}}note")
    require(note is not None and note.text == "ave & vale", "the content is changed")


@check("2.2", MUST, "A namespace under which nothing is stored gives the empty element back.")
async def nothing_stored_is_empty(scene: Scene) -> None:
    romeo = await _storing_client(scene)
    namespace = _namespace()
    reply = await romeo.ask("get", _query(f"<notes xmlns='{namespace}'/>"))
    notes = reply.find(f"{{jabber:iq:private}}query/{{{namespace}}}notes")
    require(notes is not None and len(notes) == 0, "the answer does not hold the empty element")


@check("2.2", MUST, "Storing again under the same namespace replaces what was there, and nothing else.")
async def storing_replaces(scene: Scene) -> None:
    romeo = await _storing_client(scene)
    first, second = _namespace(), _namespace()
    await romeo.ask("set", _query(f"<notes xmlns='{first}'><a/></notes>"))
    await romeo.ask("set", _query(f"<notes xmlns='{second}'><c/></notes>"))
    await romeo.ask("set", _query(f"<notes xmlns='{first}'><b/></notes>"))
    for namespace, wanted in ((first, "b"), (second, "c")):
        reply = await romeo.ask("get", _query(f"<notes xmlns='{namespace}'/>"))
        notes = reply.find(f"{{jabber:iq:private}}query/{{{namespace}}}notes")
        names = [] if notes is None else [el.tag for el in notes]
        require_equal(names, [f"{{{namespace}}}{wanted}"], "what is stored")


@check("3", MUST, "Nobody reads or writes another's private data.")
async def others_data_is_closed(scene: Scene) -> None:
    await _storing_client(scene)
    romeo = await scene.online("romeo")
    for kind in ("get", "set"):
        reply = await romeo.iq(kind, _query(f"<notes xmlns='{_namespace()}'/>"), to=scene.jid("juliet"))
        require_equal(reply.get("type"), "error", f"the type of the answer to {kind}")
        require_in(condition(reply), ("forbidden", "service-unavailable"), f"the condition for {kind}")


@check("3", SHOULD, "A request that names no element is refused.")
async def request_without_element_is_refused(scene: Scene) -> None:
    romeo = await _storing_client(scene)
    for kind in ("get", "set"):
        reply = await romeo.iq(kind, _query(""))
        require_equal(reply.get("type"), "error", f"the type of the answer to {kind}")
        require_in(condition(reply), ("bad-request", "bad-format", "not-acceptable"), f"the condition for {kind}")
    require(find(await romeo.iq("get", _query("")), "c:error") is not None, "the answer holds no <error/>")
