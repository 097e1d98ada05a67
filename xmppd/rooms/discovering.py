"""What rooms and their service tell of themselves (XEP-0045 §6, XEP-0030, XEP-0128)."""

from collections.abc import Mapping
from typing import Any

from codec.element import Element
from codec.jid import JID
from codec.payloads.data_form import Form
from codec.payloads.disco import NS_INFO, NS_ITEMS, Identity, Info, Item, Items
from codec.payloads.rsm import First, Set
from codec.stanza import IQ
from xmppd.errors import StanzaError
from xmppd.rooms.markup import NS, OCCUPANT_ID_NS
from xmppd.rooms.roles import Affiliation, Role
from xmppd.rooms.room import Room, Surroundings

ROOMINFO_NS = f"{NS}#roominfo"
NICK_NODE = "x-roomuser-item"
TRAFFIC_NODE = f"{NS}#traffic"
COMMON = (NS_INFO, NS_ITEMS, NS, f"{NS}#stable_id", OCCUPANT_ID_NS, "urn:xmpp:ping")
OF_ROOMS = (f"{NS}#self-ping-optimization", f"{NS}#request", "urn:xmpp:sid:0")
PAGE = 100
"""Rooms in one answer, unless fewer are asked for (§6.3)."""


def service_info(world: Surroundings, iq: IQ) -> IQ:
    """Tell what the service is (§6.2)."""
    info = iq.get(Info)
    assert info is not None
    if info.node is not None:
        raise StanzaError("item-not-found")
    identity = Identity(category="conference", type="text", name="Rooms")
    return iq.reply(Info(identities=(identity,), features=tuple(sorted(COMMON))))


def service_items(rooms: Mapping[str, Room], listed: Mapping[str, Any], iq: IQ) -> IQ:
    """List the public rooms, in order of their names, a page at a time (§6.3, XEP-0059)."""
    assert iq.to is not None
    request = iq.get(Items)
    assert request is not None
    if request.node is not None:
        raise StanzaError("item-not-found")
    names: dict[str, str] = {name: found.name for name, found in listed.items() if found.is_public}
    for name, room in rooms.items():
        if room.config.is_public and not room.is_locked and room.queue is None:
            names[name] = room.config.name
    chosen, page = _page(sorted(names), _rsm(iq))
    items = [Item(jid=JID.of(name, iq.to.domainpart), name=names[name] or name) for name in chosen]
    element = Items(items=tuple(items)).to_element()
    return iq.reply(Element(element.tag, element.attrs, (*element.children, page.to_element())))


def _rsm(iq: IQ) -> Set:
    element = iq.elements()[0].find(Set.TAG)
    return Set() if element is None else Set.from_element(element)


def _page(names: list[str], rsm: Set) -> tuple[list[str], Set]:
    most = PAGE if rsm.max is None else min(rsm.max, PAGE)
    if rsm.before is not None:
        earlier = [name for name in names if not rsm.before or name < rsm.before]
        chosen = earlier[-most:] if most else []
    else:
        start = rsm.index or 0
        later = [name for name in names if name > rsm.after] if rsm.after else names[start:]
        chosen = later[:most]
    if not chosen:
        return [], Set(count=len(names))
    first = First(index=names.index(chosen[0]), id=chosen[0])
    return chosen, Set(count=len(names), first=first, last=chosen[-1])


# a room


def room_info(room: Room, iq: IQ) -> IQ:
    """Tell what a room is (§6.4), or which nickname the asker has reserved (§7.12)."""
    info = iq.get(Info)
    assert info is not None and iq.from_ is not None
    if room.is_locked and room.affiliation_of(iq.from_.bare) is not Affiliation.OWNER:
        raise StanzaError("item-not-found", text="There is no such room.")
    if info.node == NICK_NODE:
        known = room.people.get(iq.from_.bare)
        nick = known.nick if known is not None else ""
        identities = (Identity(category="conference", type="text", name=nick),) if nick else ()
        return iq.reply(Info(node=NICK_NODE, identities=identities))
    if info.node == TRAFFIC_NODE:
        raise StanzaError("service-unavailable")  # nothing is kept from passing
    if info.node is not None:
        raise StanzaError("item-not-found")
    name = room.config.name or room.jid.localpart
    identity = Identity(category="conference", type="text", name=name)
    more = [feature for extension in room.world.extensions.features for feature in extension(room)]
    features = tuple(sorted({*COMMON, *OF_ROOMS, *_features(room), *more}))
    return iq.reply(Info(identities=(identity,), features=features, forms=(_roominfo(room),)))


def _features(room: Room) -> list[str]:
    config = room.config
    return [
        "muc_public" if config.is_public else "muc_hidden",
        "muc_persistent" if config.is_persistent else "muc_temporary",
        "muc_membersonly" if config.is_members_only else "muc_open",
        "muc_moderated" if config.is_moderated else "muc_unmoderated",
        "muc_passwordprotected" if config.password else "muc_unsecured",
        "muc_nonanonymous" if config.is_non_anonymous else "muc_semianonymous",
        *(["jabber:iq:register"] if config.may_register and not config.is_members_only else []),
    ]


def _roominfo(room: Room) -> Form:
    config = room.config
    values: dict[str, Any] = {
        "muc#roominfo_description": config.description,
        "muc#roominfo_occupants": len(room.occupants),
        "muc#roominfo_subjectmod": config.participants_change_subject,
        "muc#roominfo_changesubject": config.participants_change_subject,
        "muc#roomconfig_roomname": config.name,
        "muc#roomconfig_allowinvites": config.allow_invites,
        "muc#roomconfig_allowpm": config.allow_pm,
        "muc#maxhistoryfetch": config.history_length,
    }
    if config.lang:
        values["muc#roominfo_lang"] = config.lang
    if room.subject is not None and not config.is_members_only and not config.password:
        values["muc#roominfo_subject"] = room.subject.text
    if config.is_non_anonymous:
        values["muc#roominfo_contactjid"] = room.owners()
    for extension in room.world.extensions.info:
        values.update(extension(room))
    return Form.result(ROOMINFO_NS, values)


def room_items(room: Room, iq: IQ) -> IQ:
    """List those in a room (§6.5) to who is in it, and to everybody when it is public and open; an empty list else."""
    assert iq.from_ is not None
    request = iq.get(Items)
    assert request is not None
    if request.node is not None:
        for extension in room.world.extensions.nodes:
            items = extension(room, iq.from_.bare, request.node)
            if items is not None:
                return iq.reply(items)
    config = room.config
    is_open = config.is_public and not config.is_members_only and not config.password
    is_inside = iq.from_.bare in room.occupants.by_account
    if request.node is not None or not (is_open or is_inside):
        return iq.reply(Items(node=request.node))
    shown = [o for o in room.occupants if config.shows(o.role) or o.role is Role.MODERATOR]
    return iq.reply(Items(items=tuple(Item(jid=occupant.jid) for occupant in shown)))
