import pytest
from lxml import etree

from compliance.check import Failed, NotPossible
from compliance.rooms import MUC, admin_query, codes, entry, item_of, service_of
from compliance.scene import Profile, Scene, World
from compliance.stream import TrafficLog
from tests.compliance.fake_server import ACCOUNTS, FakeServer

PRESENCE = etree.fromstring(
    f"<presence xmlns='jabber:client'><x xmlns='{MUC}#user'><item affiliation='owner' role='moderator'/>"
    "<status code='110'/><status code='201'/></x></presence>"
)


def test_codes_and_item_are_read():
    assert codes(PRESENCE) == {110, 201}
    assert item_of(PRESENCE).get("affiliation") == "owner"
    with pytest.raises(Failed, match="no item"):
        item_of(etree.fromstring("<presence xmlns='jabber:client'/>"))


def test_what_is_sent_is_well_formed_whatever_the_names_hold():
    presence = etree.fromstring(entry("den@rooms.example", "O'Hara & <sons>", "<password>x</password>"))
    assert presence.get("to") == "den@rooms.example/O'Hara & <sons>"
    assert len(etree.fromstring(admin_query("nick='a' role='none'", "nick='b' role='none'"))) == 2


async def ask_for_service(answer):
    async with FakeServer(answer) as server:
        scene = Scene(World(server.target(), ACCOUNTS, Profile()), TrafficLog())
        client = await scene.login("romeo")
        try:
            return await service_of(client)
        finally:
            await scene.end()


def listing(stanza):
    """List a service of rooms, and say that it is one."""
    if len(stanza) and stanza[0].tag.endswith("disco#items}query"):
        item = "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='chat.fake.test'/></query>"
        return f"<iq type='result' id='{stanza.get('id')}' from='fake.test'>{item}</iq>"
    if stanza.get("to") == "chat.fake.test":
        info = f"<query xmlns='http://jabber.org/protocol/disco#info'><feature var='{MUC}'/></query>"
        return f"<iq type='result' id='{stanza.get('id')}' from='chat.fake.test'>{info}</iq>"
    return None


async def test_service_is_found_among_what_the_domain_lists():
    assert await ask_for_service(listing) == "chat.fake.test"


async def test_server_without_rooms_ends_the_check_as_not_possible():
    with pytest.raises(NotPossible, match="no service of rooms"):
        await ask_for_service(lambda stanza: None)
