"""Accounts, in every backend."""

from dataclasses import replace

import pytest

from storage.interface import AlreadyExists, Backend, ScramKeys
from tests.storage.tools import JULIET, KEYS, ROMEO, account


async def test_an_account_comes_back_as_it_was_created(backend: Backend) -> None:
    keys = {**KEYS, "SHA-1": ScramKeys(bytes(range(16)), 10_000, b"\x00\xff", b"")}
    record = replace(account(ROMEO), keys=keys, created_at_us=1_700_000_000_000_000, disabled=True)
    await backend.accounts.create(record)
    assert await backend.accounts.get(ROMEO) == record


async def test_an_unknown_account_is_none(backend: Backend) -> None:
    assert await backend.accounts.get(ROMEO) is None


async def test_a_second_account_of_the_name_is_refused_and_the_first_stays(backend: Backend) -> None:
    await backend.accounts.create(account(ROMEO))
    with pytest.raises(AlreadyExists):
        await backend.accounts.create(replace(account(ROMEO), keys={}))
    assert await backend.accounts.get(ROMEO) == account(ROMEO)


async def test_of_two_creations_in_one_batch_the_first_wins_and_the_second_fails_alone(backend: Backend) -> None:
    first = backend.accounts.create(account(ROMEO))
    second = backend.accounts.create(replace(account(ROMEO), keys={}))
    third = backend.accounts.create(account(JULIET))
    await first
    with pytest.raises(AlreadyExists):
        await second
    await third
    assert await backend.accounts.get(ROMEO) == account(ROMEO)
    assert await backend.accounts.get(JULIET) == account(JULIET)


async def test_replace_writes_over_and_also_creates(backend: Backend) -> None:
    await backend.accounts.replace(account(ROMEO))
    await backend.accounts.replace(replace(account(ROMEO), disabled=True))
    assert await backend.accounts.get(ROMEO) == replace(account(ROMEO), disabled=True)


async def test_a_deleted_account_is_gone_and_may_be_created_again(backend: Backend) -> None:
    await backend.accounts.create(account(ROMEO))
    await backend.accounts.delete(ROMEO)
    assert await backend.accounts.get(ROMEO) is None
    await backend.accounts.delete(ROMEO)
    await backend.accounts.create(account(ROMEO))


async def test_list_pages_through_one_domain_in_order_of_the_text(backend: Backend) -> None:
    names = ["b@example.org", "a-b@example.org", "a@example.org", "ä@example.org", "a@example.com"]
    for name in names:
        await backend.accounts.create(account(name))
    everyone = sorted(name for name in names if name.endswith("@example.org"))
    assert await backend.accounts.list("example.org") == everyone
    assert await backend.accounts.list("example.org", limit=2) == everyone[:2]
    assert await backend.accounts.list("example.org", after=everyone[1], limit=2) == everyone[2:]
    assert await backend.accounts.list("example.org", after=everyone[-1]) == []


async def test_count_counts_one_domain(backend: Backend) -> None:
    for name in ("a@example.org", "b@example.org", "a@example.com"):
        await backend.accounts.create(account(name))
    assert await backend.accounts.count("example.org") == 2
    assert await backend.accounts.count("example.net") == 0
