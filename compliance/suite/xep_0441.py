"""XEP-0441: Message Archive Management Preferences."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import escape, quoteattr

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, find_all, show
from compliance.scene import Scene
from compliance.suite.xep_0313 import converse, page_of

check = checks_of("XEP-0441")
NS = PREFIXES["mam"]
GET = f"<prefs xmlns='{NS}'/>"


def _prefs(default: str, *, always: tuple[str, ...] = (), never: tuple[str, ...] = ()) -> str:
    lists = "".join(
        f"<{name}>{''.join(f'<jid>{escape(jid)}</jid>' for jid in jids)}</{name}>"
        for name, jids in (("always", always), ("never", never))
    )
    return f"<prefs xmlns='{NS}' default='{default}'>{lists}</prefs>"


async def _owner(scene: Scene) -> tuple[Client, Element]:
    """Return romeo and his preferences, which are put back when the check is over."""
    scene.needs(NS)
    romeo = await scene.online("romeo")
    reply = await romeo.iq("get", GET)
    if reply.get("type") == "error":
        raise NotPossible(f"the server has no preferences: {condition(reply)}")
    prefs = find(reply, "mam:prefs")
    if prefs is None:
        raise Failed("the result has no <prefs/>")
    former = show(prefs)
    scene.at_the_end(lambda: romeo.iq("set", former))
    return romeo, prefs


def _jids(prefs: Element, name: str) -> list[str]:
    return sorted(el.text or "" for el in find_all(prefs, f"mam:{name}/mam:jid"))


async def _archived(scene: Scene, romeo: Client) -> bool:
    """Have juliet send romeo a message, and tell whether it came into his archive."""
    juliet = await scene.online("juliet")
    body = secrets.token_hex(8)
    await juliet.send(f"<message to={quoteattr(romeo.jid)} type='chat' id='{body}'><body>{body}</body></message>")
    await romeo.expect("c:message", id=body)
    await romeo.roundtrip()
    return body in (await page_of(romeo, {"with": juliet.bare}, rsm="<max>5</max><before/>")).bodies


@check("2.1", MUST, "The preferences name a default and both lists, empty ones too.")
async def preferences_are_complete(scene: Scene) -> None:
    _, prefs = await _owner(scene)
    require_in(prefs.get("default"), ("always", "never", "roster"), "the default")
    for name in ("always", "never"):
        require(find(prefs, f"mam:{name}") is not None, f"<{name}/> is missing")


@check("2.1", MUST, "Preferences that were set are answered with those that hold now, and hold for later sessions.")
async def preferences_can_be_set(scene: Scene) -> None:
    romeo, _ = await _owner(scene)
    wanted = _prefs("roster", always=("friend@elsewhere.invalid",), never=("foe@elsewhere.invalid",))
    answered = find(await romeo.ask("set", wanted), "mam:prefs")
    later = await scene.login("romeo", label="romeo later")
    kept = find(await later.ask("get", GET), "mam:prefs")
    for what, prefs in (("the answer", answered), ("the later session", kept)):
        require(prefs is not None, f"{what} has no <prefs/>")
        assert prefs is not None
        require_equal(prefs.get("default"), "roster", f"the default in {what}")
        require_equal(_jids(prefs, "always"), ["friend@elsewhere.invalid"], f"always in {what}")
        require_equal(_jids(prefs, "never"), ["foe@elsewhere.invalid"], f"never in {what}")


@check("2.1.1", MUST, "With the default never, nothing is archived.")
async def default_never_archives_nothing(scene: Scene) -> None:
    romeo, _ = await _owner(scene)
    await romeo.ask("set", _prefs("never"))
    require(not await _archived(scene, romeo), "a message was archived though the default is never")


@check("2.1.2", SHOULD, "A JID in the list always is archived whatever the default.")
async def always_overrides_the_default(scene: Scene) -> None:
    romeo, _ = await _owner(scene)
    await romeo.ask("set", _prefs("never", always=(scene.jid("juliet"),)))
    require(await _archived(scene, romeo), "a message of a JID in the list always was not archived")


@check("2.1.3", SHOULD, "A JID in the list never is not archived whatever the default.")
async def never_overrides_the_default(scene: Scene) -> None:
    romeo, _ = await _owner(scene)
    await romeo.ask("set", _prefs("always", never=(scene.jid("juliet"),)))
    require(not await _archived(scene, romeo), "a message of a JID in the list never was archived")


@check("2.1.1", MUST, "With the default roster, contacts are archived and others are not.")
async def default_roster_archives_contacts(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, _ = await _owner(scene)
    await romeo.ask("set", _prefs("roster"))
    require(not await _archived(scene, romeo), "a stranger's message was archived")
    item = f"<item jid={quoteattr(scene.jid('juliet'))}/>"
    await romeo.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")
    require(await _archived(scene, romeo), "the message of a contact in the roster was not archived")


@check("2.1.1", MUST, "A default that is none of the three never becomes the default.")
async def unknown_default_is_not_kept(scene: Scene) -> None:
    romeo, _ = await _owner(scene)
    await romeo.iq("set", _prefs("sometimes"))
    prefs = find(await romeo.ask("get", GET), "mam:prefs")
    require(prefs is not None, "the result has no <prefs/>")
    assert prefs is not None
    require_in(prefs.get("default"), ("always", "never", "roster"), "the default")


@check("2.1", SHOULD, "What was archived before stays in the archive when the preferences change.")
async def past_is_not_rewritten(scene: Scene) -> None:
    romeo, _ = await _owner(scene)
    await romeo.ask("set", _prefs("always"))
    await romeo.close()
    same, juliet, bodies, fields = await converse(scene, 2)
    await same.ask("set", _prefs("never", never=(juliet.bare,)))
    require_equal((await page_of(same, fields)).bodies, bodies, "the bodies in the archive")
    await same.ask("set", _prefs("always"))
