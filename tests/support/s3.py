"""A real S3 server for tests: s3proxy on a folder, fetched from Maven's registry, on a port that the kernel gave.

`s3` is a pytest fixture of the session; it fails, and does not skip, when the server cannot be had. s3proxy checks signatures, their
end, lengths and types of signed uploads, as Amazon does.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, free_ports, port_open
from tests.support.maven import fetch, java_17

VERSION = "3.1.0"
JACKSON = "2.21.2"
"""Of what s3proxy brings, the part for XML is of this version, and the others must be as well."""

CLOUDS = ("com.google.cloud", "com.azure", "software.amazon.awssdk", "com.amazonaws")
"""It could stand before other stores; without their libraries it is 24 MB rather than 94."""

ACCESS_KEY, SECRET_KEY = "xmppd", "xmppd-secret"
BUCKET = "media"
LOGGING = """<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


class S3(Daemon):
    """One server with one bucket, `BUCKET`; what is in it are plain files below `folder`/data."""

    def __init__(self, folder: Path) -> None:
        super().__init__("s3proxy", folder / "s3proxy.log")
        self.folder = folder
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.bucket = folder / "data" / BUCKET
        self.jars = fetch(
            "s3proxy",
            f"org.gaul:s3proxy:{VERSION}",
            without=CLOUDS,
            pinned=(f"com.fasterxml.jackson:jackson-bom:{JACKSON}",),
        )
        self.bucket.mkdir(parents=True)
        (folder / "logback.xml").write_text(LOGGING)
        (folder / "s3proxy.conf").write_text(self._settings())

    def _settings(self) -> str:
        settings = {
            "s3proxy.endpoint": self.url,
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": ACCESS_KEY,
            "s3proxy.credential": SECRET_KEY,
            "s3proxy.ignore-unknown-headers": "true",
            "jclouds.provider": "filesystem-nio2",
            "jclouds.filesystem.basedir": str(self.folder / "data"),
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def command(self) -> Sequence[str]:
        lives_no_longer_than_we = ("setpriv", "--pdeathsig", "KILL")
        return [
            *(*lives_no_longer_than_we, str(java_17()), "-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *(f"-Dlogback.configurationFile={self.folder / 'logback.xml'}", "-cp", f"{self.jars}/*"),
            *("org.gaul.s3proxy.Main", "--properties", str(self.folder / "s3proxy.conf")),
        ]

    def is_ready(self) -> bool:
        return port_open(self.port)

    def files(self) -> list[Path]:
        """Return what is in the bucket."""
        return [path for path in self.bucket.rglob("*") if path.is_file()]

    def settings_of_server(self) -> dict[str, str]:
        """Return the settings with which our server uses it."""
        return {
            "media.url": f"s3://{BUCKET}/up",
            "media.s3_endpoint": self.url,
            "media.s3_access_key": ACCESS_KEY,
            "media.s3_secret_key": SECRET_KEY,
        }


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """One running server for all tests of the session."""
    folder = Path(tempfile.mkdtemp(prefix="xmppd-s3-"))
    server = S3(folder)
    try:
        server.start(120.0)
        yield server
    finally:
        server.kill9()
        shutil.rmtree(folder, ignore_errors=True)
