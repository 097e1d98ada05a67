"""Java programs from Maven's registry, for tests: fetched once into a cache folder that all test runs share.

`XMPPD_COMPONENTS` names the folder, `~/.cache/xmppd-components` is the default; `XMPPD_JAVA` names the `java` to use.
Nothing is skipped: what cannot be fetched fails with the last lines that Maven said.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TRIES = 3
FOREIGN = "osx-x86_64,osx-aarch_64,windows-x86_64,linux-riscv64"
"""Classifiers of jars for other systems."""

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test.xmppd</groupId><artifactId>{name}</artifactId><version>1</version><packaging>pom</packaging>{pinned}
  <dependencies>{dependencies}</dependencies>
</project>
"""


class ComponentError(Exception):
    """A component cannot be had; the text says what to do."""


def cache_folder() -> Path:
    """Return the folder that keeps what was fetched."""
    return Path(os.environ.get("XMPPD_COMPONENTS") or Path.home() / ".cache" / "xmppd-components")


def java_17() -> Path:
    """Return the `java` of a Java 17.

    Raises:
        ComponentError: there is none.
    """
    if named := os.environ.get("XMPPD_JAVA"):
        return Path(named)
    for found in sorted(Path("/usr/lib/jvm").glob("java-17-*/bin/java")):
        return found
    raise ComponentError("no Java 17: install openjdk-17-jre-headless, or set XMPPD_JAVA")


def fetch(name: str, *artifacts: str, without: Sequence[str] = (), pinned: Sequence[str] = ()) -> Path:
    """Return a folder with the jars of `artifacts` ("group:name:version") and of all they need; fetched when it is not there.

    Args:
        without: groups that are left out, with all that only they need.
        pinned: lists of versions that belong together ("bill of materials"), which count for more than what an artifact asks.

    Raises:
        ComponentError: Maven is missing, or failed `TRIES` times.
    """
    exclusions = "".join(
        f"<exclusion><groupId>{group}</groupId><artifactId>*</artifactId></exclusion>" for group in without
    )
    within = f"<exclusions>{exclusions}</exclusions>" if without else ""
    dependencies = "".join(_dependency(artifact, within) for artifact in artifacts)
    boms = "".join(_dependency(artifact, "<type>pom</type><scope>import</scope>") for artifact in pinned)
    management = f"<dependencyManagement><dependencies>{boms}</dependencies></dependencyManagement>" if pinned else ""
    pom = POM.format(name=name, dependencies=dependencies, pinned=management)
    folder = cache_folder() / f"{name}-{hashlib.sha256(pom.encode()).hexdigest()[:12]}"
    jars = folder / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if not jars.exists():
            (folder / "pom.xml").write_text(pom)
            _copy_dependencies(folder, jars)
    return jars


def _dependency(artifact: str, more: str = "") -> str:
    group, name, version = artifact.split(":")
    parts = f"<groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>{more}"
    return f"<dependency>{parts}</dependency>"


def _copy_dependencies(folder: Path, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ComponentError("no Maven: install the package maven")
    unfinished = folder / "unfinished"
    command = [
        *("nice", maven, "--quiet", "--batch-mode", "-Dstyle.color=never", "--file", str(folder / "pom.xml")),
        f"-Dmaven.repo.local={cache_folder() / 'm2'}",
        "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies",
        *("-DincludeScope=runtime", f"-DoutputDirectory={unfinished}", f"-DexcludeClassifiers={FOREIGN}"),
    ]
    for attempt in range(TRIES):
        shutil.rmtree(unfinished, ignore_errors=True)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            unfinished.rename(jars)
            return
        time.sleep(2.0 * attempt)
    tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
    raise ComponentError(f"Maven could not fetch {folder.name}:\n{tail}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch."""
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
