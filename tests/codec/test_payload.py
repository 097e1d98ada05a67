"""Payloads: dataclasses to elements and back."""

import copy
import dataclasses
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from codec.element import Element, parse_element
from codec.jid import JID
from codec.payload import (
    Payload,
    PayloadError,
    any_child,
    any_children,
    attr,
    child,
    child_attrs,
    child_text,
    child_texts,
    children,
    flag,
    text,
)
from codec.values import int_between, one_of, parse_bool, parse_datetime

NS = "urn:x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Payload, tag=(NS, "note")):
    lang: str | None = attr(name="http://www.w3.org/XML/1998/namespace lang")
    body: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Payload, tag=(NS, "sample")):
    jid: JID = attr(parse=JID.parse, required=True)
    from_: str | None = attr()
    first_seen: datetime | None = attr(parse=parse_datetime)
    size: int = attr(name="sz", parse=int_between(0, 9), default=5)
    on: bool = attr(parse=parse_bool, default=False)
    reason: str | None = child_text()
    count: int | None = child_text("n", ns="urn:other", parse=int_between(0, 99))
    groups: tuple[str, ...] = child_texts("group")
    ports: tuple[int, ...] = child_texts("port", parse=int_between(1, 65535))
    features: tuple[str, ...] = child_attrs("feature", "var")
    urgent: bool = flag()
    note: Note | None = child(Note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Payload, tag=(NS, "envelope")):
    notes: tuple[Note, ...] = children(Note)
    rest: tuple[Element, ...] = any_children()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper(Payload, tag=(NS, "wrapper")):
    note: Note | None = child(Note)
    content: Element = any_child(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strict(Payload, tag=(NS, "strict")):
    version: str = attr(required=True, default="1.0")
    kind: str = text(parse=one_of("a", "b"), format=one_of("a", "b"), required=True)

    def __post_init__(self) -> None:
        if self.version == "9" and self.kind == "b":
            raise ValueError("no b in version 9")


class Ping(Payload, tag=("urn:xmpp:ping", "ping")):
    """A payload without fields needs no decorator."""


class Bare(Payload, tag=("", "bare")):
    """In no namespace."""


FULL = Sample(
    jid=JID("a@b/c"),
    from_="x",
    first_seen=datetime(2026, 11, 24, 19, 30, tzinfo=UTC),
    size=7,
    on=True,
    reason="why <&>",
    count=3,
    groups=("g", "", "h"),
    ports=(80, 443),
    features=("f1", "f2"),
    urgent=True,
    note=Note(lang="de", body="hallo"),
)
FULL_XML = (
    "<sample xmlns='urn:x' jid='a@b/c' from='x' first-seen='2026-11-24T19:30:00Z' sz='7' on='true'>"
    "<reason>why &lt;&amp;&gt;</reason><n xmlns='urn:other'>3</n><group>g</group><group/><group>h</group>"
    "<port>80</port><port>443</port><feature var='f1'/><feature var='f2'/><urgent/>"
    "<note xml:lang='de'>hallo</note></sample>"
)


def read(cls, xml):
    return cls.from_element(parse_element(xml.encode()))


def sample(inside):
    return read(Sample, f"<sample xmlns='urn:x' jid='a@b'>{inside}</sample>")


def test_tag_is_kept_by_the_class_that_the_decorator_makes():
    assert (Sample.TAG, Ping.TAG, Bare.TAG) == ("urn:x sample", "urn:xmpp:ping ping", "bare")
    assert FULL.TAG == "urn:x sample"
    assert not hasattr(FULL, "__dict__")


def test_every_kind_of_field_is_written_in_order():
    assert FULL.to_xml().decode() == FULL_XML


def test_every_kind_of_field_is_read():
    assert read(Sample, FULL_XML) == FULL
    assert type(read(Sample, FULL_XML).jid) is JID


def test_absent_parts_are_defaults_and_defaults_are_not_written():
    least = Sample(jid=JID("a@b"))
    assert (least.size, least.on, least.groups, least.urgent, least.reason) == (5, False, (), False, None)
    assert least.to_xml() == b"<sample xmlns='urn:x' jid='a@b'/>"
    assert read(Sample, least.to_xml().decode()) == least


def test_to_xml_leaves_out_the_namespace_in_force():
    assert Ping().to_xml("urn:xmpp:ping") == b"<ping/>"
    assert Ping().to_xml() == b"<ping xmlns='urn:xmpp:ping'/>"
    assert Bare().to_xml() == b"<bare xmlns=''/>"


def test_payloads_without_fields_are_equal():
    assert Ping() == Ping.from_element(Element("urn:xmpp:ping ping"))
    assert Ping() != Bare()


def test_unknown_attributes_and_children_are_skipped():
    assert sample("<what/>text<group xmlns='urn:not'/>") == Sample(jid=JID("a@b"))
    assert read(Ping, "<ping xmlns='urn:xmpp:ping' x='y'><z/></ping>") == Ping()


def test_empty_text_of_a_child_differs_from_no_child():
    assert sample("<reason/>").reason == ""
    assert sample("<reason></reason>").to_xml().endswith(b"><reason/></sample>")


def test_first_of_several_children_counts_where_one_is_meant():
    assert sample("<reason>1</reason><reason>2</reason>").reason == "1"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<other xmlns='urn:x'/>", "expected 'urn:x sample', found 'urn:x other'"),
        ("<sample xmlns='urn:x'/>", "jid of <sample/>: missing"),
        ("<sample xmlns='urn:x' jid='@'/>", "jid of <sample/> cannot be read: the localpart is empty"),
        ("<sample xmlns='urn:x' jid='b' sz='10'/>", "size of <sample/> cannot be read: not from 0 to 9"),
        ("<sample xmlns='urn:x' jid='b'><port/></sample>", "ports of <sample/> cannot be read: not a number"),
        ("<sample xmlns='urn:x' jid='b'><n xmlns='urn:other'>x</n></sample>", "count of <sample/> cannot be read"),
        ("<sample xmlns='urn:x' jid='b'><feature/></sample>", "features of <sample/>: var missing"),
    ],
)
def test_malformed_payload_says_what_is_wrong(xml, message):
    with pytest.raises(PayloadError) as caught:
        read(Sample, xml)
    assert str(caught.value).startswith(message)


