"""XEP-0092: Software Version."""

from dataclasses import dataclass
from importlib import metadata

from codec.payload import Payload, child_text
from codec.stanza import IQ
from xmppd.module import Module, Target, iq_get

NS = "jabber:iq:version"
NAME = "xmppd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Payload, tag=(NS, "query")):
    """The question, which is empty, or the answer. The operating system is nobody's business, so there is no <os/>."""

    name: str | None = child_text()
    version: str | None = child_text()


class VersionModule(Module, xep=92, features=(NS,)):
    """Tell the server's name and version."""

    @iq_get(Version, to=(Target.DOMAIN,))
    def answer(self, _: IQ) -> Version:
        """Return what is installed."""
        return Version(name=NAME, version=installed_version())


def installed_version() -> str:
    """Return the version of the installed package, "unknown" when it runs from its sources alone."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "unknown"
