"""A real Apache Cassandra of one node, for tests: fetched from Maven's registry, started on ports that the kernel gave.

`cassandra` is a pytest fixture of the session, `keyspace` a name of its own for each test, dropped behind it; name this file
in `pytest_plugins`, or import the fixtures. They fail, and do not skip, when it cannot be had.

A node has 512 MB of heap and only Java's first compiler: on two processors the second costs more than it gives to a life so short.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy

from tests.support.daemon import Daemon, free_ports, port_open, wait_until
from tests.support.maven import fetch, java_17

VERSION = "5.0.5"
HOST = "127.0.0.1"
DATACENTER = "datacenter1"
"""What a node with the simple snitch calls its own."""

HEAP_MB = 512

# What Cassandra reaches into of Java's own modules, where Java 17 must be told to allow it.
EXPORTS = (
    *("java.base/java.lang.ref", "java.base/jdk.internal.misc", "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server"),
    *("java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.sql/java.sql", "jdk.unsupported/sun.misc"),
)
OPENS = (
    *(f"java.base/java.{name}" for name in ("io", "lang", "lang.module", "lang.reflect", "util")),
    *(f"java.base/jdk.internal.{name}" for name in ("loader", "math", "module", "ref", "reflect")),
    *("java.base/sun.nio.ch", "jdk.management/com.sun.management.internal"),
)
LOGGING = """<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


