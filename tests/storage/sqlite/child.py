"""What the tests' child processes do: `python -m tests.storage.sqlite.child WHAT PATH`."""

import asyncio
import os
import sys
from pathlib import Path

from storage.interface import ArchiveCopy, Commit, StorageError
from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import account


async def acknowledge(path: Path) -> None:
    """Append without end; print each id once it is committed."""
    backend = SqliteBackend(path, commit_window_ms=1)
    await backend.open()
    bounds = await backend.archive.bounds("user0@example.org")
    id_ = bounds[1] if bounds else 0
    while True:
        id_ += 1
        copies = (ArchiveCopy("user0@example.org", f"user{id_ % 50 + 1}@example.org", outgoing=True),)
        copies += (ArchiveCopy(f"user{id_ % 50 + 1}@example.org", "user0@example.org"),)
        commit = backend.archive.append(id_, b"x" * (id_ % 3000), copies)
        commit.add_done_callback(lambda done, id_=id_: say(done, id_))
        if id_ % 7 == 0:
            await asyncio.sleep(0)
        if id_ % 500 == 0:
            await commit


def say(commit: Commit, id_: int) -> None:
    if commit.error is None:
        os.write(1, b"%d\n" % id_)


async def add_accounts(path: Path) -> None:
    """Add forty accounts beside a running server, one by one."""
    backend = SqliteBackend(path, exclusive=False)
    await backend.open()
    for n in range(40):
        await backend.accounts.create(account(f"added{n}@example.org"))
    await backend.close()


async def try_to_open(path: Path) -> None:
    """Open it as a user without rights, print why that fails."""
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        await SqliteBackend(path).open()
    except StorageError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
