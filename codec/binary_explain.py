"""What each byte of a binary frame is for, as plain data: for people who look at a wire."""

from __future__ import annotations

from dataclasses import dataclass, field

from codec import binary_frames as frames
from codec import binary_plan as plan_
from codec import binary_values as values
from codec.binary_cbor import Malformed, blob, integer, read_flat, text
from codec.binary_dictionary import Dictionary
from codec.binary_head import EXTRA_BIT, ID_SHIFT, KINDS, LANG_BIT, HeadReader, Session, scope_of
from codec.binary_plan import Plan
from codec.binary_tables import Claim, SeenTables

Item = int | str | bytes


@dataclass(frozen=True, slots=True)
class Field:
    """Some bytes of a frame: what they are, how many, and what they say."""

    name: str
    size_bytes: int
    value: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One frame.

    Attributes:
        kind: its name.
        size_bytes: all of it.
        fields: what its bytes are for; the sizes add up to `size_bytes`, but that those of the compressed part are what its
            content would take in the clear, with a negative field for what compression saves.
        flags: of the frame.
    """

    kind: str
    size_bytes: int
    fields: list[Field] = field(default_factory=list)
    flags: int = 0


def explain(
    frame: bytes, dictionary: Dictionary, session: Session | None = None, tables: SeenTables | None = None
) -> Explained:
    """Describe one whole frame. `tables` are used, not changed: give what the reader had before the frame.

    Raises:
        Malformed: it is no frame, or names what is not there.
    """
    if not frame:
        raise Malformed("no frame")
    kind, flags = frame[0] >> 4, frame[0] & 0x0F
    if kind >= len(frames.NAMES) or not frames.NAMES[kind]:
        raise Malformed("an unknown kind of frame")
    out = Explained(frames.NAMES[kind], len(frame), [], flags)
    if kind not in frames.HAS_BODY:
        out.fields.append(Field("frame", 1, out.kind))
        if kind == frames.ACK:
            grown = frames.read_varint(frame, 1)
            if grown is None:
                raise Malformed("an acknowledgement without its end")
            out.fields.append(Field("grown-by", len(frame) - 1, str(grown[0])))
        return out
    length = frames.read_varint(frame, 1)
    if length is None or length[0] + length[1] != len(frame):
        raise Malformed("a frame of another length")
    out.fields.append(Field("frame", length[1], f"{out.kind}, {length[0]} bytes"))
    body = frame[length[1] :]
    if kind == frames.XML:
        out.fields.append(Field("xml", len(body), body.decode(errors="replace")))
    elif kind == frames.TABLES:
        claim = Claim.read(body)
        counted = len(body) - len(claim.name)
        out.fields.append(Field("entries-read", counted, f"{claim.jids} JIDs, {claim.values} values"))
        if claim.name:
            out.fields.append(Field("name", len(claim.name), claim.name.hex()))
    elif kind in (frames.HELLO, frames.RETRY):
        out.fields.extend(Field("item", _size(item), _show(item)) for item in read_flat(body))
    else:
        _body(kind, flags & frames.SIZE_MASK, body, out, dictionary, session or Session(), tables)
    return out


def _body(
    kind: int,
    size_class: int,
    body: bytes,
    out: Explained,
    dictionary: Dictionary,
    session: Session,
    tables: SeenTables | None,
) -> None:
    packed: list[Item] = []
    if size_class:
        length = frames.read_varint(body, 0)
        if length is None or size_class >= len(frames.SIZE_CLASSES):
            raise Malformed("a frame whose first part has no end")
        out.fields.append(Field("clear-length", length[1], str(length[0])))
        start = length[0] + length[1]
        content = dictionary.decompress(size_class, body[start:])
        packed = read_flat(content)
        items = read_flat(body[length[1] : start])
        out.fields.append(
            Field("saved-by-zstd", len(body) - start - len(content), f"{len(content)} bytes in the block")
        )
    else:
        items = read_flat(body)
    at, scope = _envelope(items, out, dictionary, session, tables) if kind == frames.STANZA else (0, {})
    plans: list[Plan] = []
    _tree(packed, 0, plans, scope, out, dictionary)
    _tree(items, at, plans, scope, out, dictionary)
    _values(items, plans, out, dictionary)


def _envelope(
    items: list[Item], out: Explained, dictionary: Dictionary, session: Session, tables: SeenTables | None
) -> tuple[int, dict[str, str]]:
    copy = None if tables is None else SeenTables.restore(tables.export())
    stanza, _, at = HeadReader(items, session, copy, dictionary).read()
    kind = items[0]
    assert isinstance(kind, int)
    modes = dictionary.tables.heads[kind] if kind >= 0 else ~kind
    out.fields.append(Field("envelope", _size(kind), f"{stanza.kind} {stanza.type}".strip()))
    for item in items[1:at]:
        out.fields.append(Field("address-or-id", _size(item), _show(item)))
    parts = [f"to {stanza.to}", f"from {stanza.from_}", f"id {stanza.id}"]
    if modes & LANG_BIT:
        parts.append(f"lang {stanza.lang}")
    if modes & EXTRA_BIT:
        parts.append("more attributes")
    known = f"{KINDS[modes & 31][1] or 'type spelt out'}, id form {modes >> ID_SHIFT & 15}"
    out.fields.append(Field("means", 0, f"{'; '.join(parts)} ({known})"))
    return at, scope_of(stanza.scope)


def _tree(
    items: list[Item], at: int, plans: list[Plan], scope: dict[str, str], out: Explained, dictionary: Dictionary
) -> None:
    while at < len(items):
        item = items[at]
        if isinstance(item, int) and item >= 0:
            plan = dictionary.chunk_plan(item)
            out.fields.append(Field("chunk", _size(item), f"{item}: {_skeleton(plan)}"))
            at += 1
        elif item == -1 and at + 1 < len(items) and isinstance(tree := items[at + 1], bytes):
            plan = dictionary.plan(tree, scope)
            out.fields.append(Field("run", 1 + _size(tree), _skeleton(plan)))
            at += 2
        else:
            break
        plans.append(plan)
    while at < len(items) and isinstance(value := items[at], str):
        out.fields.append(Field("text", _size(value), value))
        at += 1


def _values(items: list[Item], plans: list[Plan], out: Explained, dictionary: Dictionary) -> None:
    kinds = [kind for plan in plans for kind in plan.kinds]
    tail: list[Item] = []
    count = 0
    for item in reversed(items):  # the packed values are the last items, and those in tables are numbers below -1
        if count == len(kinds) and not (isinstance(item, int) and item <= -66):
            break
        tail.append(item)
        count += not (isinstance(item, int) and item <= -66)
    index = 0
    for item in reversed(tail):
        if isinstance(item, int):
            is_entry = item <= -66
            out.fields.append(
                Field("keep" if is_entry else "refer", _size(item), f"slot {-66 - item if is_entry else -2 - item}")
            )
            index += not is_entry
            continue
        if not isinstance(item, bytes) or index >= len(kinds):
            raise Malformed("more values than the tree asks for")
        kind = kinds[index]
        index += 1
        if kind < values.KINDS:
            out.fields.append(Field(values.NAMES[kind], _size(item), values.unpack(kind, item)))
        else:
            table = dictionary.tables.letters[kind - values.KINDS]
            out.fields.append(Field("letters", _size(item), table.unpack(item)))


def _skeleton(plan: Plan) -> str:
    names = {plan_.TEXT: "text", plan_.ID: "id", plan_.TO_BARE: "to-bare", plan_.TO: "to"}
    names |= {plan_.FROM_BARE: "from-bare", plan_.FROM: "from"}
    out = [plan.pieces[0]]
    for (code, _), piece in zip(plan.gaps, plan.pieces[1:], strict=True):
        out.append(f"{{{names.get(code, 'value')}}}{piece}")
    return "".join(out)


def _size(item: Item) -> int:
    return len(integer(item) if isinstance(item, int) else text(item) if isinstance(item, str) else blob(item))


def _show(item: Item) -> str:
    return item.hex() if isinstance(item, bytes) else str(item)
