"""All findings together."""

import json


def test_a_fresh_folder_is_sound(empty, run):
    run("init")
    done = run(
        "check", "--set", "c2s.listen=127.0.0.1:0", "--set", "c2s.direct_tls=127.0.0.1:0", "--set", "http.listen=[]"
    )
    assert done.code == 0, done.out
    assert "certificate for localhost" in done.out
    assert "not checked: not a public name" in done.out


def test_a_fault_is_exit_code_1(folder, run):
    (folder / "data").mkdir()
    (folder / "data" / "xmppd.db").write_bytes(b"no database" * 1000)
    done = run("check", "--set", "server.domains=localhost")
    assert done.code == 1
    assert "damaged" in done.out


def test_machines_get_a_list(folder, run):
    found = json.loads(run("check", "--json", "--set", "server.domains=localhost").out)
    assert {"about", "state", "detail"} == set(found[0])
    assert [one["state"] for one in found if one["about"] == "certificate"] == ["warning"]


def test_wrong_settings_are_exit_code_2(folder, run):
    assert run("check", "--set", "c2s.lisen=1").code == 2
