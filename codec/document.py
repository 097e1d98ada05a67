"""A large XML document, element by element: what is inside a container is given away as soon as it is read (XEP-0227).

Unlike a stream, a file may have comments, processing instructions and any encoding that its declaration names and Expat knows; a
doctype is refused, and with it every entity but XML's own five. Text beside elements in a container is passed over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers.expat import ExpatError, ParserCreate

from codec.element import MAX_DEPTH, Element

MAX_ELEMENT_BYTES = 33_554_432
"""One element that is given away whole: as much as all that an account may publish; a roster or vCard is far below it."""


class DocumentError(ValueError):
    """It is no such document; one line that says where."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A container begins; `element` has its tag and attributes."""

    element: Element


@dataclass(frozen=True, slots=True)
class Read:
    """An element inside a container is complete."""

    element: Element


@dataclass(frozen=True, slots=True)
class Closed:
    """The container that was opened last is over."""


Event = Opened | Read | Closed


class DocumentReader:
    """Reads one document.

    Args:
        is_container: whether an element is opened rather than read whole, by the tags of what is around it and its own. Once one is
            not, nothing inside it is asked for.
        above: tags of what is around the root, for a document that stands inside another.
    """

    def __init__(self, is_container: Callable[[tuple[str, ...]], bool], above: tuple[str, ...] = ()) -> None:
        self._is_container = is_container
        self._path = above
        self._events: list[Event] = []
        self._open: list[tuple[str, dict[str, str], list[Element | str]]] = []
        self._start_at = 0
        parser = self._parser = ParserCreate(None, " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, *, is_last: bool = False) -> list[Event]:
        """Take the next bytes and return what they complete.

        Raises:
            DocumentError: ill-formed, with a doctype, too deep, or with too large an element.
        """
        self._events = []
        try:
            self._parser.Parse(data, is_last)
        except ExpatError as error:
            raise DocumentError(f"ill-formed XML: {error}") from None
        return self._events

    def _start(self, tag: str, attrs: dict[str, str]) -> None:
        if not self._open:
            path = (*self._path, tag)
            if self._is_container(path):
                self._path = path
                self._events.append(Opened(Element(tag, attrs)))
                return
            self._start_at = self._parser.CurrentByteIndex
        elif len(self._open) >= MAX_DEPTH:
            self._fail("elements are nested too deep")
        self._check_size()
        self._open.append((tag, attrs, []))

    def _end(self, tag: str) -> None:
        if not self._open:
            self._path = self._path[:-1]
            self._events.append(Closed())
            return
        _, attrs, children = self._open.pop()
        element = Element(tag, attrs, tuple(children))
        if self._open:
            self._open[-1][2].append(element)
        else:
            self._events.append(Read(element))

    def _text(self, text: str) -> None:
        if self._open:
            self._check_size()
            children = self._open[-1][2]
            if children and isinstance(children[-1], str):
                children[-1] += text
            else:
                children.append(text)

    def _check_size(self) -> None:
        if self._parser.CurrentByteIndex - self._start_at > MAX_ELEMENT_BYTES:
            self._fail("an element is larger than anything that is kept")

    def _refuse(self, *_: object) -> None:
        self._fail("a doctype")

    def _fail(self, what: str) -> NoReturn:
        raise DocumentError(f"{what}: line {self._parser.CurrentLineNumber}")
