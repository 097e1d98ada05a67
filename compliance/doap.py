"""Make a DOAP file (Description of a Project) from the declarations: `python -m compliance.doap > xmppd.doap`.

The XSF's lists of software read such files; the vocabulary for XEPs is https://linkmauve.fr/ns/xmpp-doap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from lxml import etree

from compliance.declaration import Declaration, Status, load

DOAP = "http://usefulinc.com/ns/doap#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMPP = "https://linkmauve.fr/ns/xmpp-doap#"
NAMESPACES = {None: DOAP, "rdf": RDF, "xmpp": XMPP}


def doap(declarations: Iterable[Declaration], *, name: str = "xmppd", description: str = "An XMPP server") -> bytes:
    """Return the DOAP document as UTF-8 XML.

    Planned documents are left out. Several modules of one document make one entry, whose
    status is the least of theirs.
    """
    root = etree.Element(f"{{{RDF}}}RDF", nsmap=NAMESPACES)
    project = etree.SubElement(root, f"{{{DOAP}}}Project")
    for tag, value in (("name", name), ("shortdesc", description), ("programming-language", "Python")):
        etree.SubElement(project, f"{{{DOAP}}}{tag}").text = value
    for group in _by_document(declarations):
        _implements(project, group)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _by_document(declarations: Iterable[Declaration]) -> list[list[Declaration]]:
    groups: dict[str, list[Declaration]] = {}
    for found in declarations:
        groups.setdefault(found.document, []).append(found)
    return [groups[document] for document in sorted(groups) if _status(groups[document]) is not Status.PLANNED]


def _status(group: list[Declaration]) -> Status:
    order = list(Status)
    return min((found.status for found in group), key=order.index)


def _implements(project: etree._Element, group: list[Declaration]) -> None:
    first = group[0]
    implements = etree.SubElement(project, f"{{{DOAP}}}implements")
    if first.xep is None:
        implements.set(f"{{{RDF}}}resource", f"https://www.rfc-editor.org/info/rfc{first.rfc}")
        return
    supported = etree.SubElement(implements, f"{{{XMPP}}}SupportedXep")
    page = etree.SubElement(supported, f"{{{XMPP}}}xep")
    page.set(f"{{{RDF}}}resource", f"https://xmpp.org/extensions/xep-{first.xep:04d}.html")
    note = " ".join(found.note for found in group if found.note)
    values = (("status", _status(group).value), ("version", first.version), ("since", first.since), ("note", note))
    for tag, value in values:
        if value:
            etree.SubElement(supported, f"{{{XMPP}}}{tag}").text = value


def main() -> None:
    """Write the DOAP file of this server's declarations to standard output."""
    sys.stdout.buffer.write(doap(load()))


if __name__ == "__main__":
    main()
