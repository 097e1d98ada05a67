"""All commands in one application, and how their errors reach a person: one line each on standard error."""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import typer

from storage.interface import StorageError
from xmppd.cli import account, bridge, check, dns, init, invite, moving, push, s2s, serve, status, storage, top, wire
from xmppd.cli.errors import CommandError
from xmppd.config_sources import ConfigError
from xmppd.control import ControlError

# What typer raises for a wrong command line, whichever of its releases brings its own copy of click.
UsageError = typer.BadParameter.__bases__[0]

EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code: 0 done, 1 it failed, 2 the command line or the settings are wrong."""
    application = typer.main.get_command(build())
    try:
        result = application.main(list(arguments) or ["--help"], prog_name="xmppd", standalone_mode=False)
    except UsageError as error:
        return _fail(EXIT_USAGE, error.format_message())
    except ConfigError as error:
        return _fail(EXIT_USAGE, *error.lines)
    except (CommandError, ControlError, StorageError) as error:
        return _fail(EXIT_FAULT, str(error))
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has seen enough
        sys.stderr.close()
        return EXIT_FAULT
    return result if isinstance(result, int) else 0


def build() -> typer.Typer:
    """Return the application with its commands."""
    application = typer.Typer(
        help="An XMPP server for people on bad networks.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    application.callback()(_common)
    application.command("init")(init.init)
    application.command("serve")(serve.serve)
    checks = typer.Typer(rich_markup_mode=None)
    checks.callback(invoke_without_command=True)(check.check)
    checks.command("dns")(dns.dns)
    checks.command("s2s")(s2s.s2s)
    application.add_typer(checks, name="check")
    application.command("status")(status.status)
    application.command("top")(top.top)
    application.command("bridge")(bridge.bridge)
    application.command("invite")(invite.invite)
    accounts = typer.Typer(help="Accounts, while the server runs or not.", rich_markup_mode=None)
    accounts.command("add")(account.add)
    accounts.command("del")(account.delete)
    accounts.command("list")(account.list_)
    accounts.command("passwd")(account.passwd)
    accounts.command("export")(moving.export)
    accounts.command("import")(moving.import_)
    accounts.command("erase")(moving.erase)
    application.add_typer(accounts, name="account")
    kept = typer.Typer(help="What is kept, and where.", rich_markup_mode=None)
    kept.command("init")(storage.init)
    kept.command("migrate")(storage.migrate)
    kept.command("check")(storage.check)
    kept.command("copy")(storage.copy)
    application.add_typer(kept, name="storage")
    pushes = typer.Typer(help="Push notifications.", rich_markup_mode=None)
    pushes.callback(invoke_without_command=True)(push.push)
    pushes.command("test")(push.test)
    application.add_typer(pushes, name="push")
    wires = typer.Typer(help="What stanzas cost on the wire.", rich_markup_mode=None)
    wires.callback()(_wire)
    wires.command("explain")(wire.explain)
    application.add_typer(wires, name="wire")
    return application


def _common(
    show_version: bool = typer.Option(
        False, "--version", is_eager=True, callback=lambda given: _say_version() if given else None, help="Say which."
    ),
) -> None:
    """An XMPP server for people on bad networks."""


def _wire() -> None:
    """What stanzas cost on the wire."""


def _say_version() -> None:
    typer.echo(f"xmppd {own_version()}")
    raise typer.Exit


def own_version() -> str:
    """Return the installed version, "unknown" in a tree that is not installed."""
    try:
        return version("xmppd")
    except PackageNotFoundError:
        return "unknown"


def _fail(code: int, *lines: str) -> int:
    for line in lines:
        print(f"xmppd: {line}", file=sys.stderr)
    return code
