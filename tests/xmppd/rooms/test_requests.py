"""Answers come when what they tell of is kept."""

import pytest

from storage.interface import Commit, StorageFull
from tests.support.rooms import MUC, ROOM, ask, condition, den
from tests.support.world import World
from xmppd.rooms.storing import Store

MEMBER = f"<query xmlns='{MUC}#admin'><item jid='a@b.example' affiliation='member'/></query>"


async def test_answer_waits_for_storage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, _ = await den(world, persistentroom=True)
    commit = Commit()
    monkeypatch.setattr(Store, "save_people", lambda *_: commit)
    await romeo.send(f"<iq type='set' id='a' to='{ROOM}'>{MEMBER}</iq>")
    await romeo.expect_nothing()
    commit.finish()
    assert (await romeo.drain())[0].type == "result"


@pytest.mark.parametrize(
    ("error", "expected"), [(StorageFull("x"), "resource-constraint"), (OSError(), "internal-server-error")]
)
async def test_what_cannot_be_kept_is_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    romeo, _, _ = await den(world, persistentroom=True)
    commit = Commit()
    commit.finish(error)
    monkeypatch.setattr(Store, "save_people", lambda *_: commit)
    assert condition(await ask(romeo, "set", MEMBER)) == expected


async def test_full_storage_is_told_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, _ = await den(world, persistentroom=True)

    def full(*_: object) -> Commit:
        raise StorageFull("x")

    monkeypatch.setattr(Store, "save_people", full)
    assert condition(await ask(romeo, "set", MEMBER)) == "resource-constraint"
