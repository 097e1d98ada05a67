"""People leave ejabberd and Prosody for us, and us for them: the real ones read and write the files (XEP-0227)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.accounts import PASSWORD
from tests.support.files import user
from tests.support.movers import DOMAIN, EjabberdStore, ProsodyMigrator
from tests.support.raw import Guest
from tests.support.server import ROOT, ServerProcess

ROMEO, JULIET = f"romeo@{DOMAIN}", f"juliet@{DOMAIN}"
PERSON = f"""<query xmlns='jabber:iq:roster'><item jid='{ROMEO}' subscription='both' name='Romeo'><group>Friends</group></item></query>
<presence xmlns='jabber:client' type='subscribe' from='paris@example.net'/>
<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><nick>J</nick></exodus></query>
<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>
<query xmlns='jabber:iq:privacy'><default name='b'/><list name='b'><item type='jid' value='tybalt@{DOMAIN}' action='deny'
 order='1'/><item action='allow' order='2'/></list></query>
<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:n'><x xmlns='jabber:x:data' type='submit'>
<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>
<field var='pubsub#access_model'><value>open</value></field><field var='pubsub#max_items'><value>20</value></field></x></configure>
</pubsub><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:n'><item id='a'><p xmlns='urn:n'>1</p></item></items>
</pubsub><archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>
<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/><message xmlns='jabber:client' from='{ROMEO}/o' to='{JULIET}'
 type='chat'><body>but soft</body></message></forwarded></result></archive>
<offline-messages><message xmlns='jabber:client' from='{ROMEO}/o' to='{JULIET}' type='chat'><body>what light</body>
<delay xmlns='urn:xmpp:delay' from='{DOMAIN}' stamp='2011-07-10T23:08:25Z'/></message></offline-messages>"""

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def xmppd(server: ServerProcess, *arguments: str | Path) -> str:
    """Run a command on a server's settings, and return all that it said."""
    command = [sys.executable, "-m", "xmppd", *map(str, arguments), "--config", str(server.config_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def server(tmp_path: Path) -> ServerProcess:
    return ServerProcess(tmp_path / "ours", [DOMAIN])


@pytest.fixture
def ejabberd(tmp_path: Path) -> Iterator[EjabberdStore]:
    folder = tmp_path / "ejabberd"
    folder.mkdir()
    with EjabberdStore(folder) as daemon:
        yield daemon


async def enter(server: ServerProcess) -> Guest:
    """Log in as Juliet, with the password that she has always had."""
    guest = Guest(JULIET)
    guest.domain = DOMAIN
    await guest.enter(server.c2s_port, presence=False)
    roster = await guest.ask("get", "<query xmlns='jabber:iq:roster'/>")
    assert ROMEO in {item.get("jid") for item in roster.iter()}
    guest.send("<presence/>")
    return guest


def with_juliet(server: ServerProcess, folder: Path) -> None:
    (folder / "in.xml").write_text(user(PERSON, attrs=f"password='{PASSWORD}'", domain=DOMAIN))
    assert xmppd(server, "account", "import", folder / "in.xml") == "1 accounts, 9 parts of them\n"


async def test_from_ejabberd_to_us(server: ServerProcess, ejabberd: EjabberdStore, tmp_path: Path) -> None:
    for name in ("romeo", "juliet"):
        ejabberd.call("register", user=name, host=DOMAIN, password=PASSWORD)
    ejabberd.call(
        "add_rosteritem",
        localuser="juliet",
        localhost=DOMAIN,
        user="romeo",
        host=DOMAIN,
        nick="R",
        group="G",
        subs="both",
    )
    ejabberd.call("set_vcard", user="juliet", host=DOMAIN, name="FN", content="Juliet")
    ejabberd.call("private_set", user="juliet", host=DOMAIN, element="<exodus xmlns='exodus:prefs'><a/></exodus>")
    ejabberd.call("send_message", type="chat", **{"from": ROMEO}, to=JULIET, subject="", body="what light")
    out = tmp_path / "out"
    out.mkdir()
    ejabberd.call("export_piefxis", dir=str(out))
    main = min(out.glob("*.xml"), key=lambda path: len(path.name))
    assert xmppd(server, "account", "import", main) == "2 accounts, 4 parts of them\n"
    text = xmppd(server, "account", "export", JULIET, "-")
    for part in (f"<item jid='{ROMEO}' subscription='both' name='R'><group>G</group></item>", "Juliet", "exodus"):
        assert part in text
    with server:
        juliet = await enter(server)
        await juliet.wait_message("what light")
        await juliet.leave()


async def test_from_us_to_ejabberd(server: ServerProcess, ejabberd: EjabberdStore, tmp_path: Path) -> None:
    with_juliet(server, tmp_path)
    xmppd(server, "account", "export", "--for-ejabberd", "--domain", DOMAIN, tmp_path / "out.xml")
    assert ejabberd.call("import_piefxis", file=str(tmp_path / "out.xml")) == 0
    juliet = {"user": "juliet", "host": DOMAIN}
    assert ejabberd.call("check_password", **juliet, password=PASSWORD) == 0
    assert ejabberd.call("check_password", **juliet, password="wrong") == 1
    (contact,) = ejabberd.call("get_roster", **juliet)  # type: ignore[misc]
    assert (contact["jid"], contact["subscription"], contact["group"]) == (ROMEO, "both", "Friends")
    assert ejabberd.call("get_vcard", **juliet, name="FN") == {"content": "Juliet"}
    assert "<nick>J</nick>" in str(ejabberd.call("private_get", **juliet, element="exodus", ns="exodus:prefs"))
    assert ejabberd.call("get_offline_count", **juliet) == {"value": 1}


async def test_from_us_to_prosody_and_back(server: ServerProcess, tmp_path: Path) -> None:
    with_juliet(server, tmp_path)
    folder = tmp_path / "prosody"
    folder.mkdir()
    migrator = ProsodyMigrator(folder)
    xmppd(server, "account", "export", "--by-account", "--domain", DOMAIN, tmp_path / "there")
    migrator.run("files", "own", tmp_path / "there")
    own = {
        path.relative_to(migrator.own).as_posix().partition("/")[2]: path.read_text()
        for path in migrator.own.rglob("*.*t")
    }
    assert '["subscription"] = "both"' in own["roster/juliet.dat"]
    assert "but soft" in own["archive/juliet.list"]
    assert '["access_model"] = "open"' in own["pep/juliet.dat"]
    migrator.run("own", "files", tmp_path / "back")
    other = ServerProcess(tmp_path / "other", [DOMAIN])
    assert xmppd(other, "account", "import", tmp_path / "back").endswith(" parts of them\n")
    before, after = (xmppd(one, "account", "export", JULIET, "-") for one in (server, other))
    for part in ("Romeo", "paris@example.net", "exodus", "<FN>Juliet", "<item id='a'><p xmlns='urn:n'>1", "but soft"):
        assert part in before
        assert part in after
    with other:
        juliet = await enter(other)
        await juliet.ask("get", "<vCard xmlns='vcard-temp'/>")
        await juliet.leave()