class Cassandra(Daemon):
    """One node; it can be stopped, killed (`kill9`), frozen (`pause`, `resume`) and started again on the same data and port.

    Args:
        folder: holds its configuration, data and log.
        settings: of cassandra.yaml, over ours.

    Attributes:
        port: of the native protocol, on `HOST`.
    """

    def __init__(self, folder: Path, settings: dict[str, object] | None = None) -> None:
        super().__init__("cassandra", folder / "cassandra.log")
        self.folder = folder
        self.port, self.storage_port, self.tls_storage_port, self.jmx_port = free_ports(4)
        self.jars = fetch("cassandra", f"org.apache.cassandra:cassandra-all:{VERSION}")
        (folder / "conf").mkdir(parents=True, exist_ok=True)
        (folder / "conf" / "cassandra.yaml").write_text(json.dumps(self._settings() | (settings or {}), indent=1))
        (folder / "conf" / "logback.xml").write_text(LOGGING)
        (folder / "conf" / "logback-tools.xml").write_text(LOGGING.replace("INFO", "OFF"))

    def command(self) -> Sequence[str]:
        lives_no_longer_than_we = ("setpriv", "--pdeathsig", "KILL")
        conf, data = self.folder / "conf", self.folder / "data"
        properties = {
            "logback.configurationFile": conf / "logback.xml",
            "cassandra.config": f"file://{conf / 'cassandra.yaml'}",
            "cassandra.storagedir": data,
            "cassandra.logdir": self.folder,
            "cassandra.jmx.local.port": self.jmx_port,
            "cassandra.skip_wait_for_gossip_to_settle": 0,  # nobody else is there
            "cassandra.ring_delay_ms": 100,
            "cassandra.superuser_setup_delay_ms": 0,
            "cassandra-foreground": "yes",
            "java.net.preferIPv4Stack": "true",
            "jdk.attach.allowAttachSelf": "true",
            "io.netty.tryReflectionSetAccessible": "true",
        }
        return [
            *(*lives_no_longer_than_we, str(java_17()), *self._virtual_machine()),
            *(f"-D{name}={value}" for name, value in properties.items()),
            *(f"-javaagent:{self._jar('jamm')}", "-cp", f"{conf}:{self.jars}/*"),
            "org.apache.cassandra.service.CassandraDaemon",
        ]

    def is_ready(self) -> bool:
        return port_open(self.port)

    def start(self, timeout_s: float = 180.0) -> None:
        """Start it and wait until it answers; on a busy machine that takes half a minute.

        Its life ends with the thread that calls this, or `spawn`: call it on the main one.
        """
        super().start(timeout_s)

    def pause(self) -> None:
        """Freeze it: its connections stay, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it at once: what is in its folder goes too."""
        self.kill9()

    def connect(self) -> Cluster:
        """Return a cluster object of the driver for it, to be shut down by the caller."""
        profile = ExecutionProfile(load_balancing_policy=DCAwareRoundRobinPolicy(DATACENTER), request_timeout=60.0)
        return Cluster(
            [HOST],
            port=self.port,
            protocol_version=4,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            idle_heartbeat_interval=0,
            reconnection_policy=ConstantReconnectionPolicy(0.1, max_attempts=None),
        )

    def nodetool(self, *arguments: str) -> str:
        """Return what Cassandra's own `nodetool` says (a Java program: it takes seconds)."""
        command = [
            *(str(java_17()), *_open_modules(), "-Xmx64M", "-XX:TieredStopAtLevel=1", f"-Duser.home={self.folder}"),
            f"-Dlogback.configurationFile={self.folder / 'conf' / 'logback-tools.xml'}",
            *("-cp", f"{self.jars}/*", "org.apache.cassandra.tools.NodeTool", "-h", HOST, "-p", str(self.jmx_port)),
        ]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise self.failure(f"did not answer nodetool {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def _jar(self, name: str) -> Path:
        (found,) = self.jars.glob(f"{name}-[0-9]*.jar")
        return found

    @staticmethod
    def _virtual_machine() -> list[str]:
        return [
            # Run by root, Cassandra locks its memory: what the heap begins with is resident from the start.
            *(f"-Xmx{HEAP_MB}M", f"-Xms{HEAP_MB // 2}M", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-XX:MaxDirectMemorySize=256M", "-XX:+ExitOnOutOfMemoryError", "-XX:+PerfDisableSharedMem"),
            *_open_modules(),
        ]

    def _settings(self) -> dict[str, object]:
        data = self.folder / "data"
        seeds = {"seeds": f"{HOST}:{self.storage_port}"}
        return {
            "cluster_name": "xmppd tests",
            "num_tokens": 1,
            "auto_bootstrap": False,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": [seeds]}],
            "listen_address": HOST,
            "rpc_address": HOST,
            "native_transport_port": self.port,
            "storage_port": self.storage_port,
            "ssl_storage_port": self.tls_storage_port,
            "start_native_transport": True,
            "data_file_directories": [str(data / "tables")],
            "commitlog_directory": str(data / "commitlog"),
            "saved_caches_directory": str(data / "caches"),
            "hints_directory": str(data / "hints"),
            "cdc_raw_directory": str(data / "cdc"),
            # Each write is on disk before it is answered: the default, "periodic", loses to a kill what it has answered in
            # the last 100 ms, which other replicas would still have, but here there is none.
            "commitlog_sync": "batch",
            "commitlog_segment_size": "8MiB",
            "commitlog_total_space": "256MiB",
            "memtable_heap_space": "96MiB",
            "memtable_offheap_space": "64MiB",
            "file_cache_size": "32MiB",
            "networking_cache_size": "32MiB",
            "key_cache_size": "8MiB",
            "counter_cache_size": "4MiB",
            "concurrent_reads": 16,
            "concurrent_writes": 256,  # each waits for the disk; with 16 half as many are written a second
            "concurrent_counter_writes": 4,
            "concurrent_compactors": 1,
            "native_transport_max_threads": 32,
            "auto_snapshot": False,
            # What docs/storage.md recommends: our batches are of many partitions, up to 30 KiB, and no mistake.
            "batch_size_warn_threshold": "40KiB",
            "unlogged_batch_across_partitions_warn_threshold": 1000,
        }


def _open_modules() -> list[str]:
    exports = [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS]
    return exports + [f"--add-opens={name}=ALL-UNNAMED" for name in OPENS]


@pytest.fixture(scope="session")
def cassandra() -> Iterator[Cassandra]:
    """One running node for all tests of the session; whoever stops or freezes it brings it back."""
    folder = Path(tempfile.mkdtemp(prefix="xmppd-cassandra-"))
    node = Cassandra(folder)
    try:
        node.start()
        yield node
    finally:
        node.kill9()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def administrator(cassandra: Cassandra) -> Iterator[Session]:
    """A session of the driver, for what tests do behind the back of what they test."""
    cluster = cassandra.connect()
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


@pytest.fixture
def keyspace(administrator: Session) -> Iterator[str]:
    """The name of a keyspace that is not there yet, dropped behind the test."""
    name = f"test_{uuid4().hex[:16]}"
    yield name
    wait_until(lambda: _drop(administrator, name), f"{name} dropped", timeout_s=60.0)


def _drop(administrator: Session, name: str) -> bool:
    """Drop a keyspace; False when the driver has not found the node again, which a test may have stopped and started."""
    try:
        administrator.execute(f"DROP KEYSPACE IF EXISTS {name}")
    except NoHostAvailable:
        return False
    return True
