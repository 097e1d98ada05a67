"""The tables, and how an older keyspace becomes one of today. What each serves is in `docs/storage.md`.

The table `meta` keeps the version of the schema. A change of the tables is one more entry in `MIGRATIONS`; those that are there
never change, since keyspaces of that version exist. A server never changes tables: many start at once, and Cassandra cannot
bear one change made by two; `xmppd storage init` and `migrate` do.
"""

import re
from collections.abc import Sequence

from storage.cassandra import tables
from storage.cassandra.driver import Driver
from storage.interface import StorageError

DEFAULT_REPLICAS = 3

# Leveled: rows are written again and again in place and read by key, which so touches one file or two.
_IN_PLACE = "compaction = {'class': 'LeveledCompactionStrategy'}"
# Size-tiered: rows are written once, seldom removed, and read in long slices.
_WRITTEN_ONCE = "compaction = {'class': 'SizeTieredCompactionStrategy'}"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # `creation`: made anew with each account of that name, so that a creation tried twice knows its own.
        f"""CREATE TABLE IF NOT EXISTS {{ks}}.account (
            jid text PRIMARY KEY, creation uuid, created_at_us bigint, disabled boolean,
            keys frozen<map<text, frozen<tuple<blob, int, blob, blob>>>>) WITH {_IN_PLACE}""",
        f"""CREATE TABLE IF NOT EXISTS {{ks}}.account_list (
            domain text, shard int, jid text, PRIMARY KEY ((domain, shard), jid)) WITH {_WRITTEN_ONCE}""",
        f"""CREATE TABLE IF NOT EXISTS {{ks}}.keyval (
            owner text, store text, value blob, PRIMARY KEY ((owner), store)) WITH {_IN_PLACE}""",
        f"""CREATE TABLE IF NOT EXISTS {{ks}}.map (
            owner text, store text, key text, value blob, PRIMARY KEY ((owner, store), key)) WITH {_IN_PLACE}""",
        # Who has anything, and what: `part` is "keyval", "map:NAME" or "archive".
        f"""CREATE TABLE IF NOT EXISTS {{ks}}.owner (
            shard int, owner text, part text, PRIMARY KEY ((shard), owner, part)) WITH {_WRITTEN_ONCE}""",
        *tables.ARCHIVE,
        *tables.WORK,
        *tables.GATEWAY,
    ),
)
_META = "CREATE TABLE IF NOT EXISTS {ks}.meta (name text PRIMARY KEY, value text)"
_GET = "SELECT value FROM {ks}.meta WHERE name = 'schema'"
_SET = "INSERT INTO {ks}.meta (name, value) VALUES ('schema', ?) USING TIMESTAMP ?"

VERSION = len(MIGRATIONS)


async def create(driver: Driver) -> None:
    """Make the keyspace, if it is not there, and its tables.

    Raises:
        StorageError: the keyspace holds something else, or the cluster could not.
    """
    await driver.define(f"CREATE KEYSPACE IF NOT EXISTS {{ks}} WITH replication = {_replication(driver)}")
    if not await _tables(driver):
        await driver.define(_META)
        await _upgrade(driver, 0)
    else:
        await check(driver)


async def check(driver: Driver) -> None:
    """Raise `StorageError`, with one line that says what to do, unless the keyspace has the tables of this version."""
    version = await _version(driver)
    if version < VERSION:
        raise StorageError(
            f"{driver.settings} has tables of version {version}, this xmppd needs {VERSION}: run xmppd storage migrate"
        )


async def migrate(driver: Driver) -> int:
    """Bring the tables up to this version; return the one they had. A run that was cut short is simply repeated.

    Raises:
        StorageError: the keyspace holds something else, or the cluster could not.
    """
    version = await _version(driver)
    if version < VERSION:
        await _upgrade(driver, version)
    return version


async def _version(driver: Driver) -> int:
    """Return the version of the tables, 0 for a making that was cut short."""
    tables = await _tables(driver)
    if not tables:
        raise StorageError(f"{driver.settings} is empty: run xmppd storage init")
    if "meta" not in tables:
        raise StorageError(f"{driver.settings} holds tables of another program")
    statement = driver.statement(_GET)
    await driver.prepare()
    rows = await driver.execute(statement)
    version = rows[0][0] if rows else "0"
    if not re.fullmatch(r"\d{1,9}", version):
        raise StorageError(f"{driver.settings} holds tables of another program")
    if int(version) > VERSION:
        raise StorageError(
            f"{driver.settings} was made by a later xmppd (schema {version}, this one knows {VERSION}): start that one"
        )
    return int(version)


async def _upgrade(driver: Driver, version: int) -> None:
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        for text in statements:
            await driver.define(text)
        statement = driver.statement(_SET)
        await driver.prepare()
        await driver.execute(statement, (str(number),))


async def _tables(driver: Driver) -> Sequence[str]:
    statement = driver.statement("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?")
    await driver.prepare()
    return [name for (name,) in await driver.execute(statement, (driver.settings.keyspace,))]


def _replication(driver: Driver) -> str:
    replicas = dict(driver.settings.replication) or {driver.datacenter: DEFAULT_REPLICAS}
    wrong = [name for name, count in replicas.items() if "'" in name or count < 1]
    if wrong:
        raise StorageError(f"storage.replication: {wrong[0]!r} needs a number of 1 or more")
    parts = ", ".join(f"'{name}': {count}" for name, count in replicas.items())
    return f"{{'class': 'NetworkTopologyStrategy', {parts}}}"
