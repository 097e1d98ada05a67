"""APNs and FCM for a server in a process of its own: keys, certificates, settings, and a list that can be waited for."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.ca import CertificateAuthority
from tests.support.push.apns_server import ApnsServer
from tests.support.push.web_server import FcmServer

WAIT_S = 15.0
APNS_TOKEN = "ab" * 32
FCM_TOKEN = "fcm-device:" + "A1-_" * 30


class Arrivals(list):
    """What was taken, with the moment of each (`time.perf_counter`), and a way to wait for more."""

    def __init__(self) -> None:
        super().__init__()
        self.moments_s: list[float] = []
        self._more = asyncio.Event()

    def append(self, one: object) -> None:
        self.moments_s.append(time.perf_counter())
        super().append(one)
        self._more.set()

    async def reach(self, count: int, timeout_s: float = WAIT_S) -> None:
        """Wait until there are so many."""
        async with asyncio.timeout(timeout_s):
            while len(self) < count:
                self._more.clear()
                await self._more.wait()


@dataclass
class StandIns:
    """Attributes: apns, fcm: the servers, whose `pushes` and `messages` are `Arrivals`. settings: of the server that is to use them."""

    apns: ApnsServer
    fcm: FcmServer
    settings: dict[str, Any]

    @property
    def pushes(self) -> Arrivals:
        """What APNs took."""
        return self.apns.pushes  # type: ignore[return-value]

    @property
    def messages(self) -> Arrivals:
        """What FCM took."""
        return self.fcm.messages  # type: ignore[return-value]


@asynccontextmanager
async def stand_ins(folder: Path, authority: CertificateAuthority) -> AsyncIterator[StandIns]:
    """Run both, with their keys in files of a folder."""
    leaf = authority.sign(["localhost", "127.0.0.1"], file_name="gateways")
    token_key, account_key = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    apns = ApnsServer(_context(leaf), {"KEY1234567": token_key.public_key()}, time.time, pushes=Arrivals())
    fcm = FcmServer(_context(leaf), time.time, account_key.public_key())
    fcm.messages = Arrivals()
    port, url = await apns.start(), await fcm.start()
    (folder / "key.p8").write_text(_pem(token_key))
    account = {
        "type": "service_account",
        "project_id": fcm.project,
        "private_key": _pem(account_key),
        "client_email": fcm.email,
        "token_uri": f"{url}/token",
    }
    (folder / "fcm.json").write_text(json.dumps(account))
    settings = {
        "push.apns_topics": ["org.example.app"],
        "push.apns_key": str(folder / "key.p8"),
        "push.apns_key_id": "KEY1234567",
        "push.apns_team_id": apns.team,
        "push.apns_production": f"127.0.0.1:{port}",
        "push.fcm_account": str(folder / "fcm.json"),
        "push.fcm_url": url,
        "push.ca_file": str(authority.path),
    }
    try:
        yield StandIns(apns, fcm, settings)
    finally:
        await apns.stop()
        await fcm.stop()


def _context(leaf: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    return context


def _pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
