"""The envelope of a stanza in the binary form: kind, type, to, from, id, lang, and what else its start tag has.

The first number of a frame's body says which of these there are and in what form; the most frequent combinations have a number in
the dictionary. Addresses are relative to the session: a phone's own bare or full JID and its domain cost nothing.
"""

from __future__ import annotations

import re

from codec import binary_values as values
from codec.binary_address import RESOURCE, whole
from codec.binary_cbor import Malformed, blob, integer, text
from codec.binary_dictionary import Dictionary
from codec.binary_plan import attribute_key, checked, may_declare
from codec.binary_tables import SeenTables, SentTables
from codec.element import escape_value
from codec.jid import JID, InvalidJID
from codec.stanza import IQ, Message, Presence, Stanza

KINDS: tuple[tuple[type[Stanza], str | None], ...] = (
    (Message, "normal"),
    (Message, "chat"),
    (Message, "groupchat"),
    (Message, "headline"),
    (Message, "error"),
    (Message, None),
    (Presence, ""),
    (Presence, "unavailable"),
    (Presence, "subscribe"),
    (Presence, "subscribed"),
    (Presence, "unsubscribe"),
    (Presence, "unsubscribed"),
    (Presence, "probe"),
    (Presence, "error"),
    (Presence, None),
    (IQ, "get"),
    (IQ, "set"),
    (IQ, "result"),
    (IQ, "error"),
    (IQ, None),
)
"""Kind and type; None: the type is spelt out."""

ABSENT, OWN_BARE, OWN_FULL, OWN_DOMAIN, EXPLICIT = range(5)
ID_ABSENT, ID_TEXT, ID_PACKED = 0, 1, 2
TO_SHIFT, FROM_SHIFT, ID_SHIFT = 5, 8, 11
LANG_BIT, EXTRA_BIT = 1 << 15, 1 << 16

INSERT = 64
"""In place of a JID: a slot; INSERT + slot: what follows goes there; RESOURCE + 4 * prefix + form: bare JID and resource follow."""
BARE_OF, BARE_OF_AND_RESOURCE = -1, -65
"""The bare JID of a slot; the same with a resource that follows."""


def _kind_numbers() -> dict[tuple[str, str | None], int]:
    return {(cls.kind, type_): index for index, (cls, type_) in enumerate(KINDS)}


