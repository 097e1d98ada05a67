"""Many accounts at once, written straight into a server's own storage while it is stopped.

    python -m bench.accounts --database data/xmppd.db --n 2000

All share one salt, as those that xload makes for other servers, so that a load generator computes PBKDF2 once.
"""

import argparse
import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from bench.scram import stored_and_server_key
from storage.interface import AccountRecord, Commit, ScramKeys

SALT = b"salt-of-xload"
ITERATIONS = 4096
PASSWORD = "pass"
HASHES = {"SHA-1": "sha1", "SHA-256": "sha256"}


def scram_keys(password: str, iterations: int) -> dict[str, ScramKeys]:
    """Return the keys of a password for both hashes."""
    keys = {}
    for name, hash_name in HASHES.items():
        stored, server = stored_and_server_key(hash_name, password, SALT, iterations)
        keys[name] = ScramKeys(SALT, iterations, stored, server)
    return keys


async def write_accounts(
    database: Path,
    users: Iterable[str],
    domain: str = "localhost",
    password: str = PASSWORD,
    iterations: int = ITERATIONS,
) -> int:
    """Write accounts into a SQLite database of ours, over those of the same name, and return how many."""
    from storage.sqlite.backend import SqliteBackend

    keys = scram_keys(password, iterations)
    created_at_us = time.time_ns() // 1000
    database.parent.mkdir(parents=True, exist_ok=True)
    backend = SqliteBackend(database)
    await backend.open()
    try:
        last: Commit | None = None
        count = 0
        for user in users:
            last = backend.accounts.replace(AccountRecord(f"{user}@{domain}", keys, created_at_us))
            count += 1
            if count % 1000 == 0:
                await last
        if last is not None:
            await last
        return count
    finally:
        await backend.close()


def write_prosody_accounts(
    data_folder: Path,
    users: Iterable[str],
    domain: str = "localhost",
    password: str = PASSWORD,
    iterations: int = ITERATIONS,
) -> int:
    """Write accounts into Prosody's files (`data_path`), and return how many."""
    # Prosody takes the salt's text as it is; so does its client-facing side, which sends it in base64.
    salt = SALT.decode()
    stored, server = stored_and_server_key("sha1", password, SALT, iterations)
    folder = data_folder / domain / "accounts"
    folder.mkdir(parents=True, exist_ok=True)
    text = (
        f'return {{ ["iteration_count"] = {iterations}; ["salt"] = "{salt}";'
        f' ["stored_key"] = "{stored.hex()}"; ["server_key"] = "{server.hex()}"; }};\n'
    )
    count = 0
    for user in users:
        (folder / f"{user.replace('-', '%2d')}.dat").write_text(text)
        count += 1
    return count


def main() -> None:
    """Make the accounts that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", type=Path, required=True, help="the SQLite file, made when it is missing")
    parser.add_argument("--n", type=int, required=True, help="how many: u0, u1, …")
    parser.add_argument("--domain", default="localhost")
    parser.add_argument("--prefix", default="u")
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    options = parser.parse_args()
    users = (f"{options.prefix}{number}" for number in range(options.n))
    began = time.monotonic()
    count = asyncio.run(write_accounts(options.database, users, options.domain, options.password, options.iterations))
    print(f"{count} accounts in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
