"""SCRAM against the RFCs' own examples and an independent client."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.interface import AccountRecord
from xmppd.errors import SaslError
from xmppd.sasl.keys import derive_keys, make_keys
from xmppd.sasl.mechanism import Challenge, Success
from xmppd.sasl.scram import Scram, offer_text
from xmppd.sasl.unknown import UnknownAccounts

HASH = b"\x5a" * 32
UNKNOWN = UnknownAccounts(b"a secret of the server", "example.org", 64)
ROMEO = AccountRecord("romeo@example.org", make_keys("soft! what light", 64))


class Accounts:
    """Credentials out of a dictionary."""

    def __init__(self, records: Mapping[str, AccountRecord]) -> None:
        self.records = records

    async def get(self, localpart: str) -> AccountRecord | None:
        return self.records.get(localpart)


class Client:
    """The client's side of RFC 5802, written from its text alone."""

    def __init__(self, user: str, password: str, hash_name: str, gs2: str = "n,,", binding: bytes = b"") -> None:
        self.password = password.encode()
        self.hash = {"SHA-1": hashlib.sha1, "SHA-256": hashlib.sha256}[hash_name]
        self.gs2, self.binding = gs2, binding
        self.nonce = "fyko+d2lbbFgONRv9qkxdawL"
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.signature = ""

    def first(self) -> bytes:
        return (self.gs2 + self.bare).encode()

    def mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self.hash).digest()

    def salted_password(self, salt: bytes, count: int) -> bytes:
        u = self.mac(self.password, salt + b"\0\0\0\1")
        result = u
        for _ in range(count - 1):
            u = self.mac(self.password, u)
            result = bytes(a ^ b for a, b in zip(result, u, strict=True))
        return result

    def final(self, challenge: bytes, extension: str = "") -> bytes:
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert list(fields) in (["r", "s", "i"], ["r", "s", "i", "h"])
        assert fields["r"].startswith(self.nonce)
        assert len(fields["r"]) >= len(self.nonce) + 16
        salted = self.salted_password(base64.b64decode(fields["s"]), int(fields["i"]))
        channel = base64.b64encode(self.gs2.encode() + self.binding).decode()
        without_proof = f"c={channel},r={fields['r']}{extension}"
        message = ",".join((self.bare, challenge.decode(), without_proof)).encode()
        client_key = self.mac(salted, b"Client Key")
        signature = self.mac(self.hash(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self.signature = base64.b64encode(self.mac(self.mac(salted, b"Server Key"), message)).decode()
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()


def server(hash_name: str = "SHA-256", record: AccountRecord = ROMEO, **options: object) -> Scram:
    return Scram(hash_name, Accounts({"romeo": record}), UNKNOWN, **options)  # type: ignore[arg-type]


async def log_in(mechanism: Scram, client: Client, extension: str = "") -> Success:
    challenge = await mechanism.step(client.first())
    assert isinstance(challenge, Challenge)
    result = await mechanism.step(client.final(challenge.data, extension))
    assert isinstance(result, Success)
    assert result.data == b"v=" + client.signature.encode()
    return result


async def refusal(mechanism: Scram, *messages: bytes) -> str:
    """Return the condition with which the last message is refused."""
    for message in messages[:-1]:
        await mechanism.step(message)
    with pytest.raises(SaslError) as caught:
        await mechanism.step(messages[-1])
    return caught.value.condition


async def exchange_of_rfc(
    hash_name: str, salt: str, server_nonce: bytes, first: bytes, challenge: bytes, final: bytes
) -> bytes:
    keys = derive_keys(b"pencil", hash_name, base64.b64decode(salt), 4096)
    accounts = Accounts({"user": AccountRecord("user@example.org", {hash_name: keys})})
    mechanism = Scram(hash_name, accounts, UNKNOWN, nonce=lambda: server_nonce)
    assert await mechanism.step(first) == Challenge(challenge)
    result = await mechanism.step(final)
    assert isinstance(result, Success)
    assert result.localpart == "user"
    return result.data


async def test_example_of_rfc_5802_is_reproduced():
    verifier = await exchange_of_rfc(
        "SHA-1",
        "QSXCR+Q6sek8bf92",
        b"3rfcNHYJY1ZVvWVs7j",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    )
    assert verifier == b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="


async def test_example_of_rfc_7677_is_reproduced():
    verifier = await exchange_of_rfc(
        "SHA-256",
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    )
    assert verifier == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("hash_name", ["SHA-1", "SHA-256"])
async def test_right_password_succeeds(hash_name):
    result = await log_in(server(hash_name), Client("romeo", "soft! what light", hash_name))
    assert result.localpart == "romeo"


async def test_user_name_is_prepared():
    assert (await log_in(server(), Client("RoMeO", "soft! what light", "SHA-256"))).localpart == "romeo"


async def test_comma_and_equals_sign_in_user_name_are_unescaped():
    accounts = Accounts({"a=b,c": ROMEO})
    mechanism = Scram("SHA-256", accounts, UNKNOWN)
    assert (await log_in(mechanism, Client("a=b,c", "soft! what light", "SHA-256"))).localpart == "a=b,c"


async def test_extension_in_final_message_is_ignored():
    await log_in(server(), Client("romeo", "soft! what light", "SHA-256"), extension=",x=whatever")


@pytest.mark.parametrize("hash_name", ["SHA-1", "SHA-256"])
async def test_plus_binds_to_the_end_point(hash_name):
    client = Client("romeo", "soft! what light", hash_name, "p=tls-server-end-point,,", HASH)
    mechanism = server(hash_name, end_point_hash=HASH, is_plus_offered=True)
    assert mechanism.name == f"SCRAM-{hash_name}-PLUS"
    await log_in(mechanism, client)


async def test_binding_to_another_certificate_is_not_authorized():
    client = Client("romeo", "soft! what light", "SHA-256", "p=tls-server-end-point,,", b"\x5b" * 32)
    mechanism = server(end_point_hash=HASH, is_plus_offered=True)
    challenge = await mechanism.step(client.first())
    assert await refusal(mechanism, client.final(challenge.data)) == "not-authorized"


async def test_other_binding_type_is_not_authorized():
    mechanism = server(end_point_hash=HASH, is_plus_offered=True)
    assert await refusal(mechanism, b"p=tls-unique,,n=romeo,r=abc") == "not-authorized"


async def test_plus_without_binding_is_malformed():
    assert await refusal(server(end_point_hash=HASH, is_plus_offered=True), b"n,,n=romeo,r=abc") == "malformed-request"


async def test_binding_without_plus_is_not_authorized():
    first = b"p=tls-server-end-point,,n=romeo,r=abc"
    assert await refusal(server(is_plus_offered=True), first) == "not-authorized"


async def test_client_that_saw_no_plus_although_offered_is_not_authorized():
    assert await refusal(server(is_plus_offered=True), b"y,,n=romeo,r=abc") == "not-authorized"


async def test_client_that_could_bind_may_log_in_where_plus_is_not_offered():
    await log_in(server(), Client("romeo", "soft! what light", "SHA-256", "y,,"))


async def test_client_that_cannot_bind_may_log_in_where_plus_is_offered():
    await log_in(server(is_plus_offered=True), Client("romeo", "soft! what light", "SHA-256"))


async def test_changed_gs2_header_is_not_authorized():
    client = Client("romeo", "soft! what light", "SHA-256", "y,,")
    mechanism = server()
    challenge = await mechanism.step(b"n,," + client.bare.encode())
    assert await refusal(mechanism, client.final(challenge.data)) == "not-authorized"


async def test_wrong_password_is_not_authorized():
    client = Client("romeo", "wrong", "SHA-256")
    mechanism = server()
    challenge = await mechanism.step(client.first())
    assert await refusal(mechanism, client.final(challenge.data)) == "not-authorized"


async def test_unknown_account_gets_a_challenge_and_then_not_authorized():
    client = Client("tybalt", "soft! what light", "SHA-256")
    mechanism = server()
    challenge = await mechanism.step(client.first())
    assert await refusal(mechanism, client.final(challenge.data)) == "not-authorized"


async def test_unknown_account_gets_the_same_salt_each_time_and_looks_like_a_known_one():
    async def challenge_of(user: str) -> list[bytes]:
        challenge = await server().step(f"n,,n={user},r=abc".encode())
        return challenge.data.split(b",")[1:]

    assert await challenge_of("tybalt") == await challenge_of("tybalt") == await challenge_of("Tybalt")
    assert await challenge_of("tybalt") != await challenge_of("paris")
    for unknown, known in zip(await challenge_of("tybalt"), await challenge_of("romeo"), strict=True):
        assert len(unknown) == len(known)


async def test_account_without_keys_for_the_hash_looks_like_an_unknown_one():
    record = AccountRecord("romeo@example.org", {"SHA-256": ROMEO.keys["SHA-256"]})
    client = Client("romeo", "soft! what light", "SHA-1")
    mechanism = server("SHA-1", record)
    challenge = await mechanism.step(client.first())
    assert await refusal(mechanism, client.final(challenge.data)) == "not-authorized"


async def test_disabled_account_is_told_so_only_with_the_right_password():
    record = AccountRecord("romeo@example.org", ROMEO.keys, disabled=True)
    for password, condition in (("soft! what light", "account-disabled"), ("wrong", "not-authorized")):
        client, mechanism = Client("romeo", password, "SHA-256"), server(record=record)
        challenge = await mechanism.step(client.first())
        assert await refusal(mechanism, client.final(challenge.data)) == condition


@pytest.mark.parametrize("authzid", ["romeo@example.org", "ROMEO@Example.ORG"])
async def test_own_address_as_authzid_is_accepted(authzid):
    await log_in(server(), Client("romeo", "soft! what light", "SHA-256", f"n,a={authzid},"))


@pytest.mark.parametrize("authzid", ["juliet@example.org", "romeo@example.com", "romeo", "@", "romeo@example.org/x"])
async def test_other_authzid_is_invalid(authzid):
    assert await refusal(server(), f"n,a={authzid},n=romeo,r=abc".encode()) == "invalid-authzid"


async def test_absent_initial_response_is_asked_for_once():
    mechanism = server()
    assert await mechanism.step(b"") == Challenge(b"")
    await log_in(mechanism, Client("romeo", "soft! what light", "SHA-256"))
    assert await refusal(server(), b"", b"") == "malformed-request"


async def test_nothing_more_is_taken_after_the_end():
    mechanism = server()
    await log_in(mechanism, Client("romeo", "soft! what light", "SHA-256"))
    assert await refusal(mechanism, b"n,,n=romeo,r=abc") == "malformed-request"


async def test_reused_final_message_is_not_authorized():
    client = Client("romeo", "soft! what light", "SHA-256")
    first = server()
    challenge = await first.step(client.first())
    final = client.final(challenge.data)
    await first.step(final)
    assert await refusal(server(), client.first(), final) == "not-authorized"


@pytest.mark.parametrize(
    "first",
    [
        b"n",
        b"n,,",
        b"n,,n=romeo",
        b"n,,r=abc,n=romeo",
        b"n,,m=x,n=romeo,r=abc",
        b"n,,n=romeo,r=",
        b"n,,n=romeo,r=a b",
        b"n,,n=romeo,r=a\xc3\xa4",
        b"n,,n=romeo,r=" + b"x" * 600,
        b"n,,n=ro=meo,r=abc",
        b"n,,n=romeo=,r=abc",
        b"n,,n=\xff,r=abc",
        b"n,x=romeo@example.org,n=romeo,r=abc",
        b"x,,n=romeo,r=abc",
        b",,n=romeo,r=abc",
    ],
)
async def test_broken_first_message_is_malformed(first):
    assert await refusal(server(), first) == "malformed-request"


@pytest.mark.parametrize("user", [b"", b"ro meo", b"romeo@example.org", b"x" * 1024, "\u2665".encode()])
async def test_name_that_cannot_be_an_account_is_not_authorized(user):
    assert await refusal(server(), b"n,,n=" + user + b",r=abc") == "not-authorized"


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws",
        b"c=biws,r=abc",
        b"c=biws,r=abc,p=",
        b"c=biws,r=abc,p=AAAA",
        b"c=biws,r=abc,p=!!",
        b"r=abc,c=biws,p=" + base64.b64encode(bytes(32)),
    ],
)
async def test_broken_final_message_is_malformed(final):
    assert await refusal(server(), b"n,,n=romeo,r=abc", final) == "malformed-request"


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=3))
@example([b"n,,n=romeo,r=abc", b"c=biws,r=abc,p=" + base64.b64encode(bytes(32))])
async def test_garbage_raises_nothing_but_sasl_errors(messages):
    await step_through(messages)