_KIND_OF = _kind_numbers()
_ATTRIBUTE = re.compile(r"([^\s=<>/\"']+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')").findall
_ENVELOPE = frozenset(("to", "from", "id", "type", "xml:lang", "xmlns"))
_REFERENCE = re.compile("&(#[0-9]+|#x[0-9a-fA-F]+|[a-z]+);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "apos": "'", "quot": '"'}


class Session:
    """What both ends know without saying it.

    Attributes:
        domain: the server's name, as the client's HELLO has it.
        jid: the client's full JID once it is bound. The server sets it when it has written the answer that tells it, the client
            when it has read that.
    """

    __slots__ = ("bare", "domain", "jid")

    def __init__(self, domain: str = "", jid: JID | None = None) -> None:
        self.domain = domain
        self.bind(jid)

    def bind(self, jid: JID | None) -> None:
        """From here on `jid` is the client's own."""
        self.jid = jid
        self.bare = None if jid is None else jid.bare


def write_head(
    stanza: Stanza,
    session: Session,
    tables: SentTables | None,
    dictionary: Dictionary,
    coded_id: tuple[str, int, bytes] | None = None,
) -> bytes:
    """Return the envelope; `coded_id`: how an id is written, if that is known: the id, its form and bytes."""
    out: list[bytes] = [b""]
    kind = _KIND_OF.get((stanza.kind, stanza.type))
    if kind is None:
        kind = _KIND_OF[stanza.kind, None]
        out.append(text(stanza.type))
    to = stanza.to
    if to is not None:
        if to is session.jid:
            kind |= OWN_FULL << TO_SHIFT
        else:
            kind |= _write_jid(to, session, tables, out, dictionary) << TO_SHIFT
    if stanza.from_ is not None:
        kind |= _write_jid(stanza.from_, session, tables, out, dictionary) << FROM_SHIFT
    if coded_id is not None and coded_id[0] is stanza.id:
        kind |= coded_id[1] << ID_SHIFT
        out.append(coded_id[2])
    elif stanza.id is not None:
        packed = values.pack(stanza.id)
        if packed is None:
            kind |= ID_TEXT << ID_SHIFT
            out.append(text(stanza.id))
        else:
            kind |= ID_PACKED + packed[0] << ID_SHIFT
            out.append(blob(packed[1]))
    if stanza.lang is not None:
        kind |= LANG_BIT
        out.append(text(stanza.lang))
    if stanza.scope:
        extra = attributes_of(stanza.scope)
        kind |= EXTRA_BIT
        out.append(integer(len(extra)))
        out.extend(text(part) for pair in extra for part in pair)
    out[0] = dictionary.heads.get(kind) or integer(-1 - kind)
    return b"".join(out)


def _write_jid(jid: JID, session: Session, tables: SentTables | None, out: list[bytes], dictionary: Dictionary) -> int:
    if jid == session.jid:
        return OWN_FULL
    if jid == session.bare:
        return OWN_BARE
    if jid == session.domain:
        return OWN_DOMAIN
    if tables is not None:
        slot = tables.jids.find(jid)
        if slot is not None:
            out.append(integer(slot))
            return EXPLICIT
        if _write_related(jid, tables, out):
            return EXPLICIT
    out.append(dictionary.address(jid, session.domain))
    return EXPLICIT


def _write_related(jid: JID, tables: SentTables, out: list[bytes]) -> bool:
    """Write a JID by an entry of the same bare JID if there is one; put it into the tables in any case."""
    bare = jid.bare
    start = f"{bare}/"
    near = tables.jids.peek(bare) if jid.resourcepart else None
    if near is None:
        near = tables.jids.starting(start)
    if near is not None and not jid.resourcepart:
        out.append(integer(BARE_OF - near))
        return True
    slot = tables.jids.insert(str(jid))
    if slot is not None:
        out.append(integer(INSERT + slot))
        if near is not None and near != slot:
            out.append(integer(BARE_OF_AND_RESOURCE - near) + text(jid.resourcepart))
            return True
    return False


def read_head(
    items: list[int | str | bytes], session: Session, tables: SeenTables | None, dictionary: Dictionary
) -> tuple[Stanza, bool, int, int]:
    """Return what `HeadReader.read` does, and the form of the id, the last item; 0 when that is not sure.

    Raises:
        Malformed: the items make no envelope.
    """
    rows = dictionary.head_rows
    if rows is None:
        rows = dictionary.head_rows = _usual_rows(dictionary)
    try:
        row = rows.get(items[0]) if type(items[0]) is int else None
        if row is not None:
            cls, type_, to_mode, from_mode, id_mode = row
            at = 1
            to = from_ = id_ = None
            if to_mode:
                to, at = _usual_jid(items, at, to_mode, session, dictionary)
            if from_mode:
                from_, at = _usual_jid(items, at, from_mode, session, dictionary)
            if id_mode:
                id_, at = items[at], at + 1
                if id_mode != ID_TEXT:
                    id_ = values.unpack(id_mode - ID_PACKED, id_) if type(id_) is bytes and id_ else None
                elif type(id_) is str:
                    checked(id_)
            if (to or not to_mode) and (from_ or not from_mode) and (type(id_) is str or not id_mode):
                return cls(to, from_, id_, type_), True, at, id_mode
    except (InvalidJID, IndexError):
        pass  # the slow way finds out what is wrong
    stanza, is_good, at = HeadReader(items, session, tables, dictionary).read()
    return stanza, is_good, at, 0


def _usual_jid(
    items: list[int | str | bytes], at: int, mode: int, session: Session, dictionary: Dictionary
) -> tuple[JID | None, int]:
    """Return an address and where it ends; None for one that stands in the tables, or none at all."""
    if mode == EXPLICIT:
        item = items[at]
        if type(item) is not int:
            return dictionary.jid(items[at : at + 1], session.domain), at + 1
        if item >= RESOURCE:
            return dictionary.jid(items[at : at + 3], session.domain), at + 3
        return None, at
    return (session.jid if mode == OWN_FULL else session.bare if mode == OWN_BARE else None), at


def _usual_rows(dictionary: Dictionary) -> dict[int, tuple[type[Stanza], str, int, int, int]]:
    """Return the frequent envelopes, by number, that hold nothing but addresses and an id."""
    rows: dict[int, tuple[type[Stanza], str, int, int, int]] = {}
    for number, kind in enumerate(dictionary.tables.heads):
        index = kind & 0x1F
        if index < len(KINDS) and kind < LANG_BIT:
            cls, type_ = KINDS[index]
            if type_ is not None:
                modes = kind >> TO_SHIFT & 7, kind >> FROM_SHIFT & 7, kind >> ID_SHIFT & 15
                rows[number] = (cls, type_, *modes)
    return rows


class HeadReader:
    """Reads the envelope off the front of a frame's items."""

    __slots__ = ("_at", "_dictionary", "_is_good", "_items", "_session", "_tables")

    def __init__(
        self, items: list[int | str | bytes], session: Session, tables: SeenTables | None, dictionary: Dictionary
    ) -> None:
        self._items = items
        self._at = 0
        self._is_good = True
        self._session = session
        self._tables = tables
        self._dictionary = dictionary

    def read(self) -> tuple[Stanza, bool, int]:
        """Return the stanza without its payload, whether its addresses are such, and how many items that took.

        Raises:
            Malformed: the items make no envelope.
        """
        heads, items = self._dictionary.tables.heads, self._items
        if not items:
            raise Malformed("an envelope without its end")
        kind = items[0]
        self._at = 1
        if type(kind) is not int or kind >= len(heads):
            raise Malformed("an unknown envelope")
        kind = heads[kind] if kind >= 0 else ~kind
        index = kind & 0x1F
        if index >= len(KINDS) or kind >> 17:
            raise Malformed("an unknown envelope")
        cls, type_ = KINDS[index]
        if type_ is None:
            type_ = self._text()
        mode = kind >> TO_SHIFT & 7
        to = None if not mode else self._session.jid if mode == OWN_FULL else self._jid(mode)
        mode = kind >> FROM_SHIFT & 7
        from_ = None if not mode else self._jid(mode)
        if to is None and kind >> TO_SHIFT & 7 == OWN_FULL:
            raise Malformed("a reference to an address that is not bound")
        mode = kind >> ID_SHIFT & 15
        id_ = None if mode == ID_ABSENT else self._text() if mode == ID_TEXT else self._packed(mode - ID_PACKED)
        stanza = cls(to, from_, id_, type_)
        if kind >= LANG_BIT:
            if kind & LANG_BIT:
                stanza.lang = self._text()
            if kind & EXTRA_BIT:
                stanza.scope = self._extra()
        return stanza, self._is_good, self._at

    def _next(self) -> int | str | bytes:
        try:
            item = self._items[self._at]
        except IndexError:
            raise Malformed("an envelope without its end") from None
        self._at += 1
        return item

    def _text(self) -> str:
        item = self._next()
        if type(item) is not str:
            raise Malformed("no text where one must be")
        return checked(item)

    def _packed(self, kind: int) -> str:
        item = self._next()
        if type(item) is not bytes or not item:
            raise Malformed("no packed value where one must be")
        return values.unpack(kind, item)

    def _jid(self, mode: int) -> JID | None:
        if mode in (EXPLICIT, OWN_DOMAIN):
            value = self._explicit() if mode == EXPLICIT else self._session.domain
            try:
                return JID.parse(value)
            except InvalidJID:
                self._is_good = False
                return None
        own = self._session.jid if mode == OWN_FULL else self._session.bare if mode == OWN_BARE else None
        if own is None:
            raise Malformed("a reference to an address that is not bound")
        return own

    def _explicit(self) -> str:
        item = self._next()
        if type(item) is not int or item >= RESOURCE:
            return self._literal(item)
        tables = self._tables
        if tables is None:
            raise Malformed("a reference to tables that are not in use")
        if item < 0:
            return self._related(item, tables)
        if item < INSERT:
            return tables.jids.get(item)
        literal = self._next()
        if type(literal) is int and literal <= BARE_OF_AND_RESOURCE:
            value = self._related(literal, tables)
        else:
            value = self._literal(literal)
        tables.jids.put(item - INSERT, value)
        return value

    def _related(self, item: int, tables: SeenTables) -> str:
        if item > BARE_OF_AND_RESOURCE:
            return tables.jids.get(BARE_OF - item).partition("/")[0]
        bare = tables.jids.get(BARE_OF_AND_RESOURCE - item).partition("/")[0]
        return f"{bare}/{self._text()}"

    def _literal(self, item: int | str | bytes) -> str:
        if not isinstance(item, int):
            return whole(item, self._session.domain)
        if item < RESOURCE:
            raise Malformed("an entry that is no address")
        return self._dictionary.read_address(item - RESOURCE, self._next(), self._next(), self._session.domain)

    def _extra(self) -> bytes:
        count = self._next()
        if type(count) is not int or not 0 < count <= len(self._items):
            raise Malformed("a start tag without its attributes")
        pairs = [(self._text(), self._text()) for _ in range(count)]
        declared = {name[6:]: value for name, value in pairs if name.startswith("xmlns:")}
        seen: set[str] = set()
        out = []
        for name, value in pairs:
            if name.startswith("xmlns:"):
                key = name
                if not may_declare(name[6:], value) or name == "xmlns:":
                    raise Malformed("a namespace declaration that XML does not allow")
            else:
                key = attribute_key(name, declared)
            if name in _ENVELOPE or key in seen:
                raise Malformed("an attribute twice")
            seen.add(key)
            out.append(f" {name}='{escape_value(value)}'")
        return "".join(out).encode()


def attributes_of(scope: bytes) -> list[tuple[str, str]]:
    """Return name and value of what `Stanza.scope` holds: raw text of a start tag that was read as XML."""
    return [(name, _unescape(double or single)) for name, double, single in _ATTRIBUTE(scope.decode())]


def scope_of(scope: bytes) -> dict[str, str]:
    """Return the prefixes that a stanza's own start tag declares (`Stanza.scope`)."""
    return {name[6:]: value for name, value in attributes_of(scope) if name.startswith("xmlns:")}


def _unescape(raw: str) -> str:
    if raw.isprintable() and "&" not in raw:
        return raw
    spaced = re.sub("[\t\n\r]", " ", raw.replace("\r\n", "\n"))
    return _REFERENCE.sub(_character, spaced)


def _character(match: re.Match[str]) -> str:
    name = match.group(1)
    if name[0] != "#":
        return _ENTITIES[name]
    return chr(int(name[2:], 16) if name[1] == "x" else int(name[1:]))
