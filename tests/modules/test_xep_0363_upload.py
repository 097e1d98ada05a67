"""XEP-0363: who gets a slot, for what, and how a refusal says what to do."""

from pathlib import Path
from typing import Any

import pytest

from codec.jid import JID
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import AccountEvent, account_deleted
from xmppd.uploads.slots import Slot

MODULES = ("xep_0030_disco", "xep_0363_upload")
NS = "urn:xmpp:http:upload:0"
SLOT = f"<iq type='result' id='u1' from='upload.example.org' to='{{romeo}}'><slot xmlns='{NS}'><put url='*'/><get url='*'/></slot></iq>"


def request(name: str = "my.jpg", size: object = 1000, more: str = "content-type='image/jpeg'", id_: str = "u1") -> str:
    return (
        f"<iq type='get' id='{id_}' to='upload.example.org'>"
        f"<request xmlns='{NS}' filename='{name}' size='{size}' {more}/></iq>"
    )


@pytest.fixture
def make(make_world: MakeWorld, tmp_path: Path) -> Any:
    """A server with uploads; keywords are settings of `media`."""

    async def make_it(**media: Any) -> tuple[World, Client]:
        settings = {"media.url": f"file:{tmp_path}", "media.public_url": "https://up.example/{domain}"}
        settings |= {f"media.{name}": value for name, value in media.items()}
        world = await make_world(*MODULES, settings=settings)
        return world, await world.client("romeo@example.org/orchard")

    return make_it


def urls(stanza: Any) -> tuple[str, str]:
    slot = stanza.elements()[0]
    return slot.find(f"{NS} put").get("url"), slot.find(f"{NS} get").get("url")


def refusal(stanza: Any) -> tuple[str, str]:
    assert stanza.type == "error"
    error = stanza.elements()[-1]
    return error.get("type"), error.elements()[0].name


async def ask(client: Client, *arguments: Any, **options: Any) -> Any:
    await client.send(request(*arguments, **options))
    return await client.next_stanza()


def slot_of(world: World, put: str) -> Slot:
    path, _, token = put.partition("?slot=")
    *_, key, name = path.split("/")
    return world.shared.uploads.check(key, name, token)


async def test_the_service_is_listed_and_tells_its_largest_file(make: Any) -> None:
    _, romeo = await make(max_file_bytes=5000)
    await romeo.send(
        "<iq type='get' id='i' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    )
    items = (await romeo.next_stanza()).elements()[0]
    assert [item.get("jid") for item in items.elements()] == ["upload.example.org"]
    await romeo.send(
        "<iq type='get' id='i' to='upload.example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    )
    info = (await romeo.next_stanza()).elements()[0]
    assert NS in [i.get("var") for i in info.elements() if i.name == "feature"]
    assert [(i.get("category"), i.get("type")) for i in info.elements() if i.name == "identity"] == [("store", "file")]
    fields = {f.get("var"): f.elements()[0].text for f in info.elements()[-1].elements()}
    assert fields == {"FORM_TYPE": NS, "max-file-size": "5000"}


async def test_a_slot_has_both_urls_below_the_public_one(make: Any) -> None:
    world, romeo = await make()
    await romeo.send(request("très cool.jpg"))
    put, get = urls(await romeo.expect(SLOT))
    assert get.startswith("https://up.example/example.org/upload/")
    assert get.endswith(".jpg/tr%C3%A8s%20cool.jpg")
    assert put.startswith(f"{get}?slot=")
    assert world.shared.metrics.media["slot"] == 1


async def test_a_slot_is_bound_to_name_size_type_and_account_and_ends(make: Any) -> None:
    world, romeo = await make(slot_s=60)
    slot = slot_of(world, urls(await ask(romeo))[0])
    now_s = world.clock.now_us() // 1_000_000
    assert (slot.name, slot.size, slot.type, slot.owner) == ("my.jpg", 1000, "image/jpeg", "romeo@example.org")
    assert slot.until_s == now_s + 60


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "...", "/", "a/../b.html", "x" * 3000 + ".png"]
)
async def test_names_that_lead_elsewhere_lead_nowhere(make: Any, name: str) -> None:
    _, romeo = await make()
    _, get = urls(await ask(romeo, name))
    key, last = get.removeprefix("https://up.example/example.org/upload/").split("/")
    assert ".." not in last
    assert len(last) <= 200
    assert key.count(".") == 1


async def test_a_file_that_is_too_large_is_refused_with_the_limit(make: Any) -> None:
    world, romeo = await make(max_file_bytes=999)
    stanza = await ask(romeo)
    assert refusal(stanza) == ("modify", "not-acceptable")
    app = stanza.elements()[-1].elements()[-1]
    assert (app.tag, app.elements()[0].tag, app.elements()[0].text) == (
        f"{NS} file-too-large",
        f"{NS} max-file-size",
        "999",
    )
    assert world.shared.metrics.media["too large"] == 1


