"""Accounts that several gateways change."""

import asyncio
from dataclasses import replace

import pytest
from cassandra.cluster import Session

from storage.cassandra.backend import CassandraBackend
from storage.interface import AlreadyExists
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.conftest import opened
from tests.storage.tools import ROMEO, account

pytestmark = ON_CASSANDRA


async def test_of_creations_on_two_gateways_one_wins(cassandra_backend: CassandraBackend) -> None:
    async with opened(CassandraBackend(cassandra_backend.settings)) as other:
        commits = [backend.accounts.create(account(ROMEO)) for backend in (cassandra_backend, other) for _ in range(3)]
        results = await asyncio.gather(*(wait(commit) for commit in commits))
    assert [type(result) for result in results if result is not None] == [AlreadyExists] * 5


async def test_a_gateway_whose_clock_is_wrong_changes_and_deletes_all_the_same(
    cassandra_backend: CassandraBackend,
) -> None:
    accounts = cassandra_backend.accounts
    for wrong_s in (-86_400, 86_400):
        clock = cassandra_backend._driver.clock
        clock.set(clock.next_us() + wrong_s * 1_000_000)
        await accounts.create(account(ROMEO))
        await accounts.replace(replace(account(ROMEO), disabled=True))
        assert (await accounts.get(ROMEO)).disabled
        assert await accounts.list("example.org") == [ROMEO]
        await accounts.delete(ROMEO)
        assert await accounts.get(ROMEO) is None
        assert await accounts.list("example.org") == []


async def test_an_account_whose_place_in_the_list_is_lost_is_listed_again(
    cassandra_backend: CassandraBackend, administrator: Session
) -> None:
    accounts, keyspace = cassandra_backend.accounts, cassandra_backend.settings.keyspace
    await accounts.create(account(ROMEO))
    shard = administrator.execute(f"SELECT shard FROM {keyspace}.account_list").one()[0]
    administrator.execute(
        f"DELETE FROM {keyspace}.account_list USING TIMESTAMP 1 WHERE domain = 'example.org' AND shard = {shard}"
    )
    with pytest.raises(AlreadyExists):
        await accounts.create(account(ROMEO))
    assert await accounts.list("example.org") == [ROMEO]


async def wait(commit) -> Exception | None:
    try:
        await commit
    except AlreadyExists as error:
        return error
    return None
