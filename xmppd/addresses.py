"""Addresses to listen on, as they are written in settings: "[::]:5222", "127.0.0.1:0"."""

import ipaddress
from typing import NamedTuple


class Address(NamedTuple):
    """A host and a TCP port; port 0 lets the kernel choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Return the address that a setting names.

    Args:
        text: "HOST:PORT", an IPv6 address in brackets; the host may be a name.

    Raises:
        ValueError: with one line that says what is missing.
    """
    host, colon, port_text = text.rpartition(":")
    if not colon or not port_text.isdecimal():
        raise ValueError(f'"{text}" has no port; write it as "127.0.0.1:5222" or "[::]:5222"')
    port = int(port_text)
    if port > 65535:
        raise ValueError(f'"{text}": a port is at most 65535')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f'"{text}": {host} is no IPv6 address') from None
    elif ":" in host:
        raise ValueError(f'"{text}": put an IPv6 address in brackets, as in "[::]:5222"')
    elif not host:
        raise ValueError(f'"{text}" has no host; "[::]:{port}" means every address of this machine')
    return Address(host, port)
