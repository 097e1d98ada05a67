"""The load generator's SCRAM is RFC 5802's."""

import base64

import pytest

from bench.scram import Scram, ScramError


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def rfc_login() -> Scram:
    """Return the login of RFC 5802 §5, its nonce given."""
    scram = Scram("sha1", "user", "pencil")
    scram.first_bare = "n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    return scram


def test_scram_gives_the_answers_of_rfc_5802() -> None:
    scram = rfc_login()
    assert scram.first() == b64("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
    challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    answer = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert scram.answer(b64(challenge)) == b64(answer)
    scram.check(b64("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="))


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    scram = rfc_login()
    scram.answer(b64("r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"))
    with pytest.raises(ScramError):
        scram.check(b64("v=AAAA"))


def test_a_challenge_without_salt_is_refused() -> None:
    with pytest.raises(ScramError):
        rfc_login().answer(b64("r=fyko+d2lbbFgONRv9qkxdawL3rfc,i=4096"))
