"""A desktop without a person: an X server in memory, a session bus and a window manager, as a user without rights.

Everything is written below one temporary folder that belongs to that user, since such a user cannot enter root's.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.daemon import wait_until

NOBODY = 65534
SCREEN = "1280x800x24"


def missing_programs(names: Sequence[str]) -> list[str]:
    """Return those of the programs that are not installed."""
    return [name for name in names if shutil.which(name) is None]


class Desktop:
    """An X display with a window manager and a session bus; programs started in it end with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="desktop-"))
        self.children: list[subprocess.Popen[bytes]] = []
        self.display = ""
        self.as_nobody = os.geteuid() == 0
        for name in ("home", "run"):
            (self.folder / name).mkdir(mode=0o700)
            self.give(self.folder / name)
        self.folder.chmod(0o755)

    def give(self, path: Path) -> None:
        """Let the desktop's user own a path and all below it."""
        if not self.as_nobody:
            return
        for found in (path, *path.rglob("*")):
            os.chown(found, NOBODY, NOBODY)

    @property
    def home(self) -> Path:
        """The home folder of the desktop's user."""
        return self.folder / "home"

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a program in this desktop."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "DISPLAY": self.display,
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folder}/run/bus",
            "NO_AT_BRIDGE": "1",
            "GDK_BACKEND": "x11",
        }

    def spawn(self, command: Sequence[str], log_name: str) -> subprocess.Popen[bytes]:
        """Start a program as the desktop's user, its output in `folder/log_name`."""
        prefix = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if self.as_nobody else []
        with open(self.folder / log_name, "ab") as log:
            child = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=self.home,
            )
        self.children.append(child)
        return child

    def run(self, *command: str, timeout_s: float = 20.0) -> str:
        """Run a program to its end and return what it wrote; raises CalledProcessError when it failed."""
        prefix = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if self.as_nobody else []
        done = subprocess.run(
            [*prefix, *command], env=self.environment(), cwd=self.home, timeout=timeout_s, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def start(self) -> None:
        """Start the X server, the bus and the window manager, and wait for each."""
        reader, writer = os.pipe()
        self.children.append(
            subprocess.Popen(
                ["Xvfb", "-displayfd", str(writer), "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"],
                pass_fds=[writer],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        os.close(writer)
        with os.fdopen(reader) as number:
            self.display = f":{number.readline().strip()}"  # the X server writes it once it is ready
        if self.display == ":":
            raise RuntimeError("Xvfb ended before it had a display")
        bus = self.folder / "run" / "bus"
        self.spawn(["dbus-daemon", "--session", "--nofork", f"--address=unix:path={bus}"], "dbus.log")
        wait_until(bus.exists, "the session bus")
        self.spawn(["openbox"], "openbox.log")
        wait_until(self._has_window_manager, "a window manager")

    def _has_window_manager(self) -> bool:
        found = subprocess.run(
            ["xdotool", "get_desktop"], env=self.environment(), capture_output=True, text=True, check=False
        )
        return found.returncode == 0

    def windows(self, name: str) -> list[str]:
        """Return the ids of visible windows whose title matches a regular expression."""
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", name],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.split()

    def screenshot(self, path: Path, window: str = "root") -> None:
        """Write what the screen, or the window of that id, shows to a PNG file."""
        subprocess.run(
            ["import", "-window", window, str(path)], env=self.environment(), check=True, timeout=20, cwd="/"
        )

    def close(self) -> None:
        """End every program in it, and remove the folder."""
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Desktop":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
