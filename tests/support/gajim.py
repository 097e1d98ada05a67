"""Gajim in a window of a `Desktop`: its profile made by us, driven by keys, and read in its own database."""

import json
import re
import sqlite3
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemon import wait_until
from tests.support.desktop import Desktop

PROGRAMS = ("Xvfb", "gajim", "xdotool", "import", "openbox", "dbus-daemon", "setpriv")
MAIN_WINDOW = "Gajim$"
SETTINGS_VERSION = 5  # of Gajim 1.7; it migrates from older ones and refuses newer ones


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One row of Gajim's history: the other side, the text, and whether it was received."""

    jid: str
    text: str
    is_incoming: bool
    stanza_id: str | None


class Gajim:
    """One Gajim with one account.

    Args:
        desktop: where its window is.
        profile: a name; another name is another, empty, installation.
        jid, password: the account.
        port: of 127.0.0.1.
        certificate: the server's certificate (PEM) that Gajim is told to trust, as a person would by "accept".
        direct_tls: TLS from the first byte, else STARTTLS.
        plain: no TLS at all, as to a bridge on the same machine.
        chats: bare JIDs whose chats are open from the start.
        plugins: those of its own that are switched on, by the names of their folders ("omemo").
    """

    def __init__(
        self,
        desktop: Desktop,
        profile: str,
        jid: str,
        password: str,
        port: int,
        certificate: Path,
        *,
        direct_tls: bool = False,
        plain: bool = False,
        chats: Sequence[str] = (),
        plugins: Sequence[str] = (),
    ) -> None:
        self.desktop = desktop
        self.profile = desktop.home / profile
        self.log_path = desktop.folder / f"gajim-{profile}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.profile.mkdir()
        trusted = self.profile / "cert_store"
        trusted.mkdir()
        (trusted / "server").write_bytes(first_certificate(certificate.read_bytes()))
        kind = "PLAIN" if plain else "DIRECT TLS" if direct_tls else "START TLS"
        self._write_settings(jid, password, port, kind, chats, plugins)
        desktop.give(self.profile)

    def _write_settings(
        self, jid: str, password: str, port: int, kind: str, chats: Sequence[str], plugins: Sequence[str]
    ) -> None:
        local, _, domain = jid.partition("@")
        workspace = str(uuid.uuid4())
        account = {
            "name": local,
            "account_label": local,
            "hostname": domain,
            "password": password,
            "savepass": True,
            "active": True,
            "autoconnect": True,
            "use_custom_host": True,
            "custom_host": "127.0.0.1",
            "custom_port": port,
            "custom_type": kind,
            "confirm_unencrypted_connection": False,
            "autoauth": True,
        }
        app = {
            "use_keyring": False,
            "show_main_window_on_startup": "always",
            "check_for_update": False,
            "ask_online_status": False,
            "auto_popup": True,
        }
        open_chats = [
            {
                "account": local,
                "jid": {"__type": "JID", "value": chat},
                "type": "contact",
                "pinned": False,
                "position": -1,
            }
            for chat in chats
        ]
        look = {"name": "Chats", "color": "rgb(191,15,167)", "avatar_sha": "", "chats": open_chats}
        rows = {
            "app": app,
            "soundevents": {},
            "status_presets": {},
            "proxies": {},
            "plugins": {name: {"active": True} for name in plugins},
            "workspaces": {workspace: look},
        }
        with sqlite3.connect(self.profile / "settings.sqlite") as db:
            db.execute("CREATE TABLE settings (name TEXT UNIQUE, settings TEXT)")
            db.execute("CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT)")
            db.executemany("INSERT INTO settings VALUES (?, ?)", [(k, json.dumps(v)) for k, v in rows.items()])
            settings = {"account": account, "contact": {}, "group_chat": {}}
            db.execute("INSERT INTO account_settings VALUES (?, ?)", (local, json.dumps(settings)))
            db.execute(f"PRAGMA user_version={SETTINGS_VERSION}")
        db.close()

    def start(self) -> None:
        """Start it and wait for its window."""
        self.process = self.desktop.spawn(["gajim", "-c", str(self.profile), "-v"], self.log_path.name)
        self.window()

    def select_chat(self, jid: str) -> None:
        """Bring one of the open chats to the front; the keyboard's focus is then in its input."""
        before = len(self.log_text())
        self.desktop.run("gajim", "-c", str(self.profile), f"xmpp:{jid}?message")
        self.wait_log(f"open xmpp:{jid}", before)

    def type_message(self, text: str) -> None:
        """Type a text into the chat that is open and press Return."""
        window = self.window()
        self.desktop.run("xdotool", "windowactivate", "--sync", window)
        self.desktop.run("xdotool", "type", "--delay", "20", text)
        self.press(window, "Return")

    def press(self, window: str, keys: str) -> None:
        """Press keys in a window of it."""
        self.desktop.run("xdotool", "windowactivate", "--sync", window)
        self.desktop.run("xdotool", "key", keys)

    def window(self) -> str:
        """Return the id of its main window, waiting for it."""
        return wait_until(lambda: self.desktop.windows(MAIN_WINDOW), "Gajim's window", 40)[0]

    def history(self) -> list[LoggedMessage]:
        """Return what Gajim has in its message database, oldest first; empty while there is no database."""
        path = self.profile / "logs.db"
        if not path.exists():
            return []
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            rows = db.execute(
                "SELECT jid, message, kind, stanza_id FROM logs JOIN jids USING (jid_id)"
                " WHERE kind IN (4, 6) ORDER BY time, log_line_id"
            ).fetchall()
        except sqlite3.OperationalError:  # being made, or being written
            return []
        finally:
            db.close()
        return [LoggedMessage(jid, text, kind == 4, stanza_id) for jid, text, kind, stanza_id in rows]

    def wait_logged(self, text: str, timeout_s: float = 20.0) -> LoggedMessage:
        """Wait until a message with that text is in Gajim's database."""
        return wait_until(
            lambda: next((m for m in self.history() if m.text == text), None), f"{text!r} in Gajim's history", timeout_s
        )

    def log_text(self) -> str:
        """Return its debug log, which holds every stanza in and out."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, words: str, after: int = 0, timeout_s: float = 30.0) -> int:
        """Wait until the debug log holds `words` beyond that position, and return the position after them."""

        def probe() -> int | None:
            found = self.log_text().find(words, after)
            return found + len(words) if found >= 0 else None

        return wait_until(probe, f"{words!r} in Gajim's log", timeout_s)

    def saw_presence(self, jid: str) -> bool:
        """Wait until it has received presence from a bare JID; True then."""
        words = re.compile(rf"<presence[^>]* from=['\"]{re.escape(jid)}/")
        return wait_until(lambda: bool(words.search(self.log_text())), f"presence of {jid} in Gajim's log")

    def quit(self) -> None:
        """Press the keys that quit, and wait for the end."""
        if self.process is None:
            return
        self.press(self.window(), "ctrl+q")
        self.process.wait(20)
        self.process = None


def first_certificate(pem: bytes) -> bytes:
    """Return the first certificate of a PEM file: the server's own, without the chain."""
    end = b"-----END CERTIFICATE-----"
    head, _, _ = pem.partition(end)
    return head[head.index(b"-----BEGIN CERTIFICATE-----") :] + end + b"\n"
