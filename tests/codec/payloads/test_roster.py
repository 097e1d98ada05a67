"""The roster: RFC 6121 §2."""

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.roster import RosterItem, RosterQuery

XML = (
    b"<query xmlns='jabber:iq:roster' ver='7'>"
    b"<item jid='romeo@example.org' name='Romeo' subscription='both'><group>Friends</group><group>Verona</group></item>"
    b"<item jid='nurse@example.org' subscription='none' ask='subscribe' approved='true'/></query>"
)


def item(attributes):
    return RosterItem.from_element(parse_element(f"<item xmlns='jabber:iq:roster' {attributes}/>".encode()))


def test_roster_is_read_and_written():
    query = RosterQuery.from_element(parse_element(XML))
    assert query == RosterQuery(
        ver="7",
        items=(
            RosterItem(jid=JID("romeo@example.org"), name="Romeo", subscription="both", groups=("Friends", "Verona")),
            RosterItem(jid=JID("nurse@example.org"), subscription="none", ask="subscribe", approved=True),
        ),
    )
    assert query.to_xml() == XML


def test_empty_version_differs_from_none():
    assert RosterQuery.from_element(parse_element(b"<query xmlns='jabber:iq:roster' ver=''/>")).ver == ""
    assert RosterQuery.from_element(parse_element(b"<query xmlns='jabber:iq:roster'/>")).ver is None


def test_what_a_client_leaves_out_is_none():
    assert item("jid='a@b'") == RosterItem(jid=JID("a@b"))
    assert item("jid='a@b'").subscription is None


def test_jid_is_normalised():
    assert item("jid='Romeo@Example.org'").jid == "romeo@example.org"


@pytest.mark.parametrize(
    "attributes",
    ["", "jid=''", "jid='a@b' subscription='maybe'", "jid='a@b' ask='unsubscribe'", "jid='a@b' approved='yes'"],
)
def test_malformed_item_is_refused(attributes):
    with pytest.raises(PayloadError):
        item(attributes)


def test_subscription_that_does_not_exist_is_not_written():
    with pytest.raises(ValueError):
        RosterItem(jid=JID("a@b"), subscription="maybe").to_element()
