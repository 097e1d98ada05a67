"""XEP-0203: Delayed Delivery, as a server writes it on messages that waited."""

from __future__ import annotations

import datetime
import re
import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_in
from compliance.names import Element, find
from compliance.scene import Scene
from compliance.suite.xep_0160 import arrive, leave_message

check = checks_of("XEP-0203")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def _kept_message(scene: Scene) -> Element:
    """Return a message that waited for juliet."""
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    await leave_message(scene, romeo)  # ends the check where nothing is kept
    token = secrets.token_hex(8)
    to = quoteattr(scene.jid("juliet"))
    await romeo.send(f"<message to={to} type='chat' id='{token}'><body>b</body></message>")
    await romeo.roundtrip()
    juliet = await arrive(scene)
    return await juliet.expect("c:message", id=token)


@check("4", SHOULD, "A message that waited says when it was sent.")
async def waiting_message_has_a_stamp(scene: Scene) -> None:
    require(find(await _kept_message(scene), "delay:delay") is not None, "the message has no <delay/>")


@check("2", MUST, "The stamp is in UTC, in the format of XEP-0082, and is the time of sending.")
async def stamp_is_the_time_of_sending(scene: Scene) -> None:
    before = datetime.datetime.now(datetime.UTC)
    delay = find(await _kept_message(scene), "delay:delay")
    require(delay is not None, "the message has no <delay/>")
    assert delay is not None
    stamp = delay.get("stamp", "")
    require(STAMP.fullmatch(stamp), f"the stamp is {stamp!r}")
    apart_s = (datetime.datetime.fromisoformat(stamp) - before).total_seconds()
    require(-300 < apart_s < 300, f"the stamp is {apart_s:.0f} s from the time of sending")


@check("2", SHOULD, "The delay says who held the message: the server.")
async def delay_names_the_server(scene: Scene) -> None:
    delay = find(await _kept_message(scene), "delay:delay")
    require(delay is not None, "the message has no <delay/>")
    assert delay is not None
    require_in(delay.get("from"), (scene.domain, scene.jid("juliet")), "the from of the delay")


@check("2", MUST, "A message delivered at once has no delay.")
async def live_message_has_no_delay(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<message to={quoteattr(juliet.jid)} id='live' type='chat'><body>now</body></message>")
    message = await juliet.expect("c:message", id="live")
    require(find(message, "delay:delay") is None, "a message delivered at once has a <delay/>")
