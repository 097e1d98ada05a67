"""The measurement of idle sessions, on a small scale."""

import asyncio
from pathlib import Path

import pytest

from bench.idle import FORMS, hash_bytes, measure, news
from codec.jid import JID

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.mark.parametrize("form", FORMS)
def test_sessions_of_each_form_can_be_measured(tmp_path: Path, form: str) -> None:
    assert isinstance(asyncio.run(measure(tmp_path, 3, form, form != "xml", settle_s=0.1)), float)


def test_no_two_messages_carry_the_same_value() -> None:
    assert len({hash_bytes(f"u{n}@localhost/x {m}") for n in range(50) for m in range(64)}) == 50 * 64
    to = JID("u0@localhost/x")
    assert news(to, 0).inner != news(to, 1).inner
