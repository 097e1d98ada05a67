"""`xmppd push`: send notifications beside the server; `xmppd push test`: wake somebody's devices now, and say what became of it."""

import asyncio
import signal
from typing import Annotated

import typer

from codec.jid import JID, InvalidJID
from push.gateway import BadCredentials
from storage.interface import StorageError
from xmppd import logs
from xmppd.cli.errors import CommandError
from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.config import Config
from xmppd.control import ask
from xmppd.logs import get_logger
from xmppd.storage_url import open_backend

JidArgument = Annotated[str, typer.Argument(metavar="JID", help="An account of this server.")]
WaitOption = Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0.1, max=120, help="How long for results.")]


def push(context: typer.Context, config: ConfigOption = None, sets: SetOption = None) -> None:
    """Send what the server wants sent to APNs, FCM and Web Push, until SIGTERM or SIGINT (push.run = "service")."""
    if context.invoked_subcommand is not None:
        return
    loaded = settings(config, sets)
    if loaded.push.run != "service":
        raise CommandError('the server sends by itself; with push.run = "service" this command does')
    if loaded.storage_url.startswith("sqlite:"):
        raise CommandError(
            'an SQLite file belongs to one process: use push.run = "server", or a storage that several share'
        )
    logs.configure(loaded.log.level, loaded.log.format)
    asyncio.run(_run(loaded))


async def _run(config: Config) -> None:
    from xmppd.push_run import run_beside  # the gateways' libraries take a moment, and other commands need none

    log = get_logger("xmppd.push")
    backend = open_backend(config.storage_url, exclusive=False, settings=config.storage)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await backend.open()
    try:
        await run_beside(config, backend, log, stopping, lambda: log.info("push_serves"))
    except (BadCredentials, StorageError) as error:
        raise CommandError(str(error)) from None
    finally:
        await backend.close()


def test(jid: JidArgument, wait: WaitOption = 20.0, config: ConfigOption = None, sets: SetOption = None) -> int:
    """Send a test to each device of an account through the running server; exit code 0 when every gateway took its own."""
    loaded = settings(config, sets)
    try:
        bare = JID.parse(jid).bare
    except InvalidJID as error:
        raise CommandError(f"{jid}: {error}") from None
    answer = ask(loaded.control_path, "push_test", timeout_s=wait + 10, jid=str(bare), wait_s=wait)
    devices = answer["devices"]
    if not devices:
        raise CommandError(f"{bare} has no device")
    for one in devices:
        reason = f" ({one['reason']})" if one["reason"] else ""
        typer.echo(f"{one['gateway']:8} {one['id']}  {one['result']}{reason}  {one['waited_ms']} ms  {one['name']}")
    return 0 if all(one["result"] == "delivered" for one in devices) else 1
