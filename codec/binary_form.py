"""The encoded payload of a stanza: made once, kept beside its XML, passed on untouched (XML and binary are two forms of one thing).

A form holds nothing of the session it came by: what it refers to is the envelope of its own stanza. Children that the server adds
come behind it, so that the encoded part, compressed or not, goes on as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from codec import binary_plan as plan_
from codec import binary_values as values
from codec.binary_cbor import Malformed, blob, texts
from codec.binary_letters import Letters
from codec.binary_plan import Outline, Plan
from codec.element import escape_text, escape_value
from codec.jid import JID
from codec.stanza import Stanza

if TYPE_CHECKING:
    from codec.binary_dictionary import Dictionary


class Part:
    """Some children of a stanza, encoded; never changed.

    Attributes:
        items: the encoded tree: chunks and runs.
        outline: what they mean.
        texts, blobs: the values that they take, in order.
        coded_texts, coded_blobs: the same as they stand in a frame; None when that is not known yet.
    """

    __slots__ = ("blobs", "coded_blobs", "coded_texts", "items", "outline", "texts")

    def __init__(self, items: bytes, outline: Outline, texts: list[str], blobs: list[bytes]) -> None:
        self.items = items
        self.outline = outline
        self.texts = texts
        self.blobs = blobs
        self.coded_texts: bytes | None = None
        self.coded_blobs: bytes | None = None

    def text_bytes(self) -> bytes:
        """Return the texts as they stand in a frame, made once."""
        coded = self.coded_texts
        if coded is None:
            coded = self.coded_texts = texts(self.texts) if self.texts else b""
        return coded

    def blob_bytes(self) -> bytes:
        """Return the packed values as they stand in a frame, made once."""
        coded = self.coded_blobs
        if coded is None:
            coded = self.coded_blobs = b"".join([blob(value) for value in self.blobs])
        return coded

    def attribute(self, tag: str, name: str, envelope: Envelope, letters: list[Letters]) -> str | None:
        """Return an attribute of the first child of that tag."""
        text_at = blob_at = 0
        for plan in self.outline.plans:
            values_ = plan.values.get(tag)
            if values_ is not None:
                value = values_.get(name)
                if value is None or isinstance(value, str):
                    return value
                code, index = value
                if code == plan_.TEXT:
                    return self.texts[text_at + index]
                if code > plan_.PACKED:
                    return envelope_value(code, envelope)
                return unpacked(code, self.blobs[blob_at + index], letters)
            text_at += plan.text_count
            blob_at += len(plan.kinds)
        return None

    def write_xml(self, envelope: Envelope, letters: list[Letters], out: list[str]) -> None:
        """Append the XML of these children, as they stand in a stanza with that envelope."""
        texts, blobs = iter(self.texts), iter(self.blobs)
        for plan in self.outline.plans:
            _fill(plan, texts, blobs, envelope, letters, out)


def unpacked(code: int, data: bytes, letters: list[Letters]) -> str:
    """Return the text of a packed value."""
    if code < plan_.LAST_PACKED:
        return letters[plan_.LAST_PACKED - 1 - code].unpack(data)
    return values.unpack(plan_.PACKED - code, data)


def _fill(
    plan: Plan, texts: Iterator[str], blobs: Iterator[bytes], envelope: Envelope, letters: list[Letters], out: list[str]
) -> None:
    append = out.append
    pieces = plan.pieces
    for index, (code, is_attribute) in enumerate(plan.gaps):
        append(pieces[index])
        if code == plan_.TEXT:
            value = next(texts)
        elif code < plan_.LAST_PACKED:
            value = letters[plan_.LAST_PACKED - 1 - code].unpack(next(blobs))
        elif code <= plan_.PACKED:
            value = values.unpack(plan_.PACKED - code, next(blobs))
            append(value)  # none of its characters needs an escape
            continue
        else:
            value = envelope_value(code, envelope)
        append(escape_value(value) if is_attribute else escape_text(value))
    append(pieces[-1])


Envelope: TypeAlias = tuple[str | None, JID | None, JID | None]
"""What values may refer to: id, to, from of a stanza."""


_IN_THE_CLEAR = (0, b"")
COMPRESS_FROM_BYTES = 20
"""What is shorter does not become smaller."""

NOBODY: Envelope = (None, None, None)


def envelope_of(stanza: Stanza) -> Envelope:
    """Return what values in that stanza may refer to."""
    return stanza.id, stanza.to, stanza.from_


def envelope_value(code: int, envelope: Envelope) -> str:
    """Return what a value code means with that envelope.

    Raises:
        Malformed: there is no such thing in it.
    """
    id_, to, from_ = envelope
    if code == plan_.ID:
        value = id_
    else:
        jid = to if code in (plan_.TO, plan_.TO_BARE) else from_
        value = jid if jid is None or code in (plan_.TO, plan_.FROM) else jid.bare
    if value is None:
        raise Malformed("a reference to what the envelope does not hold")
    return value


class PayloadForm:
    """What a stanza carries, in the terms of one dictionary.

    Attributes:
        dictionary: whose terms.
        main: the children as they came or were first encoded.
        added: those that came later.
        pending: XML of children that are to be encoded behind those.
        block: size class and compressed bytes of `main`'s items and texts; class 0 and b"" when it is better left in the clear;
            None when that is not known yet.
        envelope: what the references mean.
        coded_id: the stanza's id, its form in an envelope's head, and its bytes there; None when that is not known yet.
        size_bytes: about what it is as XML, rather more; 0 for one that was made of XML.
    """

    __slots__ = (
        "_clear",
        "_xml",
        "added",
        "block",
        "coded_id",
        "dictionary",
        "envelope",
        "main",
        "pending",
        "size_bytes",
        "uses",
    )

    def __init__(
        self, dictionary: Dictionary, main: Part, envelope: Envelope, block: tuple[int, bytes] | None = None
    ) -> None:
        self.dictionary = dictionary
        self.main = main
        self.added: Part | None = None
        self.pending: tuple[bytes, ...] = ()
        self.block = block
        self.envelope = envelope
        self.uses = main.outline.uses
        self.coded_id: tuple[str, int, bytes] | None = None
        self.size_bytes = 0
        self._xml: bytes | None = None
        self._clear: bytes | None = None

    def fits(self, stanza: Stanza) -> bool:
        """Whether the references mean the same in that stanza as in the one that this was made for."""
        uses = self.uses
        id_, to, from_ = self.envelope
        return not (
            (uses & plan_.USES_ID and stanza.id != id_)
            or (uses & (plan_.USES_TO | plan_.USES_TO_BARE) and not _same(to, stanza.to, not uses & plan_.USES_TO))
            or (
                uses & (plan_.USES_FROM | plan_.USES_FROM_BARE)
                and not _same(from_, stanza.from_, not uses & plan_.USES_FROM)
            )
        )

    def adding(self, xml: bytes) -> PayloadForm:
        """Return this form with children behind its own, which are encoded when someone needs them."""
        other = object.__new__(PayloadForm)
        other.dictionary = self.dictionary
        other.main = self.main
        other.added = self.added
        other.pending = (*self.pending, xml)
        other.block = self.block
        other.envelope = self.envelope
        other.uses = self.uses
        other.coded_id = self.coded_id
        other.size_bytes = self.size_bytes + len(xml)
        other._xml = other._clear = None
        return other

    def inner(self) -> bytes:
        """Return the children as XML, made once."""
        if self._xml is None:
            out: list[str] = []
            letters = self.dictionary.tables.letters
            self.main.write_xml(self.envelope, letters, out)
            if self.added is not None:
                self.added.write_xml(self.envelope, letters, out)
            self._xml = "".join(out).encode() + b"".join(self.pending)
        return self._xml

    def tags(self) -> tuple[str, ...]:
        """Return "namespace name" of each child, but of those that wait."""
        tags = self.main.outline.tags
        return tags if self.added is None else tags + self.added.outline.tags

    def attribute(self, tag: str, name: str) -> str | None:
        """Return an attribute of the first child of that tag, those that wait not counted."""
        is_main = self.added is None or tag in self.main.outline.tags
        part = self.main if self.added is None or is_main else self.added
        return part.attribute(tag, name, self.envelope, self.dictionary.tables.letters)

    def kept(self) -> tuple[int, ...]:
        """Return the indexes of the packed values that may go into the tables."""
        outline, added = self.main.outline, self.added
        if added is None or not added.outline.kept:
            return outline.kept
        return outline.kept + tuple([outline.blob_count + index for index in added.outline.kept])

    def blobs(self) -> bytes:
        """Return the packed values as they stand in a frame, made once."""
        blobs = self.main.blob_bytes()
        return blobs if self.added is None else blobs + self.added.blob_bytes()

    def clear(self) -> bytes:
        """Return what follows the envelope in the clear part of a frame, made once."""
        clear = self._clear
        if clear is None:
            clear = self._clear = self.clear_with(self.blobs())
        return clear

    def clear_with(self, values: bytes) -> bytes:
        """Return the same with the packed values given."""
        main, added = self.main, self.added
        if self.compress()[0]:
            return values if added is None else added.items + added.text_bytes() + values
        if added is None:
            return main.items + main.text_bytes() + values
        return main.items + added.items + main.text_bytes() + added.text_bytes() + values

    def all_blobs(self) -> list[bytes]:
        """Return the packed values in order."""
        return self.main.blobs if self.added is None else self.main.blobs + self.added.blobs

    def compress(self) -> tuple[int, bytes]:
        """Return `block`, made once."""
        block = self.block
        if block is None:
            main = self.main
            if len(main.items) < COMPRESS_FROM_BYTES and not main.texts:
                block = self.block = _IN_THE_CLEAR
            else:
                block = self.block = self.dictionary.compress(main.items + main.text_bytes()) or _IN_THE_CLEAR
        return block


def _same(mine: JID | None, its: JID | None, is_bare: bool) -> bool:
    if mine is its or mine == its:
        return True
    return is_bare and mine is not None and its is not None and mine.bare == its.bare