def test_malformed_child_makes_its_parent_malformed():
    with pytest.raises(PayloadError, match="content of <wrapper/>: missing"):
        read(Wrapper, "<wrapper xmlns='urn:x'><note/></wrapper>")


def test_fields_together_are_checked_on_reading_and_building():
    with pytest.raises(PayloadError, match="no b in version 9"):
        read(Strict, "<strict xmlns='urn:x' version='9'>b</strict>")
    with pytest.raises(ValueError, match="no b in version 9"):
        Strict(version="9", kind="b")


def test_required_part_with_a_default_is_always_written_and_must_be_read():
    assert Strict(kind="a").to_xml() == b"<strict xmlns='urn:x' version='1.0'>a</strict>"
    for xml in ("<strict xmlns='urn:x'>a</strict>", "<strict xmlns='urn:x' version='1.0'/>"):
        with pytest.raises(PayloadError, match="missing"):
            read(Strict, xml)


def test_what_cannot_be_valid_cannot_be_built_or_written():
    with pytest.raises(TypeError):
        Sample()
    for payload in (Sample(jid=None), Strict(kind="c"), Sample(jid=JID("b"), first_seen=datetime(2026, 1, 1))):
        with pytest.raises(ValueError):
            payload.to_element()


def test_children_that_no_field_names_are_kept_whole():
    xml = "<envelope xmlns='urn:x'><note>1</note><a xmlns='urn:a' b='c'><d/></a><note>2</note><e/></envelope>"
    envelope = read(Envelope, xml)
    assert [note.body for note in envelope.notes] == ["1", "2"]
    assert [element.tag for element in envelope.rest] == ["urn:a a", "urn:x e"]
    assert Envelope.from_element(envelope.to_element()) == envelope


def test_one_child_that_no_field_names_is_kept_whole():
    wrapper = read(Wrapper, "<wrapper xmlns='urn:x'><note/><a xmlns='urn:a'/><b/></wrapper>")
    assert (wrapper.note, wrapper.content) == (Note(), Element("urn:a a"))
    assert wrapper.to_element().children == (Element("urn:x note"), Element("urn:a a"))


def test_a_subclass_adds_fields_and_has_its_own_tag():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Longer(Note, tag=(NS, "longer")):
        title: str | None = attr()

    assert Note(body="x").to_xml() == b"<note xmlns='urn:x'>x</note>"
    assert Longer(body="x", title="t").to_xml() == b"<longer xmlns='urn:x' title='t'>x</longer>"
    assert Longer.from_element(Longer(body="x", title="t").to_element()) == Longer(body="x", title="t")


def test_a_field_that_says_nothing_of_xml_is_a_mistake_of_the_class():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Wrong(Payload, tag=(NS, "wrong")):
        plain: int = 0

    with pytest.raises(TypeError, match=r"Wrong\.plain"):
        Wrong().to_element()


def test_payload_is_immutable_and_can_be_replaced_and_copied():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.reason = "x"
    assert dataclasses.replace(FULL, reason="x").reason == "x"
    assert copy.deepcopy(FULL) == FULL
    assert pickle.loads(pickle.dumps(FULL)) == FULL
