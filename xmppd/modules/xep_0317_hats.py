"""XEP-0317: Hats: words beside an occupant's name that say what it is there, such as "teacher".

A room's owners and admins make hats and give them to people by commands (XEP-0050) of the room; each presence of theirs shows them.
Hats last as long as the room is kept.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from codec.element import Element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.data_form import FORM_TYPE, Field, Form, Option, Reported, Row
from codec.payloads.disco import Item, Items
from codec.stanza import IQ
from storage.interface import Commit
from xmppd.errors import StanzaError
from xmppd.host import Host
from xmppd.module import Module
from xmppd.modules.xep_0045_muc import RoomsModule
from xmppd.modules.xep_0050_commands import NS as COMMANDS_NS
from xmppd.modules.xep_0050_commands import Command
from xmppd.rooms import presences
from xmppd.rooms.occupants import Occupant
from xmppd.rooms.owning import notify
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room

NS = "urn:xmpp:hats:0"
HATS = f"{NS} hats"
FORMS_NS = "urn:xmpp:hats:commands"
MAX_HATS = 50
MAX_WORN = 10
MAX_CHARS = 255
"""Hats of one room, hats of one person, characters of a hat's name or URI: all of them go into presence."""

NAMES = {
    "create": "Make a hat",
    "destroy": "Throw a hat away",
    "list": "List the hats",
    "assign": "Give somebody a hat",
    "unassign": "Take a hat from somebody",
    "list-assigned": "List who wears hats",
}


class HatsModule(Module, xep=317, requires=(RoomsModule,)):
    """Make, give and show hats."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        extensions = host.module(RoomsModule).extensions
        extensions.features.append(lambda _: (NS, COMMANDS_NS))
        extensions.presence.append(hats_xml)
        extensions.nodes.append(_nodes)
        extensions.info.append(lambda room: {"hats#hash": found} if (found := _hash(room)) else {})
        extensions.iqs["set", Command.TAG] = self.execute
        self._runs: dict[str, Callable[[Room, Form], Commit | None]] = {
            "create": _create,
            "destroy": _destroy,
            "assign": _assign,
            "unassign": _unassign,
        }

    def execute(self, room: Room, iq: IQ) -> IQ | None:
        """Run a command, or return the form that it needs (§4.2 to §4.6).

        Raises:
            StanzaError: item-not-found: there is no such command, hat or wearer; forbidden: it is not for the asker.
        """
        command = iq.get(Command)
        assert command is not None and iq.from_ is not None
        name = command.node.removeprefix(f"{FORMS_NS}:")
        if name not in NAMES or name == command.node:
            raise StanzaError("item-not-found", text="There is no such command.")
        is_admin = room.affiliation_of(iq.from_.bare) >= Affiliation.ADMIN
        if not is_admin and (name != "list" or iq.from_.bare not in room.occupants.by_account):
            raise StanzaError("forbidden", text="That is for the room's admins.")
        session = command.sessionid or self.host.ids.token()
        if command.action == "cancel":
            return iq.reply(Command(node=command.node, sessionid=session, status="canceled"))
        if name in ("list", "list-assigned"):
            form: Form | None = _list(room) if name == "list" else _list_assigned(room)
        elif command.form is None:
            return iq.reply(Command(node=command.node, sessionid=session, status="executing", form=_form(room, name)))
        else:
            _check_form(command.form)
            commit, form = self._runs[name](room, command.form), None
            if commit is not None:
                done = Command(node=command.node, sessionid=session, status="completed")
                commit.add_done_callback(lambda _: room.world.outlet.send(iq.reply(done)))
                return None
        return iq.reply(Command(node=command.node, sessionid=session, status="completed", form=form))


def hats_xml(room: Room, occupant: Occupant) -> tuple[bytes, str] | None:
    """Return <hats/> of an occupant's presence, None when it wears none (§4.1)."""
    worn = _worn(room).get(occupant.bare)
    if not worn:
        return None
    hats = tuple(Element(f"{NS} hat", {"title": found["title"], "uri": uri, **_hue(found)}) for uri, found in _hats(room).items() if uri in worn)  # fmt: skip
    return Element(HATS, {}, hats).to_xml(), HATS


def _hue(hat: dict[str, str]) -> dict[str, str]:
    return {"hue": hat["hue"]} if hat.get("hue") else {}


def _hats(room: Room) -> dict[str, dict[str, str]]:
    """Return the room's hats by URI."""
    found: dict[str, dict[str, str]] = room.more.get("hats", {})
    return found


def _worn(room: Room) -> dict[str, list[str]]:
    """Return the URIs of the hats that people wear, by bare JID."""
    found: dict[str, list[str]] = room.more.get("worn", {})
    return found


def _hash(room: Room) -> str:
    hats = _hats(room)
    return sha256("\n".join(sorted(hats)).encode()).hexdigest()[:40] if hats else ""


def _nodes(room: Room, asker: JID, node: str) -> Items | None:
    if node != COMMANDS_NS:
        return None
    is_admin = room.affiliation_of(asker) >= Affiliation.ADMIN
    found = [(f"{FORMS_NS}:{name}", text) for name, text in NAMES.items() if is_admin or name == "list"]
    return Items(node=node, items=tuple(Item(jid=room.jid, node=node_, name=text) for node_, text in found))


# forms


