"""`xmppd wire`: what stanzas cost in the binary form, and what their bytes are for."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from codec.binary_dictionary import Dictionary, load, shipped
from codec.binary_explain import Explained
from xmppd.cli.bridge import CaOption, InsecureOption, ListenOption, cross
from xmppd.cli.errors import CommandError
from xmppd.wire_report import Line, ReportError, explained, measure, read_lines

SHOWN_CHARACTERS = 100

FileArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help='Lines of JSON with "category", "xml", "dir", "session", those of the category "_ctx" with the session\'s own JID as "xml";'
        " or one stanza a line.",
    ),
]
LiveOption = Annotated[
    bool, typer.Option("--live", help="Be a bridge to --server, and explain what crosses it, as it crosses.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object: totals of all and of each category. Live: one for each frame.")
]
LiveServerOption = Annotated[
    str, typer.Option("--server", metavar="DOMAIN[:PORT]", help="Live: the server, as for `xmppd bridge`.")
]
FirstOption = Annotated[int, typer.Option("--first", "-n", min=1, metavar="N", help="Explain that many stanzas.")]
StatelessOption = Annotated[bool, typer.Option("--stateless", help="Explain frames without tables.")]
DictionaryOption = Annotated[str, typer.Option("--dictionary", metavar="NAME", help="A shipped one; else the newest.")]


def explain(
    file: FileArgument = None,
    live: LiveOption = False,
    as_json: JsonOption = False,
    first: FirstOption = 20,
    stateless: StatelessOption = False,
    dictionary: DictionaryOption = "",
    server: LiveServerOption = "",
    listen: ListenOption = "127.0.0.1:5222",
    ca: CaOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Show the frames of stanzas, their bytes by field, and what XML would have cost: of a FILE, or of clients that connect now."""
    if live:
        if file is not None or not server:
            raise CommandError("--live reads no FILE, and needs --server")
        _explain_live(server, listen, ca, insecure, as_json)
        return
    if file is None:
        raise CommandError("name a FILE, or say --live --server DOMAIN")
    spoken = _dictionary(dictionary)
    try:
        with file.open(encoding="utf-8") as texts:
            lines = list(read_lines(texts))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file}: not UTF-8") from None
    except ReportError as error:
        raise CommandError(f"{file}: {error}") from None
    totals = measure(lines, spoken)
    if as_json:
        typer.echo(json.dumps(totals))
        return
    for line, frame in explained(lines[:first], spoken, not stateless):
        for text in _told(line, frame):
            typer.echo(text)
    for text in _table(totals):
        typer.echo(text)


def _explain_live(server: str, listen: str, ca: Path | None, insecure: bool, as_json: bool) -> None:
    from xmppd.wire_live import DOWN, UP, Crossed, Sums

    sums = {UP: Sums(), DOWN: Sums()}

    def tell(crossed: Crossed) -> None:
        sums[crossed.direction].add(crossed)
        if as_json:
            typer.echo(json.dumps(asdict(crossed)))
            return
        size, xml = crossed.frame.size_bytes, crossed.xml_bytes
        typer.echo(f"{crossed.direction}: {crossed.frame.kind} {size} bytes, XML {xml} ({_share(size, xml)})")
        for text in _fields(crossed.frame):
            typer.echo(text)

    cross(server, listen, ca, insecure, tell)
    if not as_json:
        for direction, of in sums.items():
            share = _share(of.bytes, of.xml_bytes)
            typer.echo(f"{direction}: {of.frames} frames, {of.bytes} bytes, XML {of.xml_bytes} ({share})")


def _dictionary(name: str) -> Dictionary:
    names = shipped()
    if name and name not in names:
        raise CommandError(f"no dictionary {name}; there are {', '.join(names)}")
    return load(name or names[-1])


def _told(line: Line, frame: Explained) -> Iterator[str]:
    xml = len(line.xml)
    yield f"{line.number}: {line.category}, {line.connection[1]}: XML {xml} bytes, frame {frame.size_bytes} ({_share(frame.size_bytes, xml)})"
    yield from _fields(frame)
    yield ""


def _fields(frame: Explained) -> Iterator[str]:
    for field in frame.fields:
        value = field.value if len(field.value) <= SHOWN_CHARACTERS else f"{field.value[:SHOWN_CHARACTERS]}…"
        shown = "".join(character if character.isprintable() else " " for character in value)
        yield f"  {field.size_bytes:6}  {field.name:14} {shown}".rstrip()


def _table(totals: dict[str, dict[str, int]]) -> Iterator[str]:
    width = max(len(name) for name in totals)
    yield f"{'category':{width}} {'stanzas':>8} {'XML':>10} {'stateless':>17} {'with tables':>17} {'unequal':>8}"
    for name, row in sorted(totals.items(), key=lambda item: -item[1]["xml_bytes"]):
        xml = row["xml_bytes"]
        shares = "".join(
            f" {row[form]:>10} {_share(row[form], xml):>6}" for form in ("stateless_bytes", "tables_bytes")
        )
        yield f"{name:{width}} {row['stanzas']:>8} {xml:>10}{shares} {row['unequal']:>8}"


def _share(size: int, whole: int) -> str:
    return f"{100 * size / whole:.1f}%" if whole else "-"
