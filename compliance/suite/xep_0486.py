"""XEP-0486: MUC Avatars."""

from __future__ import annotations

import base64
import hashlib

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import condition, find_all, text
from compliance.rooms import INFO, codes, enter, needs_of_room, room_of
from compliance.scene import Scene

check = checks_of("XEP-0486")
PICTURE = b"\x89PNG not really a picture"


def _card() -> str:
    encoded = base64.b64encode(PICTURE).decode()
    return f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{encoded}</BINVAL></PHOTO></vCard>"


async def _room(scene: Scene) -> tuple[Client, Client, str]:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo)
    await needs_of_room(romeo, room, "vcard-temp")
    return romeo, juliet, room


async def _hashes(client: Client, room: str) -> list[str | None]:
    reply = await client.ask("get", INFO, to=room)
    fields = find_all(reply, "disco:query/data:x/data:field")
    return [text(el, "data:value") for el in fields if el.get("var") == "muc#roominfo_avatarhash"]


@check("3.2", MUST, "An owner's picture is kept and given to those who ask.")
async def picture_is_kept(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await romeo.ask("set", _card(), to=room)
    reply = await juliet.ask("get", "<vCard xmlns='vcard-temp'/>", to=room)
    kept = text(reply, "vcard:vCard/vcard:PHOTO/vcard:BINVAL") or ""
    require_equal(base64.b64decode(kept), PICTURE, "the picture")


@check("3.3", SHOULD, "The room tells the hash of its picture, and none when there is none.")
async def hash_is_told(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    require_equal(await _hashes(juliet, room), [], "the hashes without a picture")
    await romeo.ask("set", _card(), to=room)
    require_equal(await _hashes(juliet, room), [hashlib.sha1(PICTURE).hexdigest()], "the hashes")


@check("3.1", SHOULD, "Occupants are told of a new picture with code 104.")
async def change_is_told(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    await romeo.ask("set", _card(), to=room)
    notice = await juliet.expect("c:message/mucuser:x", from_=room, type="groupchat")
    require(104 in codes(notice), f"the codes are {sorted(codes(notice))}")


@check("6", MUST, "Only those may set it who are allowed to.")
async def others_cannot_set_it(scene: Scene) -> None:
    _, juliet, room = await _room(scene)
    require_equal(condition(await juliet.iq("set", _card(), to=room)), "forbidden", "the condition")
