"""Requests to a room or to the service of rooms: which file answers them."""

from collections.abc import Callable, Mapping
from typing import Any

from codec.payload import PayloadError
from codec.payloads.disco import Info, Items
from codec.stanza import IQ, Message
from storage.interface import Commit, StorageFull
from xmppd.errors import StanzaError, error_reply
from xmppd.rooms import administering, discovering, owning, registering
from xmppd.rooms.relaying import PING
from xmppd.rooms.room import Room

Answer = Callable[[Room, IQ], "IQ | Commit | None"]
"""Returns the answer; or what the (empty) answer waits for; or None when it comes later."""


def _ping(room: Room, iq: IQ) -> IQ:
    return iq.reply()


def _answers() -> Mapping[tuple[str, str], Answer]:
    return {
        ("get", PING): _ping,
        ("get", Info.TAG): discovering.room_info,
        ("get", Items.TAG): discovering.room_items,
        ("get", administering.Query.TAG): administering.show,
        ("set", administering.Query.TAG): administering.change,
        ("get", owning.Query.TAG): owning.show,
        ("set", owning.Query.TAG): owning.change,
        ("get", registering.Query.TAG): registering.show,
        ("set", registering.Query.TAG): registering.change,
    }


def take_request(room: Room, iq: IQ) -> None:
    """Answer a request to a room, now or when what it changed is kept.

    Raises:
        StanzaError: it is refused; service-unavailable when nobody answers such requests.
        PayloadError: it is malformed.
    """
    tag = iq.tags[0] if len(iq.tags) == 1 else ""
    if not tag or not iq.id or iq.type not in ("get", "set"):
        raise StanzaError("bad-request", text="A request has an id and carries exactly one payload.")
    answer = room.world.extensions.iqs.get((iq.type, tag)) or _answers().get((iq.type, tag))
    if answer is None:
        raise StanzaError("service-unavailable")
    try:
        result: Any = answer(room, iq)
    except StorageFull as error:
        raise StanzaError("resource-constraint", text="The server has no room to keep this now.") from error
    if isinstance(result, IQ):
        room.world.outlet.send(result)
    elif isinstance(result, Commit):
        result.add_done_callback(lambda done: _finish(room, iq, done))


def _finish(room: Room, iq: IQ, commit: Commit) -> None:
    if commit.error is None:
        room.world.outlet.send(iq.reply())
        return
    condition = "resource-constraint" if isinstance(commit.error, StorageFull) else "internal-server-error"
    reply = error_reply(iq, StanzaError(condition))
    assert reply is not None
    room.world.outlet.send(reply)


def take_for_service(service: Any, stanza: Any) -> None:
    """Answer what is for the domain of rooms itself.

    Raises:
        StanzaError: service-unavailable: it takes nothing but a few requests.
    """
    if not isinstance(stanza, IQ):
        if isinstance(stanza, Message):
            raise StanzaError("service-unavailable")
        return
    if stanza.type in ("result", "error"):
        return
    tag = stanza.tags[0] if len(stanza.tags) == 1 else ""
    if not tag or not stanza.id:
        raise StanzaError("bad-request", text="A request has an id and carries exactly one payload.")
    try:
        if (stanza.type, tag) == ("get", PING):
            service.world.outlet.send(stanza.reply())
        elif (stanza.type, tag) == ("get", Info.TAG):
            service.world.outlet.send(discovering.service_info(service.world, stanza))
        elif (stanza.type, tag) == ("get", Items.TAG):
            service.world.outlet.send(discovering.service_items(service.rooms, service.store.listed, stanza))
        else:
            raise StanzaError("service-unavailable")
    except PayloadError as error:
        raise StanzaError("bad-request", text=str(error)) from error
