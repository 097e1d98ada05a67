"""Where settings come from, which wins, and what people read when one is wrong."""

from pathlib import Path

import pytest

from xmppd.addresses import Address
from xmppd.config_sources import ConfigError, find_file, load_config

PLAIN = ["c2s.require_tls=false"]


def errors(*sets: str, file: Path | None = None, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(file, [*PLAIN, *sets], environment)
    return caught.value.lines


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file `xmppd.toml` in the current folder, to be written."""
    monkeypatch.chdir(tmp_path)
    return Path("xmppd.toml")


def test_sources_go_over_each_other_in_order(file):
    file.write_text(
        '[server]\ndrain_s = 1\n[c2s]\nrequire_tls = false\n[log]\nlevel = "error"\n[scram]\niterations = 5000'
    )
    config = load_config(file, ["server.drain_s=3"], {"XMPPD_SERVER__DRAIN_S": "2", "XMPPD_LOG__LEVEL": "debug"})
    assert (config.server.drain_s, config.log.level, config.scram.iterations) == (3, "debug", 5000)


def test_paths_are_relative_to_the_files_folder(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "x.toml").write_text("[c2s]\nrequire_tls = false")
    assert load_config(tmp_path / "x.toml").server.data_dir == tmp_path / "data"


def test_paths_without_a_file_are_relative_to_the_current_folder(file, tmp_path):
    assert load_config(None, PLAIN).server.data_dir == tmp_path / "data"


@pytest.mark.parametrize(
    ("text", "value"),
    [('["127.0.0.1:15222"]', "127.0.0.1:15222"), ("[::1]:15222", "[::1]:15222"), ("127.0.0.1:0", "127.0.0.1:0")],
)
def test_set_takes_toml_values_and_bare_words(text, value):
    (address,) = load_config(None, [*PLAIN, f"c2s.listen={text}"]).c2s.listen
    assert isinstance(address, Address)
    assert str(address) == value


def test_set_takes_quoted_parts_of_a_name():
    sets = ['tls.domains."a.example".certificate=c', "tls.domains.'a.example'.key=k"]
    assert load_config(None, [*PLAIN, *sets]).tls.files_for("a.example")


def test_a_value_from_the_command_line_may_hold_an_equals_sign(tmp_path):
    config = load_config(None, [*PLAIN, f"server.data_dir={tmp_path}/a=b"])
    assert config.server.data_dir == tmp_path / "a=b"


def test_variables_without_two_underscores_are_not_settings():
    assert load_config(None, PLAIN, {"XMPPD_CONFIG": "x", "PATH": "y", "XMPPDX__Y": "z"})


def test_unknown_setting_gets_the_nearest_name(file):
    file.write_text("[c2s]\nlisen = []\n")
    assert errors(file=file) == ("xmppd.toml: c2s.lisen is not a setting; did you mean c2s.listen?",)


def test_unknown_setting_names_its_source():
    assert errors("c2s.lisen=1") == ("--set: c2s.lisen is not a setting; did you mean c2s.listen?",)
    assert errors(environment={"XMPPD_LOG__LEVL": "info"}) == (
        "XMPPD_LOG__LEVL: log.levl is not a setting; did you mean log.level?",
    )


def test_unknown_section_gets_the_nearest_name():
    assert errors("sever.drain_s=1") == ("--set: sever is not a setting; did you mean server?",)


def test_a_setting_in_the_wrong_section_is_found():
    assert errors("domains=x") == ("--set: domains is not a setting; did you mean server.domains?",)


def test_nothing_like_it_gets_no_suggestion():
    assert errors("server.qqqq=1") == ("--set: server.qqqq is not a setting",)


def test_every_fault_gets_a_line(file):
    file.write_text('[server]\ndrain_s = "soon"\n[c2s]\nlisten = ["nowhere"]\nlogin_timeout = 3\n')
    lines = errors("limits.depth=0", file=file)
    assert len(lines) == 4
    assert all("\n" not in line for line in lines)
    assert 'xmppd.toml: c2s.listen.0: "nowhere" has no port; write it as "127.0.0.1:5222" or "[::]:5222"' in lines
    assert any(line.startswith("--set: limits.depth: ") for line in lines)


def test_broken_toml_gets_its_place(file):
    file.write_text("[c2s\n")
    assert errors(file=file)[0].startswith("xmppd.toml: this is not TOML: ")
    assert "line 1" in errors(file=file)[0]


def test_a_file_that_is_no_text_gets_a_line(file):
    file.write_bytes(b"\xff\xfe")
    assert errors(file=file) == ("xmppd.toml: this is not text in UTF-8",)


def test_a_broken_value_gets_a_line():
    assert errors('c2s.listen=["a"') == ('--set c2s.listen=["a": ["a" is not a TOML value',)
    assert errors("c2s.listen") == ("--set c2s.listen: write it as section.key=value",)
    assert errors(" =3") == ("--set  =3:   is not the name of a setting",)


def test_a_line_break_smuggles_nothing_in():
    assert errors("server.drain_s=1\nx=2")[0].startswith("--set: server.drain_s: ")


def test_a_value_in_the_place_of_a_section_gets_a_line():
    assert (
        errors("server=3", "server.drain_s=3")[0] == "--set: server.drain_s: server is a value already, not a section"
    )


def test_names_of_parts_to_come_are_taken_when_empty():
    assert load_config(None, [*PLAIN, "kafka.bootstrap=[]", 'media.url=""'])
    assert errors("kafka.bootstrap=a:9092") == ("--set: kafka.bootstrap: this version does not have Kafka yet",)


def test_contradictions_name_their_source(file):
    file.write_text("[c2s]\nrequire_tls = true")
    with pytest.raises(ConfigError, match=r"^xmppd.toml: c2s.require_tls needs tls.certificate"):
        load_config(file)


def test_the_usual_file_is_found_in_the_current_folder(file):
    assert find_file(None) is None
    file.write_text("")
    assert find_file(None) == file


def test_a_file_that_is_not_there_gets_a_line(file):
    with pytest.raises(ConfigError, match=r"^nope.toml: there is no such file$"):
        find_file(Path("nope.toml"))