async def test_above_the_daily_quota_it_says_when_to_try_again(make: Any) -> None:
    world, romeo = await make(daily_bytes=1500)
    await ask(romeo)
    world.clock.advance(3600)
    # the first slot was never used, so it does not count any more; a used one does
    assert (await ask(romeo)).type == "result"
    stanza = await ask(romeo)
    assert refusal(stanza) == ("wait", "resource-constraint")
    assert stanza.elements()[-1].elements()[-1].get("stamp") == "2026-01-03T04:04:05Z"
    assert world.shared.metrics.media["over quota"] == 1


async def test_another_account_has_its_own_quota(make: Any) -> None:
    world, romeo = await make(daily_bytes=1500)
    await ask(romeo)
    juliet = await world.client("juliet@example.org/balcony")
    assert (await ask(juliet)).type == "result"


@pytest.mark.parametrize(
    ("payload", "condition"),
    [
        ("filename='a' size='0'", "bad-request"),
        ("filename='a' size='-1'", "bad-request"),
        ("filename='a' size='1e9'", "bad-request"),
        ("filename='a' size='99999999999999999999'", "bad-request"),
        ("filename='a'", "bad-request"),
        ("size='10'", "bad-request"),
        ("filename='' size='10'", "bad-request"),
        (f"filename='{'x' * 4001}' size='10'", "bad-request"),
    ],
)
async def test_malformed_requests_are_refused(make: Any, payload: str, condition: str) -> None:
    _, romeo = await make()
    await romeo.send(f"<iq type='get' id='u' to='upload.example.org'><request xmlns='{NS}' {payload}/></iq>")
    assert refusal(await romeo.next_stanza())[1] == condition


async def test_a_type_that_is_none_counts_as_not_said(make: Any) -> None:
    world, romeo = await make()
    slot = slot_of(world, urls(await ask(romeo, "a.html", 5, "content-type='text/html&#10;x: y'"))[0])
    assert slot.type == ""
    assert slot.key.endswith(".bin")


async def test_strangers_get_no_slots(make_world: MakeWorld, tmp_path: Path) -> None:
    world = await make_world(
        *MODULES, domains=("example.org", "example.net"), settings={"media.url": f"file:{tmp_path}"}
    )
    tybalt = await world.client("tybalt@example.net/street")
    assert refusal(await ask(tybalt)) == ("cancel", "not-allowed")


@pytest.mark.parametrize(
    "xml",
    [
        f"<iq type='set' id='u' to='upload.example.org'><request xmlns='{NS}' filename='a' size='1'/></iq>",
        f"<iq type='get' id='u' to='romeo@upload.example.org'><request xmlns='{NS}' filename='a' size='1'/></iq>",
        "<iq type='get' id='u' to='upload.example.org'><query xmlns='urn:example:nothing'/></iq>",
        "<message to='upload.example.org'><body>hello</body></message>",
    ],
)
async def test_other_things_are_service_unavailable(make: Any, xml: str) -> None:
    _, romeo = await make()
    await romeo.send(xml)
    assert refusal(await romeo.next_stanza())[1] == "service-unavailable"


async def test_pings_are_answered(make: Any) -> None:
    _, romeo = await make()
    await romeo.send("<iq type='get' id='p' to='upload.example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
    await romeo.expect("<iq type='result' id='p' from='upload.example.org' to='{romeo}'/>")


async def test_where_uploads_are_off_nothing_is_listed_and_nobody_answers(make: Any) -> None:
    world, romeo = await make(enabled=False)
    assert world.shared.components.find("upload.example.org") is None
    await romeo.send(
        "<iq type='get' id='i' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    )
    assert not (await romeo.next_stanza()).elements()[0].elements()


async def test_a_request_is_not_acknowledged_before_its_slot_is_kept(make: Any) -> None:
    world, romeo = await make()
    await romeo.send(request())
    slot = slot_of(world, urls(await romeo.next_stanza())[0])
    kept = await world.shared.backend.map("uploads.files").items("romeo@example.org")
    assert list(kept) == [slot.key]


async def test_the_files_of_an_account_go_with_it(make: Any, tmp_path: Path) -> None:
    world, romeo = await make()
    slot = slot_of(world, urls(await ask(romeo, "a.jpg", 3))[0])

    async def pieces() -> Any:
        yield b"abc"

    await world.shared.uploads.receive(slot, pieces())
    path = world.shared.uploads.store.path(slot.key)
    assert path.read_bytes() == b"abc"
    await world.host().signal_waiting(account_deleted, AccountEvent(JID.parse("romeo@example.org")))
    assert not path.exists()
    assert not await world.shared.backend.map("uploads.files").items("romeo@example.org")


async def test_slots_stay_good_over_a_restart(make_world: MakeWorld, tmp_path: Path) -> None:
    backend, settings = MemoryBackend(), {"media.url": f"file:{tmp_path}"}
    world = await make_world(*MODULES, backend=backend, settings=settings)
    put, _ = urls(await ask(await world.client("romeo@example.org/orchard")))
    again = await make_world(*MODULES, backend=backend, settings=settings)
    assert slot_of(again, put).size == 1000
