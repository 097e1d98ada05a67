"""`xmppd storage`: init, migrate, check, copy."""

import sys
import time
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from codec.archived import read_archived
from storage.interface import Backend, CopyRecord, StorageError
from xmppd.cli.errors import CommandError
from xmppd.cli.findings import Finding
from xmppd.cli.opened import on_storage
from xmppd.cli.options import ConfigOption, SetOption, make_data_folder, settings
from xmppd.cli.show import JSONOption, show
from xmppd.config_sources import find_file
from xmppd.storage_copy import Progress, StorageCopy
from xmppd.storage_url import open_backend

T = TypeVar("T")

FromOption = Annotated[
    str, typer.Option("--from", metavar="URL", help="What is copied, as sqlite:data/xmppd.db or cassandra://….")
]
ToOption = Annotated[
    str, typer.Option("--to", metavar="URL", help="An empty storage, or one that was copied to in part.")
]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Copy nothing: read both, and compare.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="Do not read every kept message.")]


def init(config: ConfigOption = None, sets: SetOption = None) -> None:
    """Make the storage that storage.url names; what is there stays."""
    loaded = settings(config, sets)
    make_data_folder(loaded)
    on_storage(loaded.storage_url, _nothing, loaded.storage, prepare=Backend.create, is_exclusive=False)
    typer.echo(f"{_shown(loaded.storage_url)} is ready")


def migrate(config: ConfigOption = None, sets: SetOption = None) -> None:
    """Bring the storage of an older version up to this one, while no server runs on it."""
    loaded = settings(config, sets)
    on_storage(loaded.storage_url, _nothing, loaded.storage, prepare=Backend.migrate)
    typer.echo(f"{_shown(loaded.storage_url)} is of this version")


def check(
    config: ConfigOption = None, sets: SetOption = None, quick: QuickOption = False, as_json: JSONOption = False
) -> int:
    """Look through all that is kept, also while a server runs: exit code 0 when nothing is at fault, 1 when something is."""
    loaded = settings(config, sets)

    async def look(backend: Backend) -> list[Finding]:
        found = [Finding(fact.about, fact.state, fact.detail) for fact in await backend.examine()]
        if quick or any(one.state == "fault" for one in found):
            return found
        return [*found, *await _read_all(backend)]

    _must_exist(loaded.storage_url)
    return show(on_storage(loaded.storage_url, look, loaded.storage, is_exclusive=False), as_json)


def copy(
    source: FromOption,
    target: ToOption,
    verify: VerifyOption = False,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """Copy all that one storage has into another. Interrupted, the same command goes on where it stood.

    No server may run on either. What was copied is read back and compared, owner by owner. Of the settings, where there are any, [storage]
    says what a cluster's URL does not.
    """
    details = settings(config, sets).storage if config or sets or find_file(None) else None
    if source == target:
        raise CommandError("--from and --to name the same storage")
    _must_exist(source)
    for url in (source, target):
        if not url.startswith("sqlite:"):
            typer.echo(f"{_shown(url)}: nothing here can see whether a server runs on it; make sure that none does")

    async def work(backend: Backend) -> Progress:
        other = open_backend(target, exclusive=True, settings=details)
        await other.create()
        await other.open()
        try:
            with _Display() as display:
                task = StorageCopy(backend, other, _identity(source), display.tell)
                return await (task.verify() if verify else task.run())
        finally:
            await other.close()

    began = time.monotonic()
    done = on_storage(source, work, details)
    took_s = time.monotonic() - began
    how = "compared, and found equal" if verify else "copied and compared"
    typer.echo(f"{done.owners:,} owners, {done.records:,} records, {done.jobs:,} jobs {how} in {took_s:.1f} s")


class _Display:
    """Shows a copy's progress: a line that changes on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        text = "{task.fields[owners]:,} owners, {task.fields[records]:,} records, {task.fields[mb]:,.1f} MB"
        columns = (SpinnerColumn(), TextColumn(text), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None, owners=0, records=0, mb=0.0)

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, progress: Progress) -> None:
        """Show how far it is."""
        self._bar.update(
            self._task,
            description=progress.owner,
            owners=progress.owners,
            records=progress.records,
            mb=progress.size_bytes / 1e6,
        )


async def _read_all(backend: Backend) -> list[Finding]:
    """Read everything that every owner has; each message as whoever fetches it would."""
    owners = copies = 0
    unreadable: list[str] = []
    async for owner in backend.owners():
        owners += 1
        async for record in backend.export_owner(owner):
            if isinstance(record, CopyRecord):
                copies += 1
                try:
                    read_archived(record.stanza)
                except ValueError as error:
                    unreadable.append(f"{record.id} of {owner}: {error}")
    found = [Finding("owners", "ok", f"{owners:,}, all of whose records could be read")]
    if unreadable:
        found.append(Finding("messages", "fault", f"{len(unreadable):,} cannot be read, the first {unreadable[0]}"))
    else:
        found.append(Finding("messages", "ok", f"{copies:,} read, each is one"))
    return found


async def _nothing(_: Backend) -> None:
    """Do nothing: that it could be opened is all."""


def _must_exist(url: str) -> None:
    """Refuse a file that is not there: SQLite would make it, and it would be found to be empty and well."""
    scheme, _, path = url.partition(":")
    if scheme == "sqlite" and not Path(path).exists():
        raise StorageError(f"there is no {path}")


def _shown(url: str) -> str:
    """Return a URL without user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url


def _identity(url: str) -> str:
    """Return what tells one source from another, wherever the command is run."""
    scheme, _, path = url.partition(":")
    return f"sqlite:{Path(path).resolve()}" if scheme == "sqlite" else _shown(url)
