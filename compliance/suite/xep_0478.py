"""XEP-0478: Stream Limits Advertisement."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require
from compliance.names import find
from compliance.scene import Scene

check = checks_of("XEP-0478")
NS = "urn:xmpp:stream-limits:0"
LEAST_BYTES = 10_000  # RFC 6120 §13.12


async def _told(scene: Scene) -> dict[str, str]:
    """Return the limits that a client hears of after login."""
    scene.needs_stream_feature(f"{{{NS}}}limits")
    romeo = await scene.login("romeo")
    limits = None if romeo.features is None else find(romeo.features, f"{{{NS}}}limits")
    if limits is None:
        raise NotPossible("the limits are not told after login")
    return {el.tag.rpartition("}")[2]: (el.text or "").strip() for el in limits}


@check("3", MUST, "The limits are whole numbers.")
async def limits_are_numbers(scene: Scene) -> None:
    for name, value in (await _told(scene)).items():
        if name in ("max-bytes", "idle-seconds"):
            require(value.isascii() and value.isdecimal(), f"{name} is {value!r}")


@check("3", MUST, "A stanza may be as large as every server must let it be.")
async def limit_is_not_below_what_must_be_taken(scene: Scene) -> None:
    size = (await _told(scene)).get("max-bytes")
    require(size is None or int(size) >= LEAST_BYTES, f"max-bytes is {size}")


@check("3", SHOULD, "A stanza a little smaller than the limit is taken.")
async def a_stanza_within_the_limit_is_taken(scene: Scene) -> None:
    size = (await _told(scene)).get("max-bytes")
    if size is None or int(size) > 1_000_000:
        raise NotPossible("there is no limit, or none that is reached soon")
    romeo = await scene.online("romeo")
    text = "x" * (int(size) - 500)
    await romeo.send(f"<message to='{romeo.jid}' id='big' type='chat'><body>{text}</body></message>")
    await romeo.expect("c:message", id="big")
