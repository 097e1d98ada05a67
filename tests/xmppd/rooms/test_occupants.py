"""Occupants are found by nickname, client and account, and by what looks like their nickname."""

from codec.jid import JID
from codec.stanza import Presence
from xmppd.rooms.occupants import Occupant, Occupants, Session
from xmppd.rooms.rates import Bucket
from xmppd.rooms.roles import Affiliation, Role

ROOM = JID.parse("den@rooms.example")


def occupant(nick: str, bare: str = "romeo@example.org") -> Occupant:
    bucket = Bucket(1, 1, 0)
    return Occupant(
        JID.parse(bare), nick, ROOM.with_resource(nick), "id", Affiliation.NONE, Role.VISITOR, (bucket, bucket, bucket)
    )


def session(of: Occupant, resource: str) -> Session:
    return Session(of.bare.with_resource(resource), of, Presence(None, None, None, ""), None)


def test_clients_come_and_go() -> None:
    occupants, romeo = Occupants(), occupant("Romeo")
    occupants.add(romeo)
    one, other = session(romeo, "1"), session(romeo, "2")
    occupants.add_session(one)
    occupants.add_session(other)
    assert romeo.main is other and occupants.sessions() == [one, other] and len(occupants) == 1
    occupants.remove_session(other)
    assert romeo.main is one
    occupants.remove(romeo)
    assert not occupants.by_session and not occupants.by_account and not occupants.by_nick and len(occupants) == 0


def test_nicknames_that_look_alike_are_found_until_they_are_free() -> None:
    occupants, romeo = Occupants(), occupant("Romeo")
    occupants.add(romeo)
    assert occupants.like("r0meo") == occupants.like("ROMEO") == [romeo] and occupants.like("Juliet") == []
    occupants.rename(romeo, "Montague", ROOM.with_resource("Montague"))
    assert occupants.like("Romeo") == [] and occupants.like("montague") == [romeo]
    assert list(occupants) == [romeo] and occupants.by_nick == {"Montague": romeo}


def test_one_account_may_have_two_nicknames() -> None:
    occupants, one, other = Occupants(), occupant("A"), occupant("B")
    occupants.add(one)
    occupants.add(other)
    occupants.remove(one)
    assert occupants.by_account == {"romeo@example.org": [other]}
    assert occupants.like("a") == []
