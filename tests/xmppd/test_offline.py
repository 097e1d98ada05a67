"""Hosts without a server: only those modules that a command needs, and storage that is let go of."""

from pathlib import Path

import pytest

from storage.interface import AccountRecord
from xmppd.config import Config
from xmppd.config_sources import load_config
from xmppd.hooks import account_exported, account_imported
from xmppd.modules.rfc_6121_roster import RosterModule
from xmppd.modules.xep_0199_ping import PingModule
from xmppd.modules.xep_0313_mam import ArchiveModule
from xmppd.offline import loaded_hosts, taking_part


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    return load_config(
        None, ["c2s.require_tls=false", 'server.domains=["example.org"]', f'server.data_dir="{tmp_path}/data"'], {}
    )


def test_only_those_who_take_part_and_whom_they_require(config: Config) -> None:
    found = taking_part(config.module_names, {account_imported})
    assert ArchiveModule in found and PingModule not in found
    assert all(required in found for cls in found for required in cls.requires)
    assert taking_part(config.module_names, set()) == []


async def test_hosts_have_their_modules_and_storage_is_let_go_of(config: Config) -> None:
    async with loaded_hosts(config, [account_exported]) as hosts:
        host = hosts["example.org"]
        assert RosterModule in host.modules and PingModule not in host.modules
        host.account_store.create(AccountRecord("romeo@example.org", {}))
        host.spawn(_never())
    async with loaded_hosts(config, [account_exported]) as hosts:
        assert await hosts["example.org"].account_store.get("romeo@example.org") is not None


async def _never() -> None:
    import asyncio

    await asyncio.get_running_loop().create_future()


async def test_storage_is_let_go_of_after_an_error_too(config: Config) -> None:
    with pytest.raises(ZeroDivisionError):
        async with loaded_hosts(config, [account_exported]) as hosts:
            backend = hosts["example.org"].backend
            raise ZeroDivisionError
    with pytest.raises(Exception, match="closed"):
        backend.keyval("x").set("y", b"")
