"""What rooms say themselves, and taking it out of what others say."""

from codec.element import Element, parse_element
from codec.jid import JID
from codec.stanza import Message, Presence
from xmppd.rooms.markup import (
    DELAY,
    MUC_X,
    OCCUPANT_ID,
    USER_X,
    cleaned,
    item,
    occupant_id,
    occupant_id_xml,
    user_x,
    with_user_x,
    without_last_user_x,
)
from xmppd.rooms.roles import Affiliation, Role

ROOM = JID.parse("den@rooms.example")


def test_item_holds_what_is_given_and_escapes_it() -> None:
    written = item(Affiliation.MEMBER, Role.VISITOR, JID.parse("a@b.example/'"), "<&>", "'", "<why>")
    element = parse_element(written.encode())
    assert element.attrs == {"affiliation": "member", "role": "visitor", "jid": "a@b.example/'", "nick": "<&>"}
    actor, reason = element.elements()
    assert (actor.get("nick"), reason.text) == ("'", "<why>")
    assert item(Affiliation.NONE, None) == "<item affiliation='none'/>"


def test_x_holds_an_item_and_codes() -> None:
    element = parse_element(user_x(item(Affiliation.NONE, Role.NONE), (110, 307)))
    assert element.tag == USER_X and [child.name for child in element.elements()] == ["item", "status", "status"]


def test_a_stanza_without_anything_of_ours_is_not_even_copied() -> None:
    message = Message.build(Element("jabber:client body", {}, ("x",)))
    assert cleaned(message, ROOM) is message


def test_what_only_rooms_say_is_taken_out_and_the_rest_stays() -> None:
    rest = Element("jabber:client show", {}, ("away",))
    stanza = Presence.build(Element(MUC_X), Element(USER_X), rest, Element(OCCUPANT_ID, {"id": "1"}))
    assert cleaned(stanza, ROOM).tags == (rest.tag,)
    delays = [Element(DELAY, {"from": from_, "stamp": "x"}) for from_ in ("DEN@rooms.example", "den@rooms.example/x", "other@rooms.example")]  # fmt: skip
    kept = cleaned(Message.build(*delays, Element(DELAY, {"stamp": "x"})), ROOM).elements()
    assert [delay.get("from") for delay in kept] == ["other@rooms.example"]


def test_occupant_id_depends_on_secret_room_and_person() -> None:
    one, other = JID.parse("a@b.example"), JID.parse("c@b.example")
    ids = {occupant_id(secret, room, jid) for secret in (b"1", b"2") for room in (ROOM, one) for jid in (one, other)}
    assert len(ids) == 8 and occupant_id(b"1", ROOM, one) in ids
    assert parse_element(occupant_id_xml("x")).tag == OCCUPANT_ID


def test_who_wrote_it_is_cut_off_the_end_alone() -> None:
    body = "<![CDATA[<x xmlns='http://jabber.org/protocol/muc#user'>]]>"
    message = Message(None, None, None, "groupchat", None, f"<body>{body}</body>".encode(), ("jabber:client body",))
    kept = with_user_x(message, item(Affiliation.NONE, Role.NONE, JID.parse("a@b.example"))).to_xml()
    assert without_last_user_x(kept) == message.to_xml()
    assert without_last_user_x(message.to_xml()) == message.to_xml()
