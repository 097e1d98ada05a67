"""Accounts into files: whole, in order, and what went out comes in again as it was."""

from pathlib import Path

from codec.document import DocumentReader, Read
from storage.interface import AccountRecord
from tests.support.files import MODULES, export_text, import_text, inside, user
from xmppd.pie import is_container
from xmppd.pie_export import export_host
from xmppd.sasl.keys import make_keys

JULIET = "juliet@example.org"
EVERYTHING = """<query xmlns='jabber:iq:roster'>
<item jid='romeo@example.net' subscription='both' name='Romeo &amp; co'><group>Friends</group></item>
<item jid='nurse@example.org' ask='subscribe' subscription='none' approved='true'/></query>
<presence xmlns='jabber:client' type='subscribe' from='paris@example.net' id='7'><status>please</status></presence>
<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><nick>J</nick></exodus></query>
<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>
<query xmlns='jabber:iq:privacy'><default name='b'/><list name='b'><item type='jid' value='tybalt@example.com' action='deny'
 order='1'/><item action='allow' order='2'/></list></query>
<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:n'><x xmlns='jabber:x:data' type='form'>
<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>
<field var='pubsub#access_model' type='list-single'><value>open</value></field>
<field var='pubsub#max_items'><value>20</value></field></x></configure>
<affiliations node='urn:n'><affiliation jid='romeo@example.net' affiliation='member'/></affiliations></pubsub>
<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:n'><item id='a'><p xmlns='urn:n'>1</p></item>
<item id='b'><p xmlns='urn:n'>2</p></item></items></pubsub>
<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>
<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/><message xmlns='jabber:client' from='romeo@example.net/o'
 to='juliet@example.org' type='chat'><body>1</body></message></forwarded></result></archive>
<offline-messages><message xmlns='jabber:client' from='romeo@example.net/o' to='juliet@example.org' type='chat'><body>2</body>
<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2011-07-10T23:08:25Z'>Offline</delay></message></offline-messages>"""


def stable(text: str) -> list[str]:
    """Return an export's elements without what is new each time: the roster's version, archive ids."""
    import re

    return [re.sub(r" (ver|id)='[0-9a-zA-Z_-]{10,}'", "", line) for line in inside(text)]


async def test_what_goes_out_comes_in_again(make_world, tmp_path: Path) -> None:
    one, two = await make_world(*MODULES), await make_world(*MODULES)
    summary = await import_text(one, tmp_path, user(EVERYTHING))
    assert summary.problems == []
    text = await export_text(one)
    for part in (
        "Romeo &amp; co",
        "please",
        "exodus",
        "tybalt",
        "urn:n",
        "<body>1",
        "<body>2",
        "stamp='2010-07-10T23:08:25",
    ):
        assert part in text
    summary = await import_text(two, tmp_path, text)
    assert summary.problems == []
    assert stable(await export_text(two)) == stable(text)
    assert (await two.shared.backend.accounts.get(JULIET)).keys == (await one.shared.backend.accounts.get(JULIET)).keys


async def test_an_export_is_one_document_and_all_of_it_can_be_read(make_world, tmp_path: Path) -> None:
    world = await make_world(*MODULES)
    await import_text(world, tmp_path, user(EVERYTHING))
    reader = DocumentReader(is_container)
    events = reader.feed((await export_text(world)).encode(), is_last=True)
    names = [event.element.name for event in events if isinstance(event, Read)]
    assert names[:2] == ["scram-credentials"] * 2
    assert names.count("item") == 2
    assert {"query", "presence", "vCard", "configure", "affiliations", "result", "message"} <= set(names)


async def test_all_of_a_host_goes_page_by_page(make_world, monkeypatch) -> None:
    monkeypatch.setattr("xmppd.pie_export.PAGE", 2)
    world = await make_world("rfc_6121_roster")
    keys = make_keys("x", 4096)
    for number in range(5):
        await world.shared.backend.accounts.create(AccountRecord(f"u{number}@example.org", keys))
    parts: list[bytes] = []
    assert await export_host(world.host(), parts.append) == 5
    assert b"".join(parts).count(b"<user name=") == 5
    assert world.host().accounts == {}


async def test_a_closed_account_stays_closed(make_world, tmp_path: Path) -> None:
    one, two = await make_world(*MODULES), await make_world(*MODULES)
    await one.shared.backend.accounts.create(AccountRecord(JULIET, make_keys("x", 4096), disabled=True))
    summary = await import_text(two, tmp_path, await export_text(one))
    found = await two.shared.backend.accounts.get(JULIET)
    assert found is not None
    assert (found.disabled, set(found.keys), summary.problems) == (True, {"SHA-1", "SHA-256"}, [])


async def test_a_person_gets_everything_that_is_kept(make_world, tmp_path: Path) -> None:
    world = await make_world(*MODULES)
    await import_text(world, tmp_path, user())
    await world.shared.backend.keyval("last").set(JULIET, b"12")
    await world.shared.backend.map("tokens").update(JULIET, {"phone": b"\x00\xff"})
    text = await export_text(world, with_all=True)
    assert "<value xmlns='urn:xmppd:kept:0' store='last'>12</value>" in text
    assert "<value xmlns='urn:xmppd:kept:0' store='tokens' key='phone' encoding='base64'>AP8=</value>" in text
    assert "<account xmlns='urn:xmppd:kept:0' created-at-us='" in text
    assert "urn:xmppd:kept:0" not in await export_text(world)
    summary = await import_text(await make_world(*MODULES), tmp_path, text)
    assert summary.problems == []
