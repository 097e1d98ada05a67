"""The body of a STANZA or ELEMENT frame: an envelope that is read, and a payload that is checked and kept as it came.

Checked means: the trees are known or spelt out correctly, each value that they ask for is there, and no limit is passed. What
that comes to is remembered for each tree (`Outline`), so that for most stanzas it is a look-up. The bytes go on as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from codec import binary_frames as frames
from codec import binary_plan as plan_
from codec import binary_values as values
from codec.binary_cbor import Malformed, read_items
from codec.binary_dictionary import Dictionary
from codec.binary_form import NOBODY, Part, PayloadForm
from codec.binary_head import Session, read_head, scope_of
from codec.binary_plan import NOTHING, TooLarge, checked
from codec.binary_tables import SeenTables
from codec.events import BadStanza
from codec.limits import ReaderLimits
from codec.stanza import Stanza

EXPANDS = 2
"""A packed value becomes about twice its bytes: hex just that, base64 less. A text in letters could become eight times."""

Items = list[int | str | bytes]
_NO_SCOPE: Mapping[str, str] = {}


class BodyReader:
    """Reads the bodies of one stream's frames.

    Args:
        limits: what a stanza may be; may be set again at any time.
        session: what both ends know.
        dictionary: in whose terms; a stream's reader has none before HELLO.

    Attributes:
        tables: those of the stream, or None.
    """

    __slots__ = ("dictionary", "limits", "session", "tables")

    def __init__(self, limits: ReaderLimits, session: Session, dictionary: Dictionary | None = None) -> None:
        self.limits = limits
        self.session = session
        self.dictionary = dictionary
        self.tables: SeenTables | None = None

    def read_stanza(self, size_class: int, body: bytes) -> Stanza | BadStanza:
        """Return the stanza of a frame.

        Raises:
            TooLarge: it passes a limit.
            Malformed: it is none.
        """
        dictionary = self.dictionary
        assert dictionary is not None
        block = b""
        if size_class:
            body, block = self._cut(size_class, body)
        items, ends = read_items(body)
        stanza, is_good, at, id_mode = read_head(items, self.session, self.tables, dictionary)
        scope = scope_of(stanza.scope) if stanza.scope else _NO_SCOPE
        form = self._form(size_class, block, body, items, ends, at, scope)
        if not is_good:
            return BadStanza(type(stanza)(None, None, stanza.id, stanza.type), "jid-malformed")
        if form is not None:
            form.envelope = id_, to, from_ = stanza.id, stanza.to, stanza.from_
            if form.uses:
                _check_references(form.uses, id_, to, from_)
            if id_mode and id_ is not None:
                form.coded_id = id_, id_mode, body[ends[at - 2] : ends[at - 1]]
            stanza.forms = {dictionary.id: form}
            stanza._inner = None
            stanza.tags = form.main.outline.tags if form.added is None else form.tags()
        return stanza

    def read_element(self, size_class: int, body: bytes) -> PayloadForm:
        """Return what an ELEMENT frame holds.

        Raises:
            TooLarge, Malformed: as `read_stanza`.
        """
        block = b""
        if size_class:
            body, block = self._cut(size_class, body)
        items, ends = read_items(body)
        form = self._form(size_class, block, body, items, ends, 0, _NO_SCOPE)
        if form is None:
            raise Malformed("an element that is not there")
        if form.uses:
            _check_references(form.uses, None, None, None)
        return form

    def _cut(self, size_class: int, body: bytes) -> tuple[bytes, bytes]:
        """Return the part in the clear and the block."""
        if size_class >= len(frames.SIZE_CLASSES):
            raise Malformed("an unknown size class")
        if frames.SIZE_CLASSES[size_class - 1] >= self.limits.stanza_bytes:
            raise TooLarge("a stanza larger than the server allows")
        length = frames.read_varint(body, 0)
        if length is None or length[1] + length[0] > len(body):
            raise Malformed("a frame whose first part has no end")
        start = length[1] + length[0]
        return body[length[1] : start], body[start:]

    def _form(
        self,
        size_class: int,
        block: bytes,
        clear: bytes,
        items: Items,
        ends: list[int],
        at: int,
        scope: Mapping[str, str],
    ) -> PayloadForm | None:
        """Read and check a payload that begins at that item; None when there is none."""
        start = ends[at - 1] if at else 0
        part, rest = self._part(clear, items, ends, at, scope)
        blobs: list[bytes] = items[rest:]  # type: ignore[assignment]
        is_plain = True
        for value in blobs:
            if type(value) is not bytes:
                blobs, is_plain = self._resolved(items[rest:]), False
                break
        if size_class:
            form = self._compressed(size_class, block, part, blobs, scope)
        else:
            part.blobs = blobs
            if is_plain:
                part.coded_blobs = clear[ends[rest - 1] if rest else 0 :]
            form = self._whole(part, None)
        if is_plain and form is not None:
            form._clear = clear[start:]
        return form

    def _whole(self, main: Part, added: Part | None, block: tuple[int, bytes] | None = None) -> PayloadForm | None:
        """Hold a payload against the limits; None when there is nothing in it."""
        limits = self.limits
        outline = main.outline
        size = _check(main, limits)
        children = len(outline.tags)
        if added is not None:
            size += _check(added, limits)
            children += len(added.outline.tags)
        if size > limits.stanza_bytes or children > limits.children:
            raise TooLarge("a stanza larger than the server allows, or with too many children")
        if not outline.plans and (added is None or not added.outline.plans):
            return None
        assert self.dictionary is not None
        form = PayloadForm(self.dictionary, main, NOBODY, block)
        form.size_bytes = size
        if added is not None and added.outline.plans:
            form.added = added
            form.uses |= added.outline.uses
        return form

    def _compressed(
        self, size_class: int, block: bytes, added: Part, blobs: list[bytes], scope: Mapping[str, str]
    ) -> PayloadForm | None:
        """Read and check a payload whose first part is in a block; `blobs` are the values of both."""
        assert self.dictionary is not None
        content = self.dictionary.decompress(size_class, block)
        items, ends = read_items(content)
        main, rest = self._part(content, items, ends, 0, scope)
        if rest != len(items):
            raise Malformed("packed values within the compressed part")
        count = main.outline.blob_count
        main.blobs, added.blobs = blobs[:count], blobs[count:]
        return self._whole(main, added, (size_class, block))

    def _part(self, data: bytes, items: Items, ends: list[int], at: int, scope: Mapping[str, str]) -> tuple[Part, int]:
        """Read trees and texts from that item on; return them and where the packed values begin."""
        end, first = len(items), at
        while at < end:
            item = items[at]
            if type(item) is not int or item < -1:
                break
            at += 1 if item >= 0 else 2
        if at > end:
            raise Malformed("a run that is not there")
        if at > first:
            trees = data[ends[first - 1] if first else 0 : ends[at - 1]]
            assert self.dictionary is not None
            outline = self.dictionary.outline(trees, scope)
        else:
            trees, outline = b"", NOTHING
        first = at
        while at < end and type(items[at]) is str:
            at += 1
        part = Part(trees, outline, items[first:at], [])  # type: ignore[arg-type]
        if at > first:
            part.coded_texts = data[ends[first - 1] if first else 0 : ends[at - 1]]
        return part, at

    def _resolved(self, items: Items) -> list[bytes]:
        """Return packed values, some of which stand in the tables."""
        found: list[bytes] = []
        tables = self.tables
        at = 0
        while at < len(items):
            item = items[at]
            at += 1
            if type(item) is bytes:
                found.append(item)
                continue
            if type(item) is not int or tables is None:
                raise Malformed("something that is no packed value")
            if item > -66:
                found.append(tables.values.get(-2 - item))
                continue
            value = items[at] if at < len(items) else None
            at += 1
            if type(value) is not bytes:
                raise Malformed("an entry that is no packed value")
            tables.values.put(-66 - item, value)
            found.append(value)
        return found


def _check(part: Part, limits: ReaderLimits) -> int:
    """Hold a part against the limits and the values that it has; return about how many bytes of XML it is, rather more."""
    outline, blobs, texts = part.outline, part.blobs, part.texts
    if outline.depth >= limits.depth or outline.attributes > limits.attributes:
        raise TooLarge("elements nested too deep, or with too many attributes")
    if outline.blob_count != len(blobs) or outline.text_count != len(texts):
        raise Malformed("more or fewer values than the tree asks for")
    size = outline.size
    for value in blobs:
        if not value:
            raise Malformed("an empty packed value")
        size += len(value) * EXPANDS
    for index, kind in outline.checked:
        values.check(kind, blobs[index])
    for text in texts:
        size += len(checked(text))
    return size


def _check_references(uses: int, id_: str | None, to: object, from_: object) -> None:
    if (
        (uses & plan_.USES_ID and id_ is None)
        or (uses & (plan_.USES_TO | plan_.USES_TO_BARE) and to is None)
        or (uses & (plan_.USES_FROM | plan_.USES_FROM_BARE) and from_ is None)
    ):
        raise Malformed("a reference to what the envelope does not hold")
