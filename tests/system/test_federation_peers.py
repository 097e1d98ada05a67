"""Prosody and ejabberd reach each other in the small internet of our tests: what stands around our server works without it."""

from collections.abc import Iterator

import pytest

from tests.support.federation.claims import (
    chat,
    leave_all,
    ping,
    see_each_other_go,
    subscribe_and_see_each_other,
    talk_in_room,
)
from tests.support.federation.internet import Internet, small_internet
from tests.support.federation.peer import Mode, Peer

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    """DNS and authorities."""
    with small_internet() as made:
        yield made


@pytest.fixture(scope="module")
def pairs(internet: Internet) -> Iterator[dict[Mode, tuple[Peer, Peer]]]:
    """Prosody and ejabberd, twice: with certificates that all trust, and with dialback alone."""
    made = {
        mode: (internet.peer("prosody", mode, bidi=mode is Mode.EXTERNAL), internet.peer("ejabberd", mode))
        for mode in (Mode.EXTERNAL, Mode.DIALBACK)
    }
    every = [peer for pair in made.values() for peer in pair]
    try:
        for peer in every:
            peer.spawn()
        for peer in every:
            peer.wait_ready()
            peer.add_accounts("romeo", "juliet")
        yield made
    finally:
        for peer in every:
            peer.close()


@pytest.mark.parametrize("mode", [Mode.EXTERNAL, Mode.DIALBACK])
@pytest.mark.parametrize("first", ["prosody opens", "ejabberd opens"])
async def test_the_peers_federate_with_each_other(pairs: dict[Mode, tuple[Peer, Peer]], mode: Mode, first: str) -> None:
    one, other = pairs[mode] if first == "prosody opens" else reversed(pairs[mode])
    romeo, juliet = await one.login("romeo"), await other.login("juliet")
    try:
        await ping(romeo, juliet)
        await subscribe_and_see_each_other(romeo, juliet)
        await chat(romeo, juliet)
        await talk_in_room(juliet, romeo, f"hall@{other.rooms}")
        await see_each_other_go(romeo, juliet)
        for peer, there in ((one, other.domain), (other, one.domain)):
            assert peer.proofs(there) == {f"in {mode}", f"out {mode}"}
    finally:
        await leave_all(romeo, juliet)


async def test_a_peer_that_proves_nothing_is_refused_by_the_other(internet: Internet) -> None:
    with internet.peer("prosody", Mode.EXTERNAL) as honest, internet.peer("ejabberd", Mode.UNTRUSTED) as impostor:
        assert isinstance(honest, Peer) and isinstance(impostor, Peer)
        for peer in (honest, impostor):
            peer.add_accounts("romeo")
        romeo, other = await honest.login("romeo"), await impostor.login("romeo")
        try:
            for sender, recipient in ((romeo, other), (other, romeo)):
                sender.send_message(recipient.boundjid.full, "Trust me", mtype="chat")
                await sender.wait_for(lambda s: s.name == "message" and s["type"] == "error", "the message back")
                assert not recipient.count("Trust me")
        finally:
            await leave_all(romeo, other)
