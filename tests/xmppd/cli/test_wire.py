"""What stanzas cost, told to people and to machines."""

import json

from codec.binary_dictionary import shipped

CHAT = "<message xmlns='jabber:client' from='romeo@example.net/orchard' to='juliet@example.org/balcony'><body>Hi\n</body></message>"
ROWS = [
    {"category": "_ctx", "xml": "juliet@example.org/balcony", "dir": "ctx", "session": 0},
    {"category": "chat", "xml": CHAT, "dir": "s2c", "session": 0},
    {"category": "sm_r", "xml": "<r xmlns='urn:xmpp:sm:3'/>", "dir": "s2c", "session": 0},
]


def write(folder):
    path = folder / "corpus.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    return str(path)


def test_machines_get_one_object(empty, run):
    done = run("wire", "explain", "--json", write(empty))
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == {"all", "chat", "sm_r"}
    assert set(found["all"]) == {"stanzas", "xml_bytes", "stateless_bytes", "tables_bytes", "unequal"}
    assert found["all"]["xml_bytes"] == len(CHAT) - len(" xmlns='jabber:client'") + 26
    assert (found["all"]["stanzas"], found["all"]["unequal"]) == (2, 0)


def test_people_get_the_bytes_by_field_and_a_table(empty, run):
    done = run("wire", "explain", write(empty), "--stateless")
    assert done.code == 0, done.err
    assert "2: chat, s2c: XML" in done.out
    assert "envelope" in done.out
    assert "unequal" in done.out


def test_so_many_are_explained_as_are_asked_for(empty, run):
    done = run("wire", "explain", write(empty), "--first", "1")
    assert "2: chat" in done.out
    assert "3: sm_r" not in done.out


def test_what_cannot_be_read_is_one_line(empty, run):
    assert "No such file" in run("wire", "explain", "absent").err
    (empty / "bad").write_bytes(b"\xff")
    assert "not UTF-8" in run("wire", "explain", "bad").err
    (empty / "bad").write_text("no")
    done = run("wire", "explain", "bad")
    assert (done.code, "line 1" in done.err) == (1, True)
    assert (
        f"no dictionary x; there are {', '.join(shipped())}" in run("wire", "explain", "bad", "--dictionary", "x").err
    )


def test_live_needs_a_server_and_takes_no_file(run):
    for arguments in (("--live",), ("file", "--live", "--server", "localhost:1")):
        done = run("wire", "explain", *arguments)
        assert (done.code, "--live reads no FILE, and needs --server" in done.err) == (1, True)
    assert "name a FILE" in run("wire", "explain").err
