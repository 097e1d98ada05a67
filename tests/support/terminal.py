"""A program in a terminal that nobody sees: tmux runs it, keys go in, and its screen is read."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.daemon import wait_until


class Terminal:
    """One program in a tmux of its own.

    Args:
        folder: holds the tmux socket; its path must be short (a socket's limit of 107 bytes).
        command: the program and its arguments.
        environment: the program's whole environment besides PATH and TERM.
        columns, lines: the size of the screen.
    """

    def __init__(
        self, folder: Path, command: Sequence[str], environment: Mapping[str, str], columns: int = 140, lines: int = 50
    ) -> None:
        self.socket = folder / "tmux"
        self.environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), *command)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout

    def type_line(self, text: str) -> None:
        """Type a line and press Enter."""
        self._tmux("send-keys", "-l", text)
        self._tmux("send-keys", "Enter")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names for them ("Enter", "M-1", "PageUp")."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """Return what the screen shows, lines joined by newlines."""
        return self._tmux("capture-pane", "-p")

    def wait_screen(self, pattern: str, timeout_s: float = 20.0) -> str:
        """Wait until the screen shows a regular expression, and return the screen.

        Raises:
            TimeoutError: it did not; the text has the screen.
        """
        try:
            return wait_until(lambda: self._matching(pattern), f"screen with {pattern!r}", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{self.screen()}") from None

    def _matching(self, pattern: str) -> str | None:
        screen = self.screen()
        return screen if re.search(pattern, screen) else None

    def close(self) -> None:
        """End the program and its tmux."""
        subprocess.run(
            ["tmux", "-S", str(self.socket), "kill-server"], env=self.environment, capture_output=True, check=False
        )
