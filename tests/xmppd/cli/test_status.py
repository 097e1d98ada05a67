"""Whether the server is well."""

import json

from xmppd.cli.status import view


def test_a_sound_server_is_exit_code_0(folder, run, stand_in):
    done = run("status")
    assert done.code == 0
    assert "running" in done.out


def test_a_fault_is_exit_code_1_with_its_reason(folder, run, stand_in):
    stand_in.status["faults"] = ["the disk is full"]
    done = run("status")
    assert done.code == 1
    assert "the disk is full" in done.out


def test_no_server_is_exit_code_1(folder, run):
    done = run("status")
    assert done.code == 1
    assert "no server is running" in done.out


def test_machines_get_one_object(folder, run, stand_in):
    found = json.loads(run("status", "--json").out)
    assert found["running"] is True
    assert found["faults"] == []


def test_machines_get_one_object_also_without_a_server(folder, run):
    done = run("status", "--json")
    assert done.code == 1
    assert json.loads(done.out) == {"running": False, "faults": ["no server is running"]}


def test_people_see_addresses_and_sessions():
    text = view(
        {"running": True, "addresses": {"c2s": ["[::]:5222"], "http": []}, "metrics": {"sessions": 3, "bytes_sent": 9}}
    ).plain
    assert "listens for c2s   [::]:5222\n" in text
    assert "listens for http  none" in text
    assert "sessions          3\n" in text
    assert "bytes" not in text


def route(theirs, waiting=0, failure=None, is_connected=False):
    return {"ours": "a.example", "theirs": theirs, "is_connected": is_connected, "waiting": waiting, "failure": failure}


def test_people_see_which_other_domains_are_in_trouble():
    routes = [route("b.example", is_connected=True), route("c.example", 1), route("d.example", 3, "it offers no TLS")]
    lines = view({"running": True, "routes": routes}).plain.splitlines()
    assert lines[-3:] == [
        "other servers  1 connected",
        "  a.example to d.example: 3 waiting, it offers no TLS",
        "  a.example to c.example: 1 waiting",
    ]


def test_only_so_many_of_them_are_shown():
    routes = [route(f"d{number}.example", 1) for number in range(25)]
    lines = view({"running": True, "routes": routes}).plain.splitlines()
    assert len(lines) == 2 + 20 + 1 and lines[-1] == "  and 5 more; --json has them all"
