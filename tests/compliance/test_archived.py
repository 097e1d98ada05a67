import re

from compliance.archived import archived_message
from compliance.scene import Profile, Scene, World
from compliance.stream import TrafficLog
from tests.compliance.fake_server import ACCOUNTS, FakeServer

MAM = "urn:xmpp:mam:2"


class Archive:
    """Answers archive queries with the messages that a client sent, or with those that `keeps` lets in."""

    def __init__(self, keeps) -> None:
        self.keeps, self.kept = keeps, []

    def answer(self, stanza):
        if stanza.tag.endswith("}message"):
            if self.keeps(stanza):
                self.kept.append(stanza.get("id"))
            return f"<message id='{stanza.get('id')}' from='romeo@fake.test/r1'/>"
        if len(stanza) and stanza[0].tag == f"{{{MAM}}}query":
            query = stanza[0].get("queryid")
            results = "".join(
                f"<message><result xmlns='{MAM}' queryid='{query}' id='{id_}'><forwarded xmlns='urn:xmpp:forward:0'>"
                f"<message xmlns='jabber:client' id='{id_}'/></forwarded></result></message>"
                for id_ in self.kept
            )
            return f"{results}<iq type='result' id='{stanza.get('id')}'><fin xmlns='{MAM}'/></iq>"
        return None


async def look(keeps):
    archive = Archive(keeps)
    async with FakeServer(archive.answer) as server:
        scene = Scene(World(server.target(), ACCOUNTS, Profile(account={MAM})), TrafficLog())
        scene.online = one_for_all(scene)
        found = await archived_message(scene, "<x xmlns='urn:x'/>")
        await scene.end()
    return found, archive


def one_for_all(scene):
    """The fake server delivers nothing between clients: let romeo's client be juliet's too."""
    clients = []

    async def online(name, **options):
        if not clients:
            clients.append(await scene.login("romeo"))
        return clients[0]

    return online


async def test_a_message_that_is_in_the_archive_is_returned():
    found, archive = await look(lambda stanza: True)
    assert found.get("id") == archive.kept[0]


async def test_a_message_that_is_left_out_is_none_once_the_later_one_is_there():
    found, archive = await look(lambda stanza: re.search("body", stanza[0].tag))
    assert found is None
    assert len(archive.kept) == 1
