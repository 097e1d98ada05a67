"""A slot is good as it was given, and for so long."""

import base64
import dataclasses
import json

import pytest

from xmppd.uploads.slots import Signer, Slot, SlotError

SLOT = Slot("k" * 32 + ".jpg", "été.jpg", 1000, "image/jpeg", "romeo@example.org", 2000)


def test_a_slot_comes_back_as_it_was() -> None:
    signer = Signer(b"secret")
    assert signer.read(signer.sign(SLOT), 1999) == SLOT


def test_it_ends() -> None:
    signer = Signer(b"secret")
    with pytest.raises(SlotError, match="ended"):
        signer.read(signer.sign(SLOT), 2000)


def test_another_secret_gives_no_slots() -> None:
    with pytest.raises(SlotError):
        Signer(b"other").read(Signer(b"secret").sign(SLOT), 0)


def test_a_larger_size_needs_another_signature() -> None:
    signer = Signer(b"secret")
    mac = signer.sign(SLOT).partition(".")[2]
    larger = json.dumps(dataclasses.astuple(dataclasses.replace(SLOT, size=10**9)), separators=(",", ":"))
    body = base64.urlsafe_b64encode(larger.encode()).rstrip(b"=").decode()
    with pytest.raises(SlotError):
        signer.read(f"{body}.{mac}", 0)


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "é.é", "a" * 9000, "====.====", "AAAA.AAAA"])
def test_garbage_is_no_slot(token: str) -> None:
    with pytest.raises(SlotError):
        Signer(b"secret").read(token, 0)