def _form(room: Room, name: str) -> Form:
    title = Field.of("hats#title", type="text-single", label="Name", required=True)
    hue = Field.of("hats#hue", type="text-single", label="Colour, as an angle from 0 to 360")
    free = Field.of("hats#uri", type="text-single", label="URI", required=True)
    options = tuple(Option(label=hat["title"], value=uri) for uri, hat in _hats(room).items())
    choice = Field.of("hats#uri", type="list-single", label="Hat", options=options, required=True)
    who = Field.of("hats#jid", type="jid-single", label="Address", required=True)
    fields = {"create": (title, free, hue), "destroy": (choice,), "assign": (who, choice), "unassign": (who, choice)}
    return Form(type="form", title=NAMES[name], fields=(Field.of(FORM_TYPE, FORMS_NS, type="hidden"), *fields[name]))


def _check_form(form: Form) -> None:
    if form.type != "submit" or form.form_type != FORMS_NS:
        raise StanzaError("bad-request", text="Submit the command's form.")


def _text(form: Form, var: str) -> str:
    text = (form.value(var) or "").strip()
    if not text or len(text) > MAX_CHARS:
        raise StanzaError("bad-request", text=f"{var}: from 1 to {MAX_CHARS} characters.")
    return text


def _known_hat(room: Room, form: Form) -> str:
    uri = _text(form, "hats#uri")
    if uri not in _hats(room):
        raise StanzaError("item-not-found", text="The room has no such hat.")
    return uri


def _person(form: Form) -> JID:
    jid = form.jid("hats#jid")
    if jid is None:
        raise StanzaError("bad-request", text="hats#jid is missing.")
    return jid.bare


# changes


def _create(room: Room, form: Form) -> Commit | None:
    uri, title = _text(form, "hats#uri"), _text(form, "hats#title")
    hats = dict(_hats(room))
    if uri not in hats and len(hats) >= MAX_HATS:
        raise StanzaError("policy-violation", text=f"A room has at most {MAX_HATS} hats.")
    hats[uri] = {"title": title, **_read_hue(form)}
    return _changed(room, hats, _worn(room), [jid for jid, worn in _worn(room).items() if uri in worn])


def _read_hue(form: Form) -> dict[str, str]:
    text = form.value("hats#hue")
    if not text:
        return {}
    try:
        value = float(text)
    except ValueError as error:
        raise PayloadError("the form's field hats#hue: not a number") from error
    if not 0 <= value <= 360:
        raise PayloadError("the form's field hats#hue: not from 0 to 360")
    return {"hue": text.strip()}


def _destroy(room: Room, form: Form) -> Commit | None:
    uri = _known_hat(room, form)
    hats = {other: hat for other, hat in _hats(room).items() if other != uri}
    concerned = [jid for jid, worn in _worn(room).items() if uri in worn]
    worn = {jid: [other for other in uris if other != uri] for jid, uris in _worn(room).items()}
    return _changed(room, hats, worn, concerned)


def _assign(room: Room, form: Form) -> Commit | None:
    uri, jid = _known_hat(room, form), _person(form)
    worn = dict(_worn(room))
    uris = [other for other in worn.get(jid, ()) if other != uri]
    if len(uris) >= MAX_WORN:
        raise StanzaError("policy-violation", text=f"Nobody wears more than {MAX_WORN} hats.")
    worn[jid] = [*uris, uri]
    return _changed(room, _hats(room), worn, [jid])


def _unassign(room: Room, form: Form) -> Commit | None:
    uri, jid = _known_hat(room, form), _person(form)
    if uri not in _worn(room).get(jid, ()):
        raise StanzaError("item-not-found", text="That one does not wear this hat.")
    worn = dict(_worn(room))
    worn[jid] = [other for other in worn[jid] if other != uri]
    return _changed(room, _hats(room), worn, [jid])


def _changed(
    room: Room, hats: dict[str, dict[str, str]], worn: dict[str, list[str]], concerned: list[str]
) -> Commit | None:
    """Keep hats and who wears them, and show those concerned anew."""
    is_list_new = hats != _hats(room)
    room.more["hats"] = hats
    room.more["worn"] = {jid: uris for jid, uris in worn.items() if uris}
    commit = room.world.keeper.save(room)
    for jid in concerned:
        for occupant in room.occupants.by_account.get(JID.parse(jid), ()):
            presences.announce(room, occupant)
    if is_list_new:
        notify(room, (104,))
    return commit


# lists


def _list(room: Room) -> Form:
    rows = [{"hats#title": hat["title"], "hats#uri": uri, "hats#hue": hat.get("hue", "")} for uri, hat in _hats(room).items()]  # fmt: skip
    return _table("Hats", ("hats#title", "hats#uri", "hats#hue"), rows)


def _list_assigned(room: Room) -> Form:
    rows = [
        {"hats#jid": jid, "hats#uri": uri, "hats#title": hat["title"], "hats#hue": hat.get("hue", "")}
        for jid, uris in _worn(room).items()
        for uri, hat in _hats(room).items()
        if uri in uris
    ]
    return _table("Hats that are worn", ("hats#jid", "hats#uri", "hats#title", "hats#hue"), rows)


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> Form:
    return Form(
        type="result",
        title=title,
        reported=Reported(fields=tuple(Field(var=column) for column in columns)),
        items=tuple(Row(fields=tuple(Field.of(var, value) for var, value in row.items())) for row in rows),
    )
