"""XEP-0352: Client State Indication."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, find_all, text
from compliance.scene import Scene

check = checks_of("XEP-0352")
ACTIVE = f"<active xmlns='{PREFIXES['csi']}'/>"
INACTIVE = f"<inactive xmlns='{PREFIXES['csi']}'/>"


def _needs(scene: Scene) -> None:
    scene.needs_stream_feature(f"{{{PREFIXES['csi']}}}csi")


async def _friends(scene: Scene) -> tuple[Client, Client]:
    _needs(scene)
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.expect("c:presence", from_=juliet.jid)
    return romeo, juliet


@check("4.1", MUST, "The feature is offered after login, not before.")
async def feature_is_offered_after_login(scene: Scene) -> None:
    _needs(scene)
    require(f"{{{PREFIXES['csi']}}}csi" in scene.profile.after_login, "the feature is offered only before login")


@check("4.2", MUST, "Neither element is answered.")
async def indications_are_not_answered(scene: Scene) -> None:
    _needs(scene)
    romeo = await scene.online("romeo")
    await romeo.send(INACTIVE + ACTIVE + INACTIVE + ACTIVE)
    await romeo.roundtrip()
    require_equal([el.tag for el in romeo.inbox], [], "what the server sent")


@check("5", MUST, "An inactive client is still available to its contacts.")
async def inactivity_does_not_change_presence(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send(INACTIVE)
    await juliet.roundtrip()
    await romeo.send(f"<presence type='probe' to={quoteattr(juliet.bare)}/>")
    await romeo.expect("c:presence", from_=juliet.jid, type="")
    romeo.refuse("c:presence", from_=juliet.jid, type="unavailable", why="an inactive client was declared gone")


@check("6", MUST, "Contacts are not told whether a client is inactive.")
async def inactivity_is_not_revealed(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send(INACTIVE + ACTIVE + INACTIVE)
    await scene.settle(juliet, romeo)
    romeo.refuse(
        "*", where=lambda el: (el.get("from") or "").startswith(juliet.bare), why="a contact was told something"
    )


@check("3.2", SHOULD, "A message with a body reaches an inactive client at once.")
async def messages_reach_an_inactive_client(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send(INACTIVE)
    await juliet.roundtrip()
    await romeo.send(f"<message to={quoteattr(juliet.jid)} type='chat' id='urgent'><body>wake up</body></message>")
    await juliet.expect("c:message", id="urgent")


@check(
    "3.2",
    MUST,
    "Nothing but unimportant traffic is dropped: the last presence of a contact is there once one is active.",
)
async def latest_presence_comes_when_active(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await romeo.send(INACTIVE)
    await romeo.roundtrip()
    for show in ("away", "xa", "dnd"):
        await juliet.send(f"<presence><show>{show}</show></presence>")
    await juliet.roundtrip()
    await romeo.send(ACTIVE)
    await romeo.expect("c:presence", from_=juliet.jid, where=lambda el: text(el, "c:show") == "dnd")


@check("5.1", MUST, "What was held back is sent before the answer to anything the client asks after becoming active.")
async def held_back_traffic_comes_before_answers(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await romeo.send(INACTIVE)
    await romeo.roundtrip()
    await juliet.send("<presence><show>dnd</show></presence>")
    await scene.settle(juliet, romeo)
    await romeo.send(ACTIVE)
    await romeo.roundtrip()
    shows = [text(el, "c:show") for el in romeo.unread("c:presence", from_=juliet.jid)]
    require("dnd" in shows, "the presence that was held back had not come when the later request was answered")


@check("3.2", MUST, "Messages that were held back arrive in the order in which they were sent.")
async def order_is_kept(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send(INACTIVE)
    await juliet.roundtrip()
    tokens = [secrets.token_hex(6) for _ in range(6)]
    state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    for i, token in enumerate(tokens):
        inner = f"<body>{token}</body>" if i % 2 else state
        await romeo.send(f"<message to={quoteattr(juliet.jid)} type='chat' id='{token}'>{inner}</message>")
    await romeo.roundtrip()
    await juliet.send(ACTIVE)
    await juliet.expect("c:message", id=tokens[-1])
    seen = [el.get("id", "") for el in juliet.unread("c:message") if el.get("id") in tokens]
    require_equal(seen, [token for token in tokens if token in seen], "the order of the messages")
    bodies = [el for el in juliet.unread("c:message/c:body") if el.get("id") in tokens and find_all(el, "c:body")]
    require_equal(len(bodies), 2, "the number of earlier messages with a body")
