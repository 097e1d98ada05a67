"""A room's settings (XEP-0045 §10.1.3, §10.2): what they are, the form in which owners see them, and what they submit."""

from dataclasses import dataclass, replace
from typing import Any

from codec.payload import PayloadError
from codec.payloads.data_form import FORM_TYPE, Field, Form, Option
from xmppd.errors import StanzaError
from xmppd.rooms.limits import MAX_HISTORY, MAX_NAME_CHARS, MAX_TEXT_CHARS
from xmppd.rooms.roles import Role

NS = "http://jabber.org/protocol/muc#roomconfig"
ALLOW_PM = ("anyone", "participants", "moderators", "none")
WHOIS = ("moderators", "anyone")
BROADCAST = ("moderator", "participant", "visitor")
ARCHIVING = ("enablearchiving", "enablelogging", "mam")
"""Names under which clients know the archive; the first is ours."""


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """The settings of one room.

    Attributes:
        name, description, lang: for people.
        password: "" for none.
        max_occupants: 0 for as many as the server allows.
        whois: who sees real JIDs: "moderators" (semi-anonymous) or "anyone".
        allow_pm: who may send private messages: anyone, participants, moderators, none.
        presence_broadcast: the roles whose presence others see.
        member_list: the roles that may read the list of members.
        history_length: messages that newcomers get.
        is_archived: messages are kept, and newcomers are told so.
        may_register: people may become members by themselves (§7.10).
    """

    name: str = ""
    description: str = ""
    lang: str = ""
    is_persistent: bool = False
    is_public: bool = True
    password: str = ""
    is_members_only: bool = False
    is_moderated: bool = False
    max_occupants: int = 0
    whois: str = "moderators"
    allow_invites: bool = True
    allow_pm: str = "anyone"
    allow_voice_requests: bool = True
    participants_change_subject: bool = True
    presence_broadcast: tuple[str, ...] = BROADCAST
    member_list: tuple[str, ...] = BROADCAST
    history_length: int = 20
    is_archived: bool = True
    may_register: bool = True

    @property
    def is_non_anonymous(self) -> bool:
        """Whether every occupant sees real JIDs."""
        return self.whois == "anyone"

    def shows(self, role: Role) -> bool:
        """Whether the presence of occupants with that role is for all to see."""
        return role.word in self.presence_broadcast


_BOOLEANS = {
    "persistentroom": ("is_persistent", "The room stays when nobody is in it"),
    "publicroom": ("is_public", "The room is listed"),
    "membersonly": ("is_members_only", "Only members may enter"),
    "moderatedroom": ("is_moderated", "Newcomers need somebody to give them voice"),
    "changesubject": ("participants_change_subject", "Participants may change the subject"),
    "allowinvites": ("allow_invites", "Occupants may invite others"),
    "enablearchiving": ("is_archived", "Messages are kept in an archive"),
    "allowregister": ("may_register", "People may register as members by themselves"),
    "allowvoicerequests": ("allow_voice_requests", "Visitors may ask for voice"),
}
_TEXTS = {
    "roomname": ("name", "Name", MAX_NAME_CHARS),
    "roomdesc": ("description", "Description", MAX_TEXT_CHARS),
    "lang": ("lang", "Language of the conversation, as in en", 35),
}


def form_of(config: RoomConfig) -> Form:
    """Return the form with the settings as they stand."""
    fields = [Field.of(FORM_TYPE, NS, type="hidden")]
    for var, (name, label, _) in _TEXTS.items():
        fields.append(Field.of(_var(var), getattr(config, name), type="text-single", label=label))
    for var, (name, label) in _BOOLEANS.items():
        fields.append(Field.of(_var(var), getattr(config, name), type="boolean", label=label))
    fields += [
        Field.of(_var("passwordprotectedroom"), bool(config.password), type="boolean", label="A password is needed"),
        Field.of(_var("roomsecret"), config.password, type="text-private", label="Password"),
        _choice("whois", config.whois, WHOIS, "Who may see people's addresses"),
        _choice("allowpm", config.allow_pm, ALLOW_PM, "Who may send private messages"),
        _choice("maxusers", str(config.max_occupants or "none"), ("none", "10", "50", "100", "500"), "Occupants"),
        Field.of(_var("presencebroadcast"), config.presence_broadcast, type="list-multi", label="Whose presence is shown", options=_options(BROADCAST)),
        Field.of(_var("getmemberlist"), config.member_list, type="list-multi", label="Who may see the members", options=_options(BROADCAST)),
        Field.of("muc#maxhistoryfetch", str(config.history_length), type="text-single", label="Messages that newcomers get"),
    ]  # fmt: skip
    return Form(type="form", title="Room", fields=tuple(fields))


