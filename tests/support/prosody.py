"""A real Prosody from Debian's package for tests, on free ports of 127.0.0.1 and in a folder of its own.

`prosody` is a pytest fixture: import it in a conftest, or name this file in `pytest_plugins`. It fails,
and does not skip, when the package is missing: a suite that quietly leaves its peer out proves nothing.
"""

from __future__ import annotations

import datetime
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOMAIN = "peer.test"
START_LIMIT_S = 20.0
MODULES = (
    "disco roster saslauth tls blocklist bookmarks carbons pep private smacks vcard4 vcard_legacy csi csi_simple "
    "ping register register_ibr time uptime lastactivity version mam offline server_contact_info adhoc admin_adhoc "
    "announce posix"
).split()

CONFIGURATION = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ info = "*console" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {direct_tls_port} }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s" }}
ssl = {{ certificate = "{folder}/prosody.crt", key = "{folder}/prosody.key" }}
authentication = "internal_hashed"
allow_registration = true
default_archive_policy = true
admins = {{ "admin@{domain}" }}
contact_info = {{ admin = {{ "xmpp:admin@{domain}", "mailto:admin@{domain}" }}, abuse = {{ "mailto:abuse@{domain}" }} }}
VirtualHost "{domain}"
"""


@dataclass(frozen=True, slots=True)
class Prosody:
    """A running Prosody.

    Attributes:
        port, direct_tls_port: where clients connect on 127.0.0.1.
        certificate: PEM file of its self-signed certificate, to be trusted by clients.
        admin: JID and password of an administrator, which exists.
    """

    domain: str
    port: int
    direct_tls_port: int
    certificate: Path
    admin: tuple[str, str]
    process: subprocess.Popen[str]


@pytest.fixture(scope="session")
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prosody]:
    """Start Prosody once for the test session, and end it after."""
    if shutil.which("prosody") is None:
        pytest.fail("Prosody is not installed; `apt-get install prosody lua-dbi-sqlite3` brings it", pytrace=False)
    running = start(tmp_path_factory.mktemp("prosody"))
    yield running
    running.process.terminate()
    running.process.wait(timeout=10)


def start(folder: Path, *, without: tuple[str, ...] = ()) -> Prosody:
    """Start Prosody in an empty folder and return once it accepts connections.

    Args:
        folder: holds its configuration, certificate, data and log.
        without: modules to leave out.
    """
    port, direct_tls_port = _free_port(), _free_port()
    certificate = make_certificate(folder, "prosody", DOMAIN)
    configuration = folder / "prosody.cfg.lua"
    modules = ", ".join(f'"{name}"' for name in MODULES if name not in without)
    text = CONFIGURATION.format(
        folder=folder, port=port, direct_tls_port=direct_tls_port, modules=modules, domain=DOMAIN
    )
    configuration.write_text(text)
    (folder / "data").mkdir()
    _own(folder)
    register = ["prosodyctl", "--config", str(configuration), "register", "admin", DOMAIN, "admins-password"]
    subprocess.run(register, check=True, capture_output=True, timeout=20)
    _own(folder)
    command = ["prosody", "-F", "--config", str(configuration)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    _wait_until_it_listens(process, folder / "prosody.log")
    return Prosody(DOMAIN, port, direct_tls_port, certificate, (f"admin@{DOMAIN}", "admins-password"), process)


def _own(folder: Path) -> None:
    """Let the account that prosodyctl changes to when root runs it read and write the folder."""
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def _wait_until_it_listens(process: subprocess.Popen[str], log: Path) -> None:
    """Read its log until both client ports are open; go on copying it to a file after that."""
    missing = {"'c2s'", "'c2s_direct_tls'"}
    listening = threading.Event()

    def copy() -> None:
        assert process.stdout is not None
        with log.open("w", encoding="utf-8") as kept:
            for line in process.stdout:
                kept.write(line)
                kept.flush()
                if "Activated service" in line:
                    missing.difference_update({name for name in missing if name in line})
                if not missing:
                    listening.set()
        listening.set()

    threading.Thread(target=copy, daemon=True).start()
    listening.wait(START_LIMIT_S)
    if missing:
        process.kill()
        process.wait()
        pytest.fail(f"Prosody did not start:\n{log.read_text(encoding='utf-8')}", pytrace=False)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def make_certificate(folder: Path, name: str, domain: str) -> Path:
    """Write `name`.crt and `name`.key, self-signed for the domain and valid for a day; return the first."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return path
