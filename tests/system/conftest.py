"""Which server the system tests talk to: ours, or Prosody when XMPPD_TEST_TARGET=prosody (to try the tests themselves)."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.peers import ProsodyServer
from tests.support.ca import make_test_ca
from tests.support.server import ServerProcess

Target = ServerProcess | ProsodyServer


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="xmppd-system-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM files: the authority, and a certificate for localhost with its key."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def tls(folder: Path) -> TLSFiles:
    """A certificate for localhost from the tests' own authority."""
    authority = make_test_ca(folder)
    leaf = authority.sign(["localhost"], file_name="server")
    return TLSFiles(authority.path, leaf.certificate, leaf.key)


@pytest.fixture(scope="module")
def server(folder: Path, tls: TLSFiles) -> Iterator[Target]:
    """The server under test for one file of tests, with TLS, started."""
    if os.environ.get("XMPPD_TEST_TARGET") == "prosody":
        target: Target = ProsodyServer(
            folder / "server", certificate=tls.certificate, key=tls.key, admins=("admin@localhost",)
        )
    else:
        target = ServerProcess(
            folder / "server",
            settings={"admin.jids": ["admin@localhost"]},
            certificate=tls.certificate,
            key=tls.key,
        )
    target.start()
    yield target
    target.close()