def _var(name: str) -> str:
    return f"muc#roomconfig_{name}"


def _options(words: tuple[str, ...]) -> tuple[Option, ...]:
    return tuple(Option(label=word, value=word) for word in words)


def _choice(name: str, value: str, words: tuple[str, ...], label: str) -> Field:
    words = words if value in words else (*words, value)
    return Field.of(_var(name), value, type="list-single", label=label, options=_options(words))


def read_form(form: Form, config: RoomConfig, most_occupants: int) -> RoomConfig:
    """Return the settings as a submitted form wants them; what it leaves out stays, and fields that we do not have are passed over.

    Args:
        most_occupants: what the server allows.

    Raises:
        PayloadError: a value of the wrong type.
        StanzaError: not-acceptable: values that do not go together, or pass a limit.
    """
    changes: dict[str, Any] = {}
    for var, (name, _) in _BOOLEANS.items():
        value = _boolean(form, var)
        if value is not None:
            changes[name] = value
    for var, (name, label, most) in _TEXTS.items():
        text = form.text(_var(var))
        if text is not None:
            changes[name] = _short(text.strip(), label, most)
    _read_choices(form, changes)
    _read_numbers(form, changes, most_occupants)
    _read_password(form, config, changes)
    return replace(config, **changes)


def _boolean(form: Form, var: str) -> bool | None:
    for name in ARCHIVING if var == "enablearchiving" else (var,):
        for field in (_var(name), name) if name == "mam" else (_var(name),):
            value = form.boolean(field)
            if value is not None:
                return value
    return None


def _short(text: str, label: str, most: int) -> str:
    if len(text) > most:
        raise StanzaError("not-acceptable", text=f"{label}: at most {most} characters.")
    return text


def _read_choices(form: Form, changes: dict[str, Any]) -> None:
    for var, name, words in (("whois", "whois", WHOIS), ("allowpm", "allow_pm", ALLOW_PM)):
        value = form.value(_var(var))
        if value is not None:
            if value not in words:
                raise PayloadError(f"the form's field {var}: none of {', '.join(words)}")
            changes[name] = value
    for var, name in (("presencebroadcast", "presence_broadcast"), ("getmemberlist", "member_list")):
        if form.field(_var(var)) is None:
            continue
        values = form.values(_var(var))
        if not set(values) <= set(BROADCAST):
            raise PayloadError(f"the form's field {var}: none of {', '.join(BROADCAST)}")
        changes[name] = tuple(word for word in BROADCAST if word in values)


def _read_numbers(form: Form, changes: dict[str, Any], most_occupants: int) -> None:
    most = form.value(_var("maxusers"))
    if most is not None:
        wanted = 0 if most in ("", "none") else form.integer(_var("maxusers"), 0, 10**9) or 0
        if wanted > most_occupants:
            raise StanzaError("not-acceptable", text=f"At most {most_occupants} occupants are possible here.")
        changes["max_occupants"] = wanted
    for var in ("muc#maxhistoryfetch", _var("historylength")):
        length = form.integer(var, 0, 10**9)
        if length is not None:
            changes["history_length"] = min(length, MAX_HISTORY)


def _read_password(form: Form, config: RoomConfig, changes: dict[str, Any]) -> None:
    is_wanted, secret = form.boolean(_var("passwordprotectedroom")), form.value(_var("roomsecret"))
    if is_wanted is False:
        changes["password"] = ""
    elif is_wanted:
        password = config.password if secret is None else secret
        if not password:
            raise StanzaError("not-acceptable", text="A room that needs a password has one.")
        changes["password"] = _short(password, "Password", MAX_NAME_CHARS)


def status_codes(old: RoomConfig, new: RoomConfig) -> tuple[int, ...]:
    """Return the codes with which occupants are told of a change (§10.2.1); none when nothing changed."""
    codes = []
    if old.is_archived != new.is_archived:
        codes.append(170 if new.is_archived else 171)
    if old.is_non_anonymous != new.is_non_anonymous:
        codes.append(172 if new.is_non_anonymous else 173)
    if replace(old, is_archived=new.is_archived, whois=new.whois) != new:
        codes.append(104)
    return tuple(codes)
