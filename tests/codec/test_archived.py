"""What histories keep: the form that came in; and it comes back as the same message."""

import pytest
from hypothesis import given, settings

from codec.archived import MARK, archived_xml, read_archived, to_archive
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_writer import BinaryWriter
from codec.element import parse_element
from codec.jid import JID
from codec.stanza import Message
from tests.codec.binary_samples import DICTIONARIES, LIMITS, SHIPPED, canonical, stanza_of, stanzas

ROMEO = JID.parse("romeo@example.org/orchard")
ID = "0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a"
XML = (
    f"<message to='juliet@example.org' id='{ID}' type='chat'><body>Wherefore art thou?</body>"
    f"<origin-id xmlns='urn:xmpp:sid:0' id='{ID}'/></message>"
)
ITEMS = "".join(f"<line xmlns='urn:example:lines' number='{n}'>the same again and again</line>" for n in range(9))
LONG = f"<message to='juliet@example.org' id='{ID}' type='chat'>{ITEMS}</message>"


def came(xml):
    """Return a stanza as a binary client sends it, stamped by the server."""
    session = Session("example.org", ROMEO)
    sender = BinaryWriter(SHIPPED, session)
    reader = BinaryReader(LIMITS, session, DICTIONARIES)
    reader.feed(sender.header(from_=None, id_="", to="example.org"))
    [stanza] = reader.feed(sender.stanza(stanza_of(xml)))
    return stanza.replace(from_=ROMEO)


@pytest.mark.parametrize(
    "xml", [XML, LONG, "<message to='a@b'/>", "<message to='a@b'><x xmlns='urn:x' a='a@b'/></message>"]
)
def test_a_message_comes_back_whatever_form_it_came_in(xml):
    for message in (came(xml), stanza_of(xml).replace(from_=ROMEO)):
        back = read_archived(to_archive(message))
        assert canonical(back) == canonical(stanza_of(xml).replace(from_=ROMEO))
        assert back.tags == message.tags
        assert parse_element(archived_xml(to_archive(message))) == parse_element(message.to_xml())


@settings(max_examples=200)
@given(stanzas())
def test_any_message_comes_back(xml):
    message = stanza_of(xml)
    if not isinstance(message, Message):
        return
    assert canonical(read_archived(to_archive(came(xml)))) == canonical(message.replace(from_=ROMEO))


def test_what_came_in_binary_is_kept_so_and_takes_less():
    data = to_archive(came(XML))
    assert data.startswith(MARK + SHIPPED.id)
    assert len(data) * 2 < len(came(XML).to_xml())
    assert not to_archive(came(LONG)).startswith(b"<")


def test_what_has_become_xml_is_kept_as_xml():
    message = came(XML)
    message.to_xml()
    assert to_archive(message) is message.to_xml()
    assert to_archive(stanza_of(XML)).startswith(b"<message")


def test_references_that_do_not_fit_are_not_kept():
    xml = f"<message from='{ROMEO}' to='juliet@example.org'><x xmlns='urn:x' a='{ROMEO}'/></message>"
    message = came(xml).replace(from_=JID.parse("somebody@example.org/else"))
    assert parse_element(archived_xml(to_archive(message))).elements()[0].get("a") == ROMEO


def test_children_that_were_added_are_kept():
    message = came(XML).adding_raw(b"<store xmlns='urn:xmpp:hints'/>", "urn:xmpp:hints store")
    assert read_archived(to_archive(message)).tags[-1] == "urn:xmpp:hints store"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MARK,
        MARK + b"12345678" + b"\x10\x01\x00",
        MARK + SHIPPED.id,
        MARK + SHIPPED.id + b"\x10\x02\x00",
        MARK + SHIPPED.id + b"\x60\x01\x00",
        b"<message>",
        b"no message",
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(ValueError):
        read_archived(data)


def test_an_iq_is_no_message():
    frame = BinaryWriter(SHIPPED, Session()).stanza(
        stanza_of("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")
    )
    with pytest.raises(ValueError):
        read_archived(MARK + SHIPPED.id + frame)


def test_an_attribute_is_read_without_translation(monkeypatch):
    monkeypatch.setattr("codec.binary_form.Part.write_xml", None)
    packed, other = came(XML), came(XML.replace(f"id='{ID}'/>", "id='spelt out'/>"))
    assert packed.attribute("urn:xmpp:sid:0 origin-id", "id") == ID
    assert other.attribute("urn:xmpp:sid:0 origin-id", "id") == "spelt out"
    assert packed.attribute("urn:xmpp:sid:0 origin-id", "by") is None
    assert packed.attribute("urn:xmpp:sid:0 stanza-id", "id") is None
