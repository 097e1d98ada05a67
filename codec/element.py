"""Any XML element as an immutable value, and its way from and to bytes.

A *tag* is one string, "namespace local" with one space between, or "local" alone
for an element in no namespace. Attribute keys have the same form.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from xml.parsers.expat import ExpatError, ParserCreate

CLIENT_NS = "jabber:client"
XML_NS = "http://www.w3.org/XML/1998/namespace"
XMLNS_NS = "http://www.w3.org/2000/xmlns/"
XML_LANG = f"{XML_NS} lang"
MAX_DEPTH = 64
# Written tags that are kept ready. Longer ones are made each time: what a peer can put there stays small.
CACHE_ENTRIES = 1024
CACHE_MAX_CHARS = 256

_CLIENT_SCOPE = b" xmlns='jabber:client'"
_NO_ATTRS: Mapping[str, str] = {}

# XML 1.0 §2.2: what no document can hold, not even as a character reference.
_ILLEGAL = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_text_needs_care = re.compile(f"[&<>\r{_ILLEGAL}]").search
_value_needs_care = re.compile(f"[&<>\"'\t\n\r{_ILLEGAL}]").search
_is_illegal = re.compile(f"[{_ILLEGAL}]").search
_TEXT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_VALUE_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "'": "&apos;",
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)
_is_plain_name = re.compile("[A-Za-z_][A-Za-z0-9_.-]*").fullmatch


class Element:
    """One element: its tag, attributes and children (elements and texts, in order).

    Nothing of it changes after it is made, `attrs` by convention. Equality is by
    value; the order of attributes does not count, that of children does. As parsed,
    no text is empty and no two texts stand side by side.
    """

    __slots__ = ("attrs", "children", "tag")

    tag: str
    attrs: Mapping[str, str]
    children: tuple[Element | str, ...]

    def __init__(
        self, tag: str, attrs: Mapping[str, str] = _NO_ATTRS, children: tuple[Element | str, ...] = ()
    ) -> None:
        _set_tag(self, tag)
        _set_attrs(self, attrs)
        _set_children(self, children)

    @property
    def ns(self) -> str:
        """The namespace; "" when there is none."""
        ns, space, _ = self.tag.rpartition(" ")
        return ns if space else ""

    @property
    def name(self) -> str:
        """The local name."""
        return self.tag.rpartition(" ")[2]

    def get(self, attr: str, default: str | None = None) -> str | None:
        """Return an attribute's value by its key, or `default`."""
        return self.attrs.get(attr, default)

    @property
    def text(self) -> str:
        """The element's own texts, joined; those of its children do not count."""
        children = self.children
        if len(children) == 1 and type(children[0]) is str:
            return children[0]
        return "".join([child for child in children if isinstance(child, str)])

    def elements(self) -> tuple[Element, ...]:
        """Return the children that are elements."""
        return tuple([child for child in self.children if not isinstance(child, str)])

    def find(self, tag: str) -> Element | None:
        """Return the first child with this tag, or None."""
        for child in self.children:
            if not isinstance(child, str) and child.tag == tag:
                return child
        return None

    def find_all(self, tag: str) -> tuple[Element, ...]:
        """Return the children with this tag, in order."""
        return tuple([child for child in self.children if not isinstance(child, str) and child.tag == tag])

    def to_xml(self, default_ns: str = CLIENT_NS) -> bytes:
        """Return the element as UTF-8, to stand where `default_ns` is the default namespace.

        Raises:
            ValueError: a name that is none, or a character that XML cannot hold.
        """
        return _write(self, default_ns).encode("utf-8")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return self.tag == other.tag and self.attrs == other.attrs and self.children == other.children

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Element({self.tag!r}, {dict(self.attrs)!r}, {self.children!r})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Element is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an Element is immutable: cannot delete {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (Element, (self.tag, dict(self.attrs), self.children))

    def __copy__(self) -> Element:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Element:
        return self


# The slots' own setters go round __setattr__, and faster than object.__setattr__ does.
_set_tag = Element.__dict__["tag"].__set__
_set_attrs = Element.__dict__["attrs"].__set__
_set_children = Element.__dict__["children"].__set__


def escape_text(text: str) -> str:
    """Return `text` as it stands between tags.

    Raises:
        ValueError: it holds a character that XML 1.0 cannot hold.
    """
    if not _text_needs_care(text):
        return text
    if _is_illegal(text):
        raise ValueError("the text holds a character that XML cannot hold")
    return text.translate(_TEXT_ESCAPES)


def escape_value(text: str) -> str:
    """Return `text` as it stands in an attribute, between quotes of either kind.

    Raises:
        ValueError: it holds a character that XML 1.0 cannot hold.
    """
    if not _value_needs_care(text):
        return text
    if _is_illegal(text):
        raise ValueError("the attribute holds a character that XML cannot hold")
    return text.translate(_VALUE_ESCAPES)


def _write(element: Element, default_ns: str) -> str:
    tag = element.tag
    make_tags = _tags_of if len(tag) + len(default_ns) <= CACHE_MAX_CHARS else _make_tags
    start, end, inner_ns = make_tags(tag, default_ns)
    if element.attrs:
        start += _write_attrs(element.attrs)
    children = element.children
    if not children:
        return start + "/>"
    inner = [escape_text(child) if isinstance(child, str) else _write(child, inner_ns) for child in children]
    return f"{start}>{''.join(inner)}{end}"


def _make_tags(tag: str, default_ns: str) -> tuple[str, str, str]:
    """Return the start tag as far as the name and declaration, the end tag, and the default namespace between them."""
    ns, space, name = tag.rpartition(" ")
    _check_name(name)
    if ns == XML_NS:
        # This namespace can be nobody's default.
        return f"<xml:{name}", f"</xml:{name}>", default_ns
    if ns == default_ns:
        return f"<{name}", f"</{name}>", ns
    if space:
        _check_namespace(ns)
    return f"<{name} xmlns='{escape_value(ns)}'", f"</{name}>", ns


_tags_of = functools.lru_cache(maxsize=CACHE_ENTRIES)(_make_tags)


def _write_attrs(attrs: Mapping[str, str]) -> str:
    written = ""
    prefixes: dict[str, str] = {}
    for key, value in attrs.items():
        name = key
        if not _is_plain_name(key) or key == "xmlns":
            ns, space, name = key.rpartition(" ")
            _check_name(name)
            if ns == XML_NS:
                name = f"xml:{name}"
            elif space:
                _check_namespace(ns)
                if ns not in prefixes:
                    prefixes[ns] = f"ns{len(prefixes)}"
                    written += f" xmlns:{prefixes[ns]}='{escape_value(ns)}'"
                name = f"{prefixes[ns]}:{name}"
            elif name == "xmlns":
                raise ValueError("a declaration is no attribute")
        written += f" {name}='{escape_value(value)}'"
    return written


def _check_namespace(ns: str) -> None:
    """Raise ValueError unless a namespace can be declared and then be part of a tag, where the space is taken."""
    if not ns or " " in ns or ns == XMLNS_NS:
        raise ValueError(f"not a namespace: {ns[:100]!r}")


def _check_name(name: str) -> None:
    """Raise ValueError unless `name` is a local name to our own parser.

    Editions of XML differ in what letters a name may have; Expat keeps to the narrow list, so others take it too.
    """
    if _is_plain_name(name):
        return
    found: list[str] = []
    parser = ParserCreate("UTF-8")
    parser.StartElementHandler = lambda tag, attrs: found.append(tag)
    try:
        parser.Parse(f"<{name}/>".encode(), True)
    except (ExpatError, UnicodeEncodeError):
        found.clear()
    if found != [name] or ":" in name:
        raise ValueError(f"not a name: {name[:100]!r}")


def parse_element(data: bytes, default_ns: str = CLIENT_NS, max_depth: int = MAX_DEPTH) -> Element:
    """Return the one element that `data` is, white space around it aside.

    Args:
        data: UTF-8, without an XML declaration.
        default_ns: the default namespace where the element stands.
        max_depth: how many elements may be inside one another, this one counted.

    Raises:
        ValueError: ill-formed, too deep, not exactly one element, or holding a
            doctype, a comment or a processing instruction (RFC 6120 §11.1).
    """
    scope = _CLIENT_SCOPE if default_ns == CLIENT_NS else f" xmlns='{escape_value(default_ns)}'".encode()
    found: Element | None = None
    for child in _parse_inside(data, scope, max_depth):
        if isinstance(child, str):
            if child.strip(" \t\r\n"):
                raise ValueError("text beside the element")
        elif found is not None:
            raise ValueError("more than one element")
        else:
            found = child
    if found is None:
        raise ValueError("no element")
    return found


def parse_children(inner: bytes, scope: bytes = b"", max_depth: int = MAX_DEPTH) -> tuple[Element | str, ...]:
    """Return what stands between the tags of a stanza.

    Args:
        inner: UTF-8 between a start tag and its end tag; the default namespace there is jabber:client.
        scope: more namespace declarations in force there, raw: b" xmlns:x='urn:x'".
        max_depth: how many elements may be inside one another.

    Raises:
        ValueError: as `parse_element`.
    """
    if not inner:
        return ()
    return _parse_inside(inner, _CLIENT_SCOPE + scope, max_depth)


def _refuse(*_: object) -> NoReturn:
    raise ValueError("a comment or a processing instruction")


def _parse_inside(inner: bytes, scope: bytes, max_depth: int) -> tuple[Element | str, ...]:
    """Parse `inner` as the content of a wrapper element.

    No content can leave the wrapper: if it closes the wrapper, ours that follows is a second root.
    A doctype inside an element is ill-formed by itself.
    """
    stack: list[tuple[dict[str, str], list[Element | str]]] = []
    children: list[Element | str] = []
    limit = max_depth + 1

    def start(tag: str, attrs: dict[str, str]) -> None:
        nonlocal children
        stack.append((attrs, children))
        if len(stack) > limit:
            raise ValueError(f"more than {max_depth} elements inside one another")
        children = []

    def end(tag: str) -> None:
        nonlocal children
        attrs, siblings = stack.pop()
        siblings.append(Element(tag, attrs, tuple(children)))
        children = siblings

    def text(data: str) -> None:
        children.append(data)

    parser = ParserCreate("UTF-8", " ")
    parser.buffer_text = True
    if len(inner) > parser.buffer_size:
        parser.buffer_size = len(inner)  # or a long text comes in pieces
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    if b"<!" in inner or b"<?" in inner:  # may also be a CDATA section, which is allowed
        parser.CommentHandler = parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(b"<w%b>%b</w>" % (scope, inner), True)
    except ExpatError as error:
        raise ValueError(f"ill-formed XML: {error}") from None
    wrapper = children[0]
    assert isinstance(wrapper, Element)
    return wrapper.children
