"""`xmppd init`: a first `xmppd.toml`, with a self-signed certificate."""

from pathlib import Path
from typing import Annotated

import typer

from codec.jid import InvalidJID, prepare_domainpart
from xmppd.certificates import make_self_signed
from xmppd.cli.errors import CommandError
from xmppd.config_reference import annotated
from xmppd.config_sources import DEFAULT_FILE

CERTIFICATE_DAYS = 825

DomainOption = Annotated[
    list[str] | None, typer.Option("--domain", "-d", metavar="DOMAIN", help="A virtual host; may be repeated.")
]


def init(domain: DomainOption = None) -> None:
    """Write an annotated xmppd.toml, and a self-signed certificate in ./data, in the current folder."""
    file = Path(DEFAULT_FILE)
    if file.exists():
        raise CommandError(f"{file} is here already; nothing was changed")
    try:
        domains = [prepare_domainpart(text) for text in domain or ["localhost"]]
    except InvalidJID as error:
        raise CommandError(f"--domain: {error}") from None
    certificate, key = Path("data/certificate.pem"), Path("data/key.pem")
    try:
        certificate.parent.mkdir(mode=0o700, exist_ok=True)
        if not certificate.exists() and not key.exists():
            make_self_signed(domains, certificate, key, CERTIFICATE_DAYS)
            typer.echo(f"wrote {certificate} and {key}: self-signed, so clients ask whether to trust it")
        chosen = {
            "server.domains": domains,
            "server.data_dir": "data",
            "tls.certificate": str(certificate),
            "tls.key": str(key),
        }
        file.write_text(annotated(chosen), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename or Path.cwd()}: {error.strerror or error}") from None
    typer.echo(f"wrote {file} for {', '.join(domains)}")
    typer.echo(f"next: xmppd account add NAME@{domains[0]}, then xmppd serve")
