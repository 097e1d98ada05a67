"""Devices and settings of push by commands."""

from collections.abc import AsyncIterator

import pytest

from codec.payloads.data_form import Form
from tests.support.push.world import OURS, PushWorld
from tests.support.world import Client
from xmppd.modules.xep_0357_commands import describe
from xmppd.waking.registrations import Attempt

JULIET = "juliet@example.org"
COMMANDS = "http://jabber.org/protocol/commands"


@pytest.fixture
async def push() -> AsyncIterator[PushWorld]:
    made = await PushWorld.create()
    yield made
    await made.service.close()


@pytest.fixture
async def juliet(push) -> Client:
    return await push.world.client(f"{JULIET}/phone", "<presence/>")


async def run(client: Client, name: str, values: dict[str, list[str]] | None = None, session: str = ""):
    """Take a step of a command; return its answer."""
    form = ""
    if values is not None:
        fields = "".join(
            f"<field var='{var}'>{''.join(f'<value>{one}</value>' for one in found)}</field>"
            for var, found in values.items()
        )
        form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"
    session = f" sessionid='{session}'" if session else ""
    await client.send(
        f"<iq type='set' id='c' to='example.org'><command xmlns='{COMMANDS}' node='{OURS}#{name}'{session}>{form}</command></iq>"
    )
    return (await client.next_stanza()).elements()[0]


async def fill(client: Client, name: str, values: dict[str, list[str]]):
    begun = await run(client, name)
    return await run(client, name, values, begun.get("sessionid"))


def form_of(command) -> Form:
    return Form.from_element(command.find("jabber:x:data x"))


async def test_device_is_registered_listed_and_removed(push, juliet):
    done = await fill(juliet, "register", {"gateway": ["apns"], "token": ["ab" * 32], "device": ["iPhone"]})
    key = form_of(done).value("id")
    (row,) = form_of(await run(juliet, "devices")).items
    assert {field.var: field.value for field in row.fields}["id"] == key
    done = await fill(juliet, "remove", {"devices": [key]})
    assert done.find(f"{COMMANDS} note").text == "Removed: 1."
    assert form_of(await run(juliet, "devices")).items == ()


async def test_garbage_of_a_form_is_an_error(push, juliet):
    answer = await fill(juliet, "register", {"gateway": ["pigeon"], "token": ["x"]})
    assert answer.name == "command" or answer.tag.endswith("error")
    assert push.wakings(JULIET).registrations == {}


async def test_settings_are_changed(push, juliet):
    values = {
        "content": ["sender"],
        "rooms": ["always"],
        "headlines": ["1"],
        "quiet-in-use": ["0"],
        "chats": ["a@b.example never"],
    }
    await fill(juliet, "settings", values)
    settings = push.wakings(JULIET).settings
    assert (settings.content, settings.rooms, settings.headlines, settings.quiet) == ("sender", "always", True, False)
    assert settings.chats == {"a@b.example": "never"}
    shown = form_of(await run(juliet, "settings"))
    assert shown.value("content") == "sender" and shown.values("chats") == ("a@b.example never",)


async def test_rule_that_is_left_out_of_the_form_is_gone(push, juliet):
    await fill(juliet, "settings", {"chats": ["a@b.example never", "c@d.example always"]})
    await fill(juliet, "settings", {"chats": ["c@d.example always"]})
    assert push.wakings(JULIET).settings.chats == {"c@d.example": "always"}


async def test_wrong_rule_is_refused(push, juliet):
    await fill(juliet, "settings", {"chats": ["a@b.example sometimes"]})
    assert push.wakings(JULIET).settings.chats == {}


def test_last_result_in_words():
    assert describe(None) == ""
    assert describe(Attempt(1_700_000_000_000_000, "refused", "TooLarge")).startswith("refused (TooLarge), 2023-")