@given(
    st.text("pny=,acrst-lsevdoi\u00e4\0 ", max_size=40).map(lambda text: text.encode()),
    st.sampled_from([b"n,,n=romeo,r=", b"n,,n=", b"", b"p=tls-server-end-point,,", b"y,a="]),
)
async def test_near_misses_raise_nothing_but_sasl_errors(message, start):
    await step_through([start + message, b"c=biws,r=" + message + b",p=AAAA"])


async def step_through(messages: list[bytes]) -> None:
    mechanism = server()
    try:
        for message in messages:
            assert isinstance(await mechanism.step(message), Challenge)
    except SaslError:
        pass


# XEP-0474: what was offered is signed


def test_offer_is_hashed_sorted_by_its_bytes_with_delimiters_that_xml_cannot_hold():
    mechanisms = ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")
    bindings = ("tls-server-end-point", "tls-exporter")
    text = offer_text(mechanisms, bindings)
    assert text == b"SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point"
    # the example of XEP-0474 §5.3
    assert base64.b64encode(hashlib.sha1(text).digest()) == b"G6k/rBLDqgOhRRaCuuatSDFkJ08="


def test_without_channel_bindings_the_mechanisms_alone_are_hashed():
    assert offer_text(("SCRAM-SHA-1", "PLAIN"), ()) == b"PLAIN\x1eSCRAM-SHA-1"


@pytest.mark.parametrize(("name", "algorithm"), [("SHA-1", hashlib.sha1), ("SHA-256", hashlib.sha256)])
async def test_challenge_carries_the_hash_of_the_offer_and_the_proof_signs_it(name, algorithm):
    offered = offer_text(("PLAIN", f"SCRAM-{name}"), ())
    client, mechanism = Client("romeo", "soft! what light", name), server(name, offered=offered)
    challenge = await mechanism.step(client.first())
    assert challenge.data.rpartition(b",")[2] == b"h=" + base64.b64encode(algorithm(offered).digest())
    assert await log_in(server(name, offered=offered), client)


async def test_login_fails_when_somebody_has_changed_the_hash_on_its_way():
    client, mechanism = Client("romeo", "soft! what light", "SHA-256"), server(offered=offer_text(("PLAIN",), ()))
    challenge = await mechanism.step(client.first())
    shortened = challenge.data.rpartition(b",h=")[0]
    assert await refusal(mechanism, client.final(shortened)) == "not-authorized"


async def test_no_hash_is_sent_where_nothing_was_offered():
    challenge = await server().step(Client("romeo", "x", "SHA-256").first())
    assert b",h=" not in challenge.data
