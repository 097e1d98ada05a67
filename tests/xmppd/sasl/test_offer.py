"""Which mechanisms a stream offers."""

import base64
import hashlib

import pytest

from storage.interface import AccountRecord
from xmppd.errors import SaslError
from xmppd.sasl.mechanism import Challenge
from xmppd.sasl.offer import Offer, Realm
from xmppd.sasl.unknown import UnknownAccounts


class NoAccounts:
    async def get(self, localpart: str) -> AccountRecord | None:
        return None


REALM = Realm(NoAccounts(), UnknownAccounts(b"a secret of the server", "example.org", 64))
BOUND = Offer(REALM, is_encrypted=True, end_point_hash=b"\x5a" * 32)
ENCRYPTED = Offer(REALM, is_encrypted=True)
OPEN = Offer(REALM, is_encrypted=False)


def test_stream_with_channel_binding_offers_all_strongest_first():
    assert BOUND.names == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")
    assert BOUND.channel_bindings == ("tls-server-end-point",)


def test_encrypted_stream_without_channel_binding_offers_no_plus():
    assert ENCRYPTED.names == ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")
    assert ENCRYPTED.channel_bindings == ()


def test_open_stream_offers_neither_plain_nor_plus():
    assert OPEN.names == ("SCRAM-SHA-256", "SCRAM-SHA-1")
    assert Offer(REALM, is_encrypted=False, end_point_hash=b"\x5a" * 32).names == OPEN.names


@pytest.mark.parametrize("offer", [BOUND, ENCRYPTED, OPEN])
def test_each_offered_mechanism_can_be_built(offer):
    assert [offer.build(name).name for name in offer.names] == list(offer.names)


def test_each_attempt_is_a_new_object():
    assert ENCRYPTED.build("PLAIN") is not ENCRYPTED.build("PLAIN")


@pytest.mark.parametrize(
    ("offer", "name", "condition"),
    [
        (BOUND, "DIGEST-MD5", "invalid-mechanism"),
        (BOUND, "scram-sha-1", "invalid-mechanism"),
        (BOUND, "", "invalid-mechanism"),
        (ENCRYPTED, "SCRAM-SHA-1-PLUS", "invalid-mechanism"),
        (OPEN, "SCRAM-SHA-1-PLUS", "encryption-required"),
        (OPEN, "PLAIN", "encryption-required"),
        (OPEN, "EXTERNAL", "invalid-mechanism"),
    ],
)
def test_mechanism_that_is_not_offered_is_refused(offer, name, condition):
    with pytest.raises(SaslError) as caught:
        offer.build(name)
    assert caught.value.condition == condition


async def test_downgrade_is_noticed_only_where_plus_was_offered():
    with pytest.raises(SaslError):
        await BOUND.build("SCRAM-SHA-1").step(b"y,,n=romeo,r=abc")
    assert isinstance(await ENCRYPTED.build("SCRAM-SHA-1").step(b"y,,n=romeo,r=abc"), Challenge)
    assert isinstance(await BOUND.build("SCRAM-SHA-1").step(b"n,,n=romeo,r=abc"), Challenge)


async def test_plus_binds_to_the_offered_hash():
    assert isinstance(await BOUND.build("SCRAM-SHA-1-PLUS").step(b"p=tls-server-end-point,,n=romeo,r=abc"), Challenge)


@pytest.mark.parametrize("offer", [BOUND, ENCRYPTED, OPEN])
async def test_scram_signs_what_the_stream_offers(offer):
    challenge = await offer.build("SCRAM-SHA-256").step(b"n,,n=romeo,r=abc")
    text = "\x1e".join(sorted(offer.names))
    if offer.channel_bindings:
        text += "\x1f" + "\x1e".join(offer.channel_bindings)
    wanted = base64.b64encode(hashlib.sha256(text.encode()).digest())
    assert challenge.data.endswith(b",h=" + wanted)
