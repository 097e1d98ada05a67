"""Accounts out of files and into them, in a `World` without sockets."""

from pathlib import Path

from codec.jid import JID
from tests.support.world import World
from xmppd.pie_export import FOOT, HEAD, export_account
from xmppd.pie_import import PieImport, Summary

MODULES = (
    "rfc_6121_roster",
    "rfc_6121_presence",
    "rfc_6121_subscription",
    "rfc_6121_message",
    "xep_0030_disco",
    "xep_0049_private",
    "xep_0054_vcard",
    "xep_0060_pubsub",
    "xep_0115_caps",
    "xep_0160_offline",
    "xep_0163_pep",
    "xep_0191_blocking",
    "xep_0313_mam",
    "xep_0359_ids",
    "xep_0402_bookmarks",
    "xep_0441_mam_prefs",
)


def user(inner: str = "", name: str = "juliet", attrs: str = "password='s3cret'", domain: str = "example.org") -> str:
    """Return a file with one user."""
    return (
        f"<server-data xmlns='urn:xmpp:pie:0'><host jid='{domain}'><user name='{name}' {attrs}>{inner}</user></host>"
        "</server-data>"
    )


async def import_text(world: World, folder: Path, text: str, *, may_merge: bool = False) -> Summary:
    """Import a file with this text."""
    path = folder / "accounts.xml"
    path.write_text(text)
    return await PieImport(world.shared.hosts, may_merge=may_merge).run(path)


async def export_text(world: World, jid: str = "juliet@example.org", *, with_all: bool = False) -> str:
    """Return what an export of one account writes."""
    parts = [HEAD]
    await export_account(world.shared.hosts["example.org"], JID.parse(jid), parts.append, with_all=with_all)
    return b"".join([*parts, FOOT]).decode()


def inside(text: str) -> list[str]:
    """Return the lines between <user> and </user>, credentials aside: an element each."""
    lines = text[text.index("<user") : text.index("</user>")].splitlines()[1:]
    return [line for line in lines if line and "scram-credentials" not in line]
