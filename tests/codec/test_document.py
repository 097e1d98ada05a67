"""Large documents, element by element."""

import pytest

from codec import document
from codec.document import Closed, DocumentError, DocumentReader, Opened, Read
from codec.element import Element

DOCUMENT = (
    b"<?xml version='1.0' encoding='UTF-8'?>\n<!-- ejabberd --><root xmlns='urn:r' v='1'>\n <box n='1'> <a>1&amp;<b xmlns='urn:b'/>2</a>"
    b"<?pi?><c x='\xc3\xa9'/></box><d><![CDATA[<x>]]></d>\n</root>"
)
EVENTS = [
    Opened(Element("urn:r root", {"v": "1"})),
    Opened(Element("urn:r box", {"n": "1"})),
    Read(Element("urn:r a", {}, ("1&", Element("urn:b b"), "2"))),
    Read(Element("urn:r c", {"x": "é"})),
    Closed(),
    Read(Element("urn:r d", {}, ("<x>",))),
    Closed(),
]


def is_container(path: tuple[str, ...]) -> bool:
    return path in (("urn:r root",), ("urn:r root", "urn:r box"))


def read(*parts: bytes, above: tuple[str, ...] = ()) -> list[document.Event]:
    reader = DocumentReader(is_container, above)
    events = [event for part in parts for event in reader.feed(part)]
    return events + reader.feed(b"", is_last=True)


def test_what_is_inside_containers_comes_one_by_one() -> None:
    assert read(DOCUMENT) == EVENTS


def test_it_may_come_in_any_pieces() -> None:
    assert read(*[DOCUMENT[at : at + 1] for at in range(len(DOCUMENT))]) == EVENTS


def test_an_element_comes_with_its_last_byte() -> None:
    reader = DocumentReader(is_container)
    assert reader.feed(b"<root xmlns='urn:r'><d>") == [Opened(Element("urn:r root"))]
    assert reader.feed(b"</d") == []
    assert reader.feed(b">") == [Read(Element("urn:r d"))]


def test_a_document_may_stand_inside_another() -> None:
    assert read(b"<box xmlns='urn:r'><c/></box>", above=("urn:r root",)) == [
        Opened(Element("urn:r box")),
        Read(Element("urn:r c")),
        Closed(),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<!DOCTYPE r [<!ENTITY a 'b'>]><root xmlns='urn:r'/>", "a doctype: line 1"),
        (b"<!DOCTYPE r SYSTEM 'file:///etc/passwd'><r/>", "a doctype: line 1"),
        (b"<root xmlns='urn:r'>&a;</root>", "ill-formed XML: undefined entity"),
        (b"<root xmlns='urn:r'>", "ill-formed XML: no element found"),
        (b"", "ill-formed XML: no element found"),
        (b"\n<root xmlns='urn:r'>" + b"<x>" * 65, "elements are nested too deep: line 2"),
    ],
)
def test_what_is_no_such_document_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        read(data)


def test_an_element_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_ELEMENT_BYTES", 10_000)
    with pytest.raises(DocumentError, match="larger than anything"):
        read(b"<root xmlns='urn:r'><d>", *[b"x" * 1_000] * 20)
    with pytest.raises(DocumentError, match="larger than anything"):
        read(b"<root xmlns='urn:r'><d>", *[b"<x/>" * 1_000] * 20)
    assert len(read(b"<root xmlns='urn:r'>", *[b"<d>" + b"x" * 5_000 + b"</d>"] * 20, b"</root>")) == 22
