"""Message, Presence, IQ: a typed envelope around a payload that stays bytes until asked for.

A stanza is never changed: `replace`, `adding` and `without` make another one. What it carries is `inner`, the XML between
its tags exactly as it came, and `tags`, the names of its direct children; `elements()` parses them, once, when someone asks.
`to_xml()` makes the bytes, once, however many receive them.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol, Self, TypeVar

from codec.element import MAX_DEPTH, Element, escape_value, parse_children
from codec.jid import JID
from codec.payload import Payload

XML_LANG = "http://www.w3.org/XML/1998/namespace lang"
ERROR_TAG = "jabber:client error"

_MAX_DEPTH = MAX_DEPTH + 16
"""As deep as a reader lets a stanza be, and what we ourselves wrap around one: carbons, pages of a history."""

P = TypeVar("P", bound=Payload)

"""Returns text as it may stand between the quotes of an attribute; ValueError when XML cannot hold it."""


class PayloadForm(Protocol):
    """Another form of what a stanza carries.

    Attributes:
        size_bytes: about what it is as XML.
    """

    size_bytes: int

    def tags(self) -> tuple[str, ...]:
        """Return "namespace name" of its direct children, but of those that were added as XML."""

    def attribute(self, tag: str, name: str) -> str | None:
        """Return an attribute of the first of these of that tag; costs no translation."""

    def inner(self) -> bytes:
        """Return it as XML."""

    def adding(self, xml: bytes) -> "PayloadForm":
        """Return it with children behind its own."""


class Stanza:
    """What the three kinds have in common.

    Attributes:
        to, from_: JIDs, or None when the stanza does not say.
        id: the sender's id, or None.
        type: as on the wire; for a message without one "normal", for a presence without one "".
        lang: xml:lang, or None.
        inner: the XML between the tags; its default namespace is jabber:client and it needs no prefix but those of `scope`.
        tags: "namespace name" of each direct child, in order.
        scope: raw text for the start tag: namespace declarations that `inner` needs, and attributes that we do not know.
        forms: other forms of what it carries, by the id of the dictionary in whose terms they are; stanzas that carry the same
            share them. One that came in another form has no `inner` until someone asks for it.
    """

    __slots__ = ("_elements", "_inner", "_size", "_xml", "forms", "from_", "id", "lang", "scope", "tags", "to", "type")

    kind: ClassVar[str] = ""
    default_type: ClassVar[str] = ""

    def __init__(
        self,
        to: JID | None,
        from_: JID | None,
        id_: str | None,
        type_: str,
        lang: str | None = None,
        inner: bytes = b"",
        tags: tuple[str, ...] = (),
        scope: bytes = b"",
    ) -> None:
        self.to = to
        self.from_ = from_
        self.id = id_
        self.type = type_
        self.lang = lang
        self._inner: bytes | None = inner
        self.tags = tags
        self.scope = scope
        self.forms: dict[bytes, PayloadForm] | None = None
        self._elements: tuple[Element, ...] | None = None
        self._xml: bytes | None = None
        self._size: int | None = None

    @classmethod
    def build(
        cls,
        *payloads: Element | Payload,
        to: JID | None = None,
        from_: JID | None = None,
        type: str | None = None,
        id: str | None = None,
        lang: str | None = None,
    ) -> Self:
        """Make a stanza of ours; `type` None means the kind's default."""
        stanza = cls(to, from_, id, cls.default_type if type is None else type, lang)
        return stanza.adding(*payloads) if payloads else stanza

    # reading

    @property
    def inner(self) -> bytes:
        """The XML between the tags; made from another form when it did not come as XML."""
        inner = self._inner
        if inner is None:
            assert self.forms, "a stanza has XML or another form"
            inner = self._inner = next(iter(self.forms.values())).inner()
        return inner

    @property
    def is_empty(self) -> bool:
        """Whether it carries nothing; costs no translation."""
        return not self._inner and not self.forms

    @property
    def is_xml(self) -> bool:
        """Whether it came as XML, or has become that; else `inner` and all that reads it cost a translation."""
        return self._inner is not None

    @property
    def size_bytes(self) -> int:
        """About how many bytes of XML it carries, the same at each call; costs no translation."""
        size = self._size
        if size is None:
            form = next(iter(self.forms.values())) if self._inner is None and self.forms else None
            size = self._size = len(self.inner) if form is None else form.size_bytes
        return size

    def has(self, tag: str) -> bool:
        """Whether there is a direct child of that tag ("namespace name"); costs no parsing."""
        return tag in self.tags

    def elements(self) -> tuple[Element, ...]:
        """Return the direct children, parsed at the first call."""
        if self._elements is None:
            children = parse_children(self.inner, self.scope, _MAX_DEPTH) if self.inner else ()
            self._elements = tuple(child for child in children if isinstance(child, Element))
        return self._elements

    def element(self, tag: str) -> Element | None:
        """Return the first direct child of that tag, or None."""
        if tag not in self.tags:
            return None
        return next((child for child in self.elements() if child.tag == tag), None)

    def attribute(self, tag: str, name: str) -> str | None:
        """Return an attribute of the first direct child of that tag, None when there is none; costs no translation."""
        if tag not in self.tags:
            return None
        if self._inner is None and self.forms:
            form = next(iter(self.forms.values()))
            if tag in form.tags():
                return form.attribute(tag, name)
        element = self.element(tag)
        return None if element is None else element.get(name)

    def get(self, payload: type[P]) -> P | None:
        """Return the first child of the payload's tag, read as that payload; None when there is none.

        Raises:
            PayloadError: it is there but malformed.
        """
        element = self.element(payload.TAG)
        return None if element is None else payload.from_element(element)

    # making others

    def _copy(self) -> Self:
        other = object.__new__(type(self))
        other.to = self.to
        other.from_ = self.from_
        other.id = self.id
        other.type = self.type
        other.lang = self.lang
        other._inner = self._inner
        forms = self.forms
        if forms is None:
            forms = self.forms = {}
        other.forms = forms
        other.tags = self.tags
        other.scope = self.scope
        other._elements = self._elements
        other._xml = other._size = None
        return other

    def replace(self, **changes: object) -> Self:
        """Return a stanza with other envelope fields: `to`, `from_`, `id`, `type`, `lang`."""
        other = self._copy()
        for name, value in changes.items():
            if name not in ("to", "from_", "id", "type", "lang"):
                raise TypeError(f"{name} is not a field of the envelope")
            setattr(other, name, value)
        return other

    def addressed(self) -> Callable[[JID], "Stanza"]:
        """Return a function that makes this stanza for one recipient after another; what does not depend on `to` is written once."""
        plain = self if self.to is None else self.replace(to=None)
        whole = plain.to_xml()
        from_ = "" if self.from_ is None else f" from='{escape_value(self.from_)}'"
        cut_at = len(f"<{self.kind}{from_}".encode())
        before, after = whole[:cut_at] + b" to='", b"'" + whole[cut_at:]

        def make(to: JID) -> Stanza:
            other = plain._copy()
            other.to = to
            other._xml = b"%b%b%b" % (before, escape_value(to).encode(), after)
            return other

        return make

    def adding(self, *payloads: Element | Payload) -> Self:
        """Return a stanza with these children after its own."""
        other = self._copy()
        elements = [item.to_element() if isinstance(item, Payload) else item for item in payloads]
        other._append(b"".join(element.to_xml() for element in elements))
        other.tags = self.tags + tuple(element.tag for element in elements)
        other._elements = None
        return other

    def _append(self, xml: bytes) -> None:
        """Put XML behind what this fresh copy carries, in every form that there is of it."""
        forms, inner = self.forms, self._inner
        self.forms = {key: form.adding(xml) for key, form in forms.items()} if forms else None
        if inner is not None:
            self._inner = inner + xml

    def adding_raw(self, xml: bytes, tag: str) -> Self:
        """Return a stanza with one more child, given as XML that declares its own namespaces."""
        other = self._copy()
        other._append(xml)
        other.tags = (*self.tags, tag)
        other._elements = None
        whole = self._xml
        if whole is not None and not whole.endswith(b"/>"):
            # it was written before: put the child before its end tag rather than write everything again
            end_at = len(whole) - len(self.kind) - 3
            other._xml = b"%b%b%b" % (whole[:end_at], xml, whole[end_at:])
        return other

    def without(self, unwanted: Callable[[Element], bool]) -> Self:
        """Return a stanza without the direct children for which `unwanted` is true (text between children goes too)."""
        kept = tuple(element for element in self.elements() if not unwanted(element))
        if len(kept) == len(self.elements()):
            return self
        other = self._copy()
        other._inner = b"".join(element.to_xml() for element in kept)
        other.tags = tuple(element.tag for element in kept)
        other._elements = kept
        other.forms = None
        return other

    def with_payload(self, *payloads: Element | Payload) -> Self:
        """Return a stanza of the same envelope that carries only these children."""
        other = self._copy()
        other._inner, other.tags, other._elements, other.forms = b"", (), None, None
        return other.adding(*payloads) if payloads else other

    # writing

    def to_xml(self) -> bytes:
        """Return the stanza for a stream whose default namespace is its own; the same object each time."""
        if self._xml is None:
            self._xml = self._write("")
        return self._xml

    def to_standalone_xml(self) -> bytes:
        """Return the stanza with its namespace declared, to stand inside another namespace (XEP-0297)."""
        return self._write(" xmlns='jabber:client'")

    def _write(self, declaration: str) -> bytes:
        head = f"<{self.kind}{declaration}"
        if self.from_ is not None:
            head += f" from='{escape_value(self.from_)}'"
        if self.to is not None:
            head += f" to='{escape_value(self.to)}'"
        if self.id is not None:
            head += f" id='{escape_value(self.id)}'"
        if self.type != self.default_type:
            head += f" type='{escape_value(self.type)}'"
        if self.lang is not None:
            head += f" xml:lang='{escape_value(self.lang)}'"
        if self.scope:
            head += self.scope.decode()
        inner = self._inner
        if inner is None:
            inner = self.inner
        if inner:
            return b"%b>%b</%b>" % (head.encode(), inner, self.kind.encode())
        return head.encode() + b"/>"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type!r} from={self.from_} to={self.to} id={self.id} {list(self.tags)}>"


class Message(Stanza):
    """RFC 6121 §5. `type` is one of chat, error, groupchat, headline, normal; anything else counts as normal."""

    __slots__ = ()
    kind = "message"
    default_type = "normal"


class Presence(Stanza):
    """RFC 6121 §4. `type` is "" (available), unavailable, subscribe, subscribed, unsubscribe, unsubscribed, probe or error."""

    __slots__ = ()
    kind = "presence"
    default_type = ""


class IQ(Stanza):
    """RFC 6120 §8.2.3. `type` is one of get, set, result, error."""

    __slots__ = ("payload",)
    kind = "iq"

    payload: object
    """What a handler asked for, parsed; set by the dispatcher on the copy it hands over."""

    def _copy(self) -> Self:
        other = super()._copy()
        if hasattr(self, "payload"):
            other.payload = self.payload
        return other

    def reply(self, payload: Element | Payload | None = None) -> "IQ":
        """Return the result of this request, to whoever asked."""
        result = IQ(self.from_, self.to, self.id, "result")
        return result if payload is None else result.adding(payload)
