"""Accounts made in bulk are those that a login finds."""

from pathlib import Path

from bench.accounts import ITERATIONS, PASSWORD, SALT, scram_keys, write_accounts, write_prosody_accounts
from bench.scram import stored_and_server_key
from storage.sqlite.backend import SqliteBackend


async def test_accounts_written_in_bulk_are_in_the_database(tmp_path: Path) -> None:
    database = tmp_path / "data" / "xmppd.db"
    assert await write_accounts(database, (f"u{n}" for n in range(1_200))) == 1_200
    backend = SqliteBackend(database)
    await backend.open()
    try:
        assert await backend.accounts.count("localhost") == 1_200
        record = await backend.accounts.get("u1199@localhost")
    finally:
        await backend.close()
    assert record is not None
    assert record.keys == scram_keys(PASSWORD, ITERATIONS)


def test_prosodys_files_hold_the_verifiers_in_hexadecimal(tmp_path: Path) -> None:
    assert write_prosody_accounts(tmp_path, ["u0", "r0-a"]) == 2
    text = (tmp_path / "localhost" / "accounts" / "r0%2da.dat").read_text()
    stored, server = stored_and_server_key("sha1", PASSWORD, SALT, ITERATIONS)
    assert stored.hex() in text
    assert server.hex() in text
