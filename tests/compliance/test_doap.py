from lxml import etree

from compliance.declaration import Declaration, Status, load
from compliance.doap import doap

NS = {
    "doap": "http://usefulinc.com/ns/doap#",
    "xmpp": "https://linkmauve.fr/ns/xmpp-doap#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}


def declared(name: str, status: Status, *, xep: int | None = None, rfc: int | None = None) -> Declaration:
    return Declaration(name, xep, rfc, "1.0", status, "0.1.0", f"xmppd.modules.{name}", "", ())


def parsed(*declarations: Declaration):
    return etree.fromstring(doap(declarations))


def test_each_document_is_an_entry_with_version_status_and_since():
    root = parsed(declared("xep_0199_ping", Status.COMPLETE, xep=199))
    entry = root.find("doap:Project/doap:implements/xmpp:SupportedXep", NS)
    resource = entry.find("xmpp:xep", NS).get(f"{{{NS['rdf']}}}resource")
    assert resource == "https://xmpp.org/extensions/xep-0199.html"
    texts = [entry.findtext(f"xmpp:{name}", namespaces=NS) for name in ("status", "version", "since")]
    assert texts == ["complete", "1.0", "0.1.0"]


def test_planned_documents_are_left_out():
    assert parsed(declared("xep_0199_ping", Status.PLANNED, xep=199)).findall(".//doap:implements", NS) == []


def test_several_modules_of_a_document_make_one_entry_with_the_least_status():
    root = parsed(
        declared("xep_0313_a", Status.COMPLETE, xep=313),
        declared("xep_0313_b", Status.PARTIAL, xep=313),
        declared("rfc_6121_roster", Status.COMPLETE, rfc=6121),
        declared("rfc_6121_presence", Status.COMPLETE, rfc=6121),
    )
    assert [el.text for el in root.iterfind(".//xmpp:status", NS)] == ["partial"]
    rfcs = [el.get(f"{{{NS['rdf']}}}resource") for el in root.iterfind("doap:Project/doap:implements", NS)]
    assert rfcs.count("https://www.rfc-editor.org/info/rfc6121") == 1


def test_the_projects_own_file_can_be_made():
    assert etree.fromstring(doap(load())).findtext("doap:Project/doap:name", namespaces=NS) == "xmppd"
