"""The encoded payload of a stanza: made once, kept beside its XML, passed on untouched (XML and binary are two forms of one thing).

A form holds nothing of the session it came by: what it refers to is the envelope of its own stanza. Children that the server adds
come behind it, so that the encoded part, compressed or not, goes on as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from codec import binary_plan as plan_
from codec import binary_values as values
from codec.binary_cbor import Malformed, blob, texts
from codec.binary_plan import Plan
from codec.element import escape_text, escape_value
from codec.stanza import Stanza

if TYPE_CHECKING:
    from codec.binary_dictionary import Dictionary


class Part:
    """Some children of a stanza, encoded.

    Attributes:
        items: the encoded tree: chunks and runs.
        plans: what they mean, in order.
        texts, blobs: the values that they take, in order.
    """

    __slots__ = ("blobs", "items", "plans", "texts")

    def __init__(self, items: bytes, plans: tuple[Plan, ...], texts: list[str], blobs: list[bytes]) -> None:
        self.items = items
        self.plans = plans
        self.texts = texts
        self.blobs = blobs

    @property
    def uses(self) -> int:
        """What of the envelope the values refer to."""
        uses = 0
        for plan in self.plans:
            uses |= plan.uses
        return uses

    def write_xml(self, stanza: Stanza, out: list[str]) -> None:
        """Append the XML of these children, as they stand in that stanza."""
        texts, blobs = iter(self.texts), iter(self.blobs)
        for plan in self.plans:
            _fill(plan, texts, blobs, stanza, out)


def _fill(plan: Plan, texts: Iterator[str], blobs: Iterator[bytes], stanza: Stanza, out: list[str]) -> None:
    append = out.append
    pieces = plan.pieces
    for index, (code, is_attribute) in enumerate(plan.gaps):
        append(pieces[index])
        if code == plan_.TEXT:
            value = next(texts)
        elif code <= plan_.PACKED:
            value = values.unpack(plan_.PACKED - code, next(blobs))
            append(value)  # none of its characters needs an escape
            continue
        else:
            value = envelope_value(code, stanza)
        append(escape_value(value) if is_attribute else escape_text(value))
    append(pieces[-1])


def envelope_value(code: int, stanza: Stanza) -> str:
    """Return what a value code means in that stanza.

    Raises:
        Malformed: the stanza has no such thing.
    """
    if code == plan_.ID:
        value: str | None = stanza.id
    else:
        jid = stanza.to if code in (plan_.TO, plan_.TO_BARE) else stanza.from_
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
        owner: the stanza whose envelope the references mean.
    """

    __slots__ = ("_blobs", "_kept", "_xml", "added", "block", "dictionary", "main", "owner", "pending", "uses")

    def __init__(
        self, dictionary: Dictionary, main: Part, owner: Stanza, block: tuple[int, bytes] | None = None
    ) -> None:
        self.dictionary = dictionary
        self.main = main
        self.added: Part | None = None
        self.pending: tuple[bytes, ...] = ()
        self.block = block
        self.owner = owner
        self.uses = main.uses if main.plans else 0
        self._blobs: bytes | None = None
        self._xml: bytes | None = None
        self._kept: frozenset[int] | None = None

    def fits(self, stanza: Stanza) -> bool:
        """Whether the references mean the same in that stanza as in the one that this was made for."""
        uses, owner = self.uses, self.owner
        if not uses or stanza is owner:
            return True
        if uses & plan_.USES_ID and stanza.id != owner.id:
            return False
        return all(
            not uses & flag or _same(mine, its, is_bare)
            for flag, mine, its, is_bare in (
                (plan_.USES_TO_BARE, owner.to, stanza.to, True),
                (plan_.USES_TO, owner.to, stanza.to, False),
                (plan_.USES_FROM_BARE, owner.from_, stanza.from_, True),
                (plan_.USES_FROM, owner.from_, stanza.from_, False),
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
        other.owner = self.owner
        other.uses = self.uses
        other._blobs = other._xml = other._kept = None
        return other

    def inner(self) -> bytes:
        """Return the children as XML, made once."""
        if self._xml is None:
            out: list[str] = []
            self.main.write_xml(self.owner, out)
            if self.added is not None:
                self.added.write_xml(self.owner, out)
            self._xml = "".join(out).encode() + b"".join(self.pending)
        return self._xml

    def tags(self) -> tuple[str, ...]:
        """Return "namespace name" of each child, but of those that wait."""
        tags: tuple[str, ...] = ()
        for part in (self.main,) if self.added is None else (self.main, self.added):
            for plan in part.plans:
                tags += plan.tags
        return tags

    def kept(self) -> frozenset[int]:
        """Return the indexes of the packed values that may go into the tables."""
        if self._kept is None:
            found: list[int] = []
            before = 0
            for part in (self.main,) if self.added is None else (self.main, self.added):
                for plan in part.plans:
                    found += [before + index for index in plan.kept]
                    before += len(plan.kinds)
            self._kept = frozenset(found)
        return self._kept

    def blobs(self) -> bytes:
        """Return the packed values as they stand in a frame, made once."""
        if self._blobs is None:
            self._blobs = b"".join([blob(value) for value in self.all_blobs()])
        return self._blobs

    def all_blobs(self) -> list[bytes]:
        """Return the packed values in order."""
        return self.main.blobs if self.added is None else self.main.blobs + self.added.blobs

    def compress(self) -> tuple[int, bytes]:
        """Return `block`, made once."""
        block = self.block
        if block is None:
            main = self.main
            block = self.block = self.dictionary.compress(main.items + texts(main.texts)) or (0, b"")
        return block


def _same(mine: str | None, its: str | None, is_bare: bool) -> bool:
    if mine == its:
        return True
    if mine is None or its is None or not is_bare:
        return False
    return mine.partition("/")[0] == its.partition("/")[0]
