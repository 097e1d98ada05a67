"""Logging in by a token."""

import contextlib
import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmppd.errors import SaslError
from xmppd.sasl.ht import ENDP, NONE, HashedToken
from xmppd.sasl.mechanism import Challenge, Success

TOKEN = "a token of the server"
BINDING = b"\x5a" * 32


async def find(localpart: str, is_it: Callable[[str], bool]) -> str:
    if localpart != "romeo" or not is_it(TOKEN):
        raise SaslError("not-authorized")
    return TOKEN


def none() -> HashedToken:
    return HashedToken(NONE, b"", find)


def endp() -> HashedToken:
    return HashedToken(ENDP, BINDING, find)


def message(token: str = TOKEN, binding: bytes = b"", name: bytes = b"romeo", role: bytes = b"Initiator") -> bytes:
    return name + b"\0" + hmac.digest(token.encode(), role + binding, "sha256")


async def refusal(mechanism: HashedToken, data: bytes) -> str:
    with pytest.raises(SaslError) as caught:
        await mechanism.step(data)
    return caught.value.condition


@pytest.mark.parametrize("name", [b"romeo", b"ROMEO"])
async def test_right_token_succeeds_and_the_server_proves_that_it_knows_it(name):
    proof = hmac.digest(TOKEN.encode(), b"Responder", "sha256")
    assert await none().step(message(name=name)) == Success(proof, "romeo")


async def test_binding_is_part_of_both_proofs():
    proof = hmac.digest(TOKEN.encode(), b"Responder" + BINDING, "sha256")
    assert await endp().step(message(binding=BINDING)) == Success(proof, "romeo")


@pytest.mark.parametrize(
    "data",
    [
        message("another token"),
        message(role=b"Responder"),  # what a server says does not serve a client
        message(binding=b"x" * 32),
        message(name=b"juliet"),
        b"romeo\0" + b"\0" * 32,
    ],
)
async def test_anything_else_is_not_authorized(data):
    assert await refusal(none(), data) == "not-authorized"


@pytest.mark.parametrize("data", [message(), message(binding=b"\x5b" * 32)])
async def test_token_bound_to_another_channel_is_not_authorized(data):
    assert await refusal(endp(), data) == "not-authorized"


@pytest.mark.parametrize(
    "data", [b"romeo", b"\0" + b"x" * 32, b"romeo\0", b"romeo\0short", message() + b"x", b"\xff\0" + b"x" * 32]
)
async def test_broken_message_is_malformed(data):
    assert await refusal(none(), data) == "malformed-request"


async def test_absent_initial_response_is_asked_for_once():
    mechanism = none()
    assert await mechanism.step(b"") == Challenge(b"")
    assert await refusal(mechanism, b"") == "malformed-request"


@given(st.binary(max_size=100))
async def test_garbage_raises_nothing_but_sasl_errors(data):
    with contextlib.suppress(SaslError):
        await none().step(data)
