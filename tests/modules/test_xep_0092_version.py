"""XEP-0092: Software Version."""

from importlib import metadata

import pytest

from tests.modules.conftest import MakeWorld
from tests.support.world import World
from xmppd.modules import xep_0092_version

QUERY = "<iq type='get' id='v1' to='{}'><query xmlns='jabber:iq:version'/></iq>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0092_version")


async def test_domain_tells_name_and_version_but_no_operating_system(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"xmppd": "1.2.3"}[name])
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(QUERY.format("example.org"))
    await romeo.expect(
        "<iq type='result' id='v1' from='example.org' to='{romeo}'>"
        "<query xmlns='jabber:iq:version'><name>xmppd</name><version>1.2.3</version></query></iq>"
    )


async def test_account_has_no_version(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(QUERY.format("romeo@example.org"))
    assert (await romeo.next_stanza()).type == "error"


def test_version_is_unknown_without_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert xep_0092_version.installed_version() == "unknown"
