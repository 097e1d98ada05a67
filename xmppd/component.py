"""Who takes stanzas for a domain that is no virtual host: rooms, a component of its own process, other servers.

The router asks `Components` for each domain that is not among its hosts. What a component sends goes through `Shared.route`, like
everything else, with a `from` of its own domain.
"""

from typing import Protocol

from codec.stanza import Stanza
from storage.interface import Commit


class Component(Protocol):
    """One that takes stanzas."""

    def take(self, stanza: Stanza) -> Commit | None:
        """Take a stanza whose `to` is of its domain; stanzas of one sender come in the order in which they were sent.

        Returns:
            What the acknowledgement to the sender must wait for (promise 1), None when nothing.

        Raises:
            StanzaError: it is refused; the sender gets that.
        """


class Components:
    """The components of a server.

    Attributes:
        remote: takes what is for all other domains; None: there is no federation.
    """

    __slots__ = ("_by_domain", "remote")

    def __init__(self) -> None:
        self._by_domain: dict[str, Component] = {}
        self.remote: Component | None = None

    def add(self, domain: str, component: Component) -> None:
        """Have a component take what is for a domain.

        Raises:
            ValueError: another one does.
        """
        if domain in self._by_domain:
            raise ValueError(f"{domain} has a component already")
        self._by_domain[domain] = component

    def remove(self, domain: str) -> None:
        """Have nobody take what is for a domain any more; nothing happens when nobody does."""
        self._by_domain.pop(domain, None)

    def is_ours(self, domain: str) -> bool:
        """Whether a component of this server has that domain."""
        return domain in self._by_domain

    def domains(self) -> tuple[str, ...]:
        """Return the domains that components have."""
        return tuple(self._by_domain)

    def find(self, domain: str) -> Component | None:
        """Return who takes what is for a domain that is no virtual host; None: nobody."""
        return self._by_domain.get(domain, self.remote)


def both(first: Commit | None, second: Commit | None) -> Commit | None:
    """Return a commit that is done when both are, with the error of the first that failed."""
    if first is None or second is None or first is second:
        return first if second is None else second
    together = Commit()
    first.add_done_callback(
        lambda done: second.add_done_callback(lambda last: together.finish(done.error or last.error))
    )
    return together
