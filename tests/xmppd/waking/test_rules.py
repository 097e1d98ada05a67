"""The table of what wakes whom."""

import pytest

from codec.element import parse_element
from codec.stanza import Message
from xmppd.waking.rules import RULES, Verdict, is_read_sign, judge, mentions

OMEMO = "<encrypted xmlns='{ns}'><header/>{payload}</encrypted>"


def message(inner: str, type_: str = "chat") -> Message:
    made = Message(None, None, None, type_)
    whole = parse_element(f"<message xmlns='jabber:client'>{inner}</message>".encode())
    return made.adding(*whole.elements())


@pytest.mark.parametrize(
    ("inner", "type_", "verdict"),
    [
        ("<body>hi</body>", "chat", Verdict.MESSAGE),
        ("<body>hi</body>", "normal", Verdict.MESSAGE),
        ("<body> </body>", "chat", Verdict.NOTHING),
        ("<body>hi</body><request xmlns='urn:xmpp:receipts'/>", "chat", Verdict.MESSAGE),
        ("<received xmlns='urn:xmpp:receipts'/>", "chat", Verdict.NOTHING),
        ("<displayed xmlns='urn:xmpp:chat-markers:0'/>", "chat", Verdict.NOTHING),
        ("<paused xmlns='http://jabber.org/protocol/chatstates'/>", "chat", Verdict.NOTHING),
        ("<reactions xmlns='urn:xmpp:reactions:0'/>", "chat", Verdict.NOTHING),
        ("<body>hi</body>", "error", Verdict.NOTHING),
        ("<body>hi</body><no-store xmlns='urn:xmpp:hints'/>", "chat", Verdict.NOTHING),
        ("<body>hi</body><no-push xmlns='urn:xmppd:push:0'/>", "chat", Verdict.NOTHING),
        ("<sent xmlns='urn:xmpp:carbons:2'/>", "chat", Verdict.NOTHING),
        ("<received xmlns='urn:xmpp:carbons:2'/>", "chat", Verdict.NOTHING),
        ("<result xmlns='urn:xmpp:mam:2'/>", "normal", Verdict.NOTHING),
        ("<event xmlns='http://jabber.org/protocol/pubsub#event'/><body>x</body>", "headline", Verdict.NOTHING),
        ("<propose xmlns='urn:xmpp:jingle-message:0'/>", "chat", Verdict.CALL),
        ("<retract xmlns='urn:xmpp:jingle-message:0'/>", "chat", Verdict.NOTHING),
        ("<invite xmlns='urn:xmpp:call-invites:0'/>", "chat", Verdict.CALL),
        ("<body>hi</body>", "groupchat", Verdict.ROOM),
        ("<subject>hi</subject>", "groupchat", Verdict.NOTHING),
        ("<body>hi</body>", "headline", Verdict.HEADLINE),
        ("<x xmlns='jabber:x:conference' jid='r@c'/>", "normal", Verdict.MESSAGE),
        ("<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>", "normal", Verdict.MESSAGE),
        ("<x xmlns='http://jabber.org/protocol/muc#user'/>", "normal", Verdict.NOTHING),
        (OMEMO.format(ns="eu.siacs.conversations.axolotl", payload="<payload/>"), "chat", Verdict.MESSAGE),
        (OMEMO.format(ns="urn:xmpp:omemo:2", payload="<payload/>"), "chat", Verdict.MESSAGE),
        (OMEMO.format(ns="urn:xmpp:omemo:2", payload="") + "<body>no key</body>", "chat", Verdict.NOTHING),
        ("<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp>", "chat", Verdict.MESSAGE),
        ("<x xmlns='jabber:x:oob'><url>u</url></x>", "chat", Verdict.MESSAGE),
        ("<file-sharing xmlns='urn:xmpp:sfs:0'/>", "chat", Verdict.MESSAGE),
        ("", "chat", Verdict.NOTHING),
    ],
)
def test_a_message_is_judged_by_the_table(inner, type_, verdict):
    assert judge(message(inner, type_)) is verdict


def test_the_last_row_fits_everything():
    assert RULES[-1].fits(message("")) and RULES[-1].verdict is Verdict.NOTHING


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<body>Juliet: hello</body>", True),
        ("<body>where is @juliet?</body>", True),
        ("<body>juliets</body>", False),
        ("<body>nobody</body>", False),
        ("<body>x</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:j@x.example'/>", True),
        ("<body>x</body><reference xmlns='urn:xmpp:reference:0' type='data' uri='xmpp:j@x.example'/>", False),
        ("<body>x</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:k@x.example'/>", False),
        (OMEMO.format(ns="urn:xmpp:omemo:2", payload="<payload/>"), True),
    ],
)
def test_mentions_are_names_as_words_and_references(inner, expected):
    assert mentions(message(inner, "groupchat"), "j@x.example", ("juliet", "")) is expected


def test_a_name_is_no_pattern():
    assert not mentions(message("<body>anything</body>"), "j@x.example", (".*",))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<body>answer</body>", True),
        ("<displayed xmlns='urn:xmpp:chat-markers:0'/>", True),
        ("<received xmlns='urn:xmpp:receipts'/>", False),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", False),
    ],
)
def test_answers_and_markers_show_that_somebody_has_read(inner, expected):
    assert is_read_sign(message(inner)) is expected
