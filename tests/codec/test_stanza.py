"""Message, Presence and IQ: what is read of them, and the others made of one."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.element import Element, escape_value, parse_element
from codec.jid import JID
from codec.payload import Payload, PayloadError, attr
from codec.stanza import IQ, Message, Presence
from tests.support.pieces import opened

ROMEO = JID.parse("romeo@example.org/orchard")
JULIET = JID.parse("juliet@example.org")
BODY = Element("jabber:client body", {}, ("hello",))
X = Element("urn:x x", {"a": "1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered(Payload, tag=("urn:x", "numbered")):
    """One required attribute."""

    value: int = attr(parse=int, required=True)


def read(xml: bytes):
    """Return a stanza as it comes from the wire."""
    (stanza,) = opened().feed(xml)
    return stanza


@pytest.fixture(params=["built", "read"])
def message(request):
    """The same message, made here and read."""
    if request.param == "built":
        return Message.build(BODY, X, to=JULIET, from_=ROMEO, type="chat", id="1", lang="en")
    return read(
        b"<message to='juliet@example.org' from='romeo@example.org/orchard' type='chat' id='1' xml:lang='en'>"
        b"<body>hello</body><x xmlns='urn:x' a='1'/></message>"
    )


def test_envelope_and_children_are_there(message):
    assert (message.to, message.from_, message.type, message.id, message.lang) == (JULIET, ROMEO, "chat", "1", "en")
    assert message.tags == ("jabber:client body", "urn:x x")
    assert message.elements() == (BODY, X)
    assert message.element("urn:x x") == X
    assert message.element("urn:x y") is None
    assert (message.has("urn:x x"), message.has("urn:x y"), message.has("x")) == (True, False, False)


def test_stanza_as_deep_as_may_be_can_still_be_read_in_a_carbon_of_it():
    deep = read(b"<message>" + b"<a>" * 63 + b"</a>" * 63 + b"</message>")
    wrapped = b"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>%b</forwarded></sent>"
    carbon = Message.build().adding_raw(wrapped % deep.to_standalone_xml(), "urn:xmpp:carbons:2 sent")
    forwarded = carbon.elements()[0].elements()[0]
    assert forwarded.elements()[0].elements() == deep.elements()


def test_children_are_parsed_once(message):
    assert message.elements() is message.elements()
    assert message.replace(id="2").elements() is message.elements()


def test_bytes_are_made_once(message):
    assert message.to_xml() is message.to_xml()


def test_written_stanza_reads_as_it_was(message):
    again = read(message.to_xml())
    assert (again.to, again.from_, again.type, again.id, again.lang) == (JULIET, ROMEO, "chat", "1", "en")
    assert again.elements() == message.elements()


def test_usual_type_is_not_written():
    assert Message.build().to_xml() == Message.build(type="normal").to_xml() == b"<message/>"
    assert Presence.build().to_xml() == b"<presence/>"
    assert Presence.build(type="unavailable").to_xml() == b"<presence type='unavailable'/>"
    assert IQ.build(type="get", id="1").to_xml() == b"<iq id='1' type='get'/>"


def test_replace_changes_the_envelope_of_another_stanza_alone(message):
    before = message.to_xml()
    other = message.replace(to=None, from_=JULIET, id="2", type="normal", lang=None)
    assert (other.to, other.from_, other.id, other.type, other.lang) == (None, JULIET, "2", "normal", None)
    assert type(other) is Message
    assert other.elements() == message.elements()
    assert other.to_xml() != before == message.to_xml()
    assert (message.to, message.id) == (JULIET, "1")


@pytest.mark.parametrize("name", ["inner", "tags", "payload", "From"])
def test_replace_takes_fields_of_the_envelope_alone(name):
    with pytest.raises(TypeError, match=name):
        Message.build().replace(**{name: b""})


def test_adding_puts_children_behind_those_that_are_there(message):
    other = message.adding(Element("urn:y y"), Numbered(value=5))
    assert other.tags == (*message.tags, "urn:y y", "urn:x numbered")
    assert other.elements() == (BODY, X, Element("urn:y y"), Element("urn:x numbered", {"value": "5"}))
    assert message.tags == ("jabber:client body", "urn:x x")
    assert parse_element(other.to_xml()).elements() == other.elements()


def test_adding_raw_puts_one_child_behind_those_that_are_there(message):
    message.elements()
    other = message.adding_raw(b"<y xmlns='urn:y'><z/></y>", "urn:y y")
    assert other.elements() == (BODY, X, Element("urn:y y", {}, (Element("urn:y z"),)))
    assert len(message.elements()) == 2


def test_without_drops_some_children(message):
    other = message.without(lambda child: child.tag == "urn:x x")
    assert (other.tags, other.elements()) == (("jabber:client body",), (BODY,))
    assert parse_element(other.to_xml()).elements() == (BODY,)
    assert message.elements() == (BODY, X)


def test_without_anything_to_drop_is_the_same_stanza(message):
    assert message.without(lambda child: False) is message


def test_with_payload_keeps_the_envelope_alone(message):
    other = message.with_payload(X)
    assert (other.to, other.id, other.elements()) == (JULIET, "1", (X,))
    assert message.with_payload().inner == b""


def test_payload_is_read_when_asked_for():
    stanza = Message.build(Numbered(value=7))
    assert stanza.get(Numbered) == Numbered(value=7)
    assert Message.build(BODY).get(Numbered) is None


def test_malformed_payload_is_an_error_only_when_asked_for():
    stanza = read(b"<message><numbered xmlns='urn:x' value='many'/></message>")
    assert stanza.has(Numbered.TAG)
    with pytest.raises(PayloadError):
        stanza.get(Numbered)


def test_declarations_of_the_start_tag_hold_for_children_read_and_written():
    stanza = read(b"<message xmlns:q='urn:q' q:at='1' odd='2'><q:x/></message>")
    assert stanza.elements() == (Element("urn:q x"),)
    for other in (stanza, stanza.replace(id="1"), stanza.adding(X), stanza.without(lambda child: True)):
        again = parse_element(other.to_xml())
        assert (again.get("urn:q at"), again.get("odd")) == ("1", "2")
    assert stanza.adding(X).elements() == (Element("urn:q x"), X)


def test_standalone_form_declares_its_namespace():
    stanza = Message.build(BODY, to=JULIET)
    wrapper = parse_element(b"<w xmlns='urn:w'>%b</w>" % stanza.to_standalone_xml())
    assert wrapper.elements() == (parse_element(stanza.to_xml()),)
    with_own = read(b"<message xmlns='jabber:client' xmlns:q='urn:q'><q:x/></message>")
    assert parse_element(with_own.to_standalone_xml(), "urn:w") == parse_element(with_own.to_xml())


@pytest.mark.parametrize("field", ["id", "type", "lang"])
def test_envelope_is_escaped(field):
    nasty = "<'\"&\t\n\r>"
    assert getattr(read(Message.build(**{field: nasty}).to_xml()), field) == nasty


@pytest.mark.parametrize("bad", ["\x00", "a\x1b", "\ud800", "\uffff"])
def test_what_xml_cannot_hold_is_never_written(bad):
    with pytest.raises(ValueError, match="XML cannot hold"):
        Message.build(id=bad).to_xml()


def test_attribute_without_special_characters_is_returned_as_it_is():
    text = "a-b_c.é"
    assert escape_value(text) is text


def test_reply_goes_to_who_asked_from_whom_was_asked():
    iq = IQ.build(X, to=JULIET, from_=ROMEO, type="get", id="7")
    empty, full = iq.reply(), iq.reply(BODY)
    assert (empty.to, empty.from_, empty.id, empty.type, empty.elements()) == (ROMEO, JULIET, "7", "result", ())
    assert full.elements() == (BODY,)


def test_parsed_payload_of_a_request_goes_along_with_its_copies():
    iq = IQ.build(X, type="get", id="7").replace()
    assert not hasattr(iq, "payload")
    iq.payload = Numbered(value=1)
    assert iq.replace(id="8").payload is iq.payload


def test_repr_tells_what_it_is_without_its_text():
    shown = repr(Message.build(BODY, to=JULIET, id="1"))
    assert "juliet@example.org" in shown
    assert "hello" not in shown


def test_nothing_else_can_be_hung_on_a_stanza():
    for stanza in (Message.build(), Presence.build(), IQ.build()):
        with pytest.raises(AttributeError):
            stanza.note = 1


TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=20)


@given(TEXTS | st.none(), TEXTS, TEXTS | st.none(), TEXTS)
def test_any_envelope_and_text_come_back(id_, type_, lang, text):
    stanza = Message.build(Element("jabber:client body", {}, (text,)), id=id_, type=type_, lang=lang, to=JULIET)
    again = read(stanza.to_xml())
    assert (again.id, again.type, again.lang, again.elements()[0].text) == (id_, type_, lang, text)


class Form:
    """A form that cannot be translated."""

    size_bytes = 77

    def tags(self):
        return ("urn:x x",)

    def attribute(self, tag, name):
        return {"a": "1"}.get(name)

    def inner(self):
        raise AssertionError("nobody asked for XML")

    def adding(self, xml):
        return self


def test_size_and_attributes_are_known_without_translation():
    stanza = Message(None, None, None, "normal", tags=("urn:x x",))
    stanza._inner, stanza.forms = None, {b"id": Form()}
    assert not stanza.is_xml
    assert stanza.size_bytes == 77
    assert (stanza.attribute("urn:x x", "a"), stanza.attribute("urn:x x", "b")) == ("1", None)
    assert stanza.attribute("urn:x y", "a") is None


def test_attributes_of_xml_are_those_of_the_first_child_of_the_tag():
    stanza = Message.build(Element("urn:x x", {"a": "1"}), Element("urn:x x", {"a": "2", "b": "3"}))
    assert stanza.is_xml
    assert stanza.size_bytes == len(stanza.inner)
    assert (stanza.attribute("urn:x x", "a"), stanza.attribute("urn:x x", "b")) == ("1", None)
    assert stanza.attribute("urn:x y", "a") is None


def test_the_size_stays_what_it_was_when_a_form_is_translated():
    stanza = Message.build(Element("urn:x x"))
    size = stanza.size_bytes
    stanza.forms = {b"id": Form()}
    assert stanza.size_bytes == size
    assert stanza.adding(Element("urn:x y")).size_bytes > size


def test_addressed_stanzas_share_their_payload_and_read_as_replaced_ones(message):
    make = message.addressed()
    for to in (JULIET, JID.parse("romeo@example.org/<o'x>")):
        made, plain = make(to), message.replace(to=to)
        assert parse_element(made.to_xml()) == parse_element(plain.to_xml())
        assert made.inner is message.inner and (made.to, made.from_, made.id) == (to, message.from_, message.id)
    assert parse_element(message.replace(from_=None).addressed()(ROMEO).to_xml()).get("to") == ROMEO
