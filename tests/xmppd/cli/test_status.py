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
