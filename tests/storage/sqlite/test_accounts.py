"""How accounts lie in the file."""

from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import ROMEO, account, writer_connection


async def test_an_account_is_one_row_with_its_keys_in_hex(sqlite: SqliteBackend) -> None:
    await sqlite.accounts.create(account(ROMEO))
    rows = writer_connection(sqlite).execute("SELECT domain, jid, keys FROM account").fetchall()
    stored, server = b"stored".hex(), b"server".hex()
    assert rows == [("example.org", ROMEO, f'{{"SHA-256": ["{b"salt".hex()}", 4096, "{stored}", "{server}"]}}')]


async def test_accounts_are_listed_by_their_key(sqlite: SqliteBackend) -> None:
    sql = "EXPLAIN QUERY PLAN SELECT jid FROM account WHERE domain = ? AND jid > ? ORDER BY jid LIMIT ?"
    plan = writer_connection(sqlite).execute(sql, ("", "", 1)).fetchall()
    assert [row[3] for row in plan] == ["SEARCH account USING PRIMARY KEY (domain=? AND jid>?)"]
