"""Names from anybody are harmless; a key's ending alone says what a file is."""

import pytest

from xmppd.uploads.names import MAX_NAME_BYTES, TYPES, ending_of, is_key, kind_of, media_type, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\0b.png", "ab.png"),
        ("a\r\nSet-Cookie: x.png", "aSet-Cookie: x.png"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\u200bb\ufeff.txt", "ab.txt"),
        ("a\u2028b", "ab"),
        (".htaccess", "htaccess"),
        ("...", "file"),
        ("", "file"),
        ("/", "file"),
        (" . ", "file"),
        ("e\u0301te\u0301.jpg", "été.jpg"),
        ("写真.jpg", "写真.jpg"),
        ("\ud800.jpg", "jpg"),
    ],
)
def test_a_name_becomes_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert safe_name(safe) == safe


@pytest.mark.parametrize("name", ["x" * 3000 + ".jpeg", "写" * 500 + ".png", "a." + "b" * 4000, "x" * 10_000])
def test_a_long_name_is_cut_before_its_ending(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME_BYTES
    assert safe_name(safe) == safe
    ending = name.rpartition(".")[2]
    assert len(ending) > 12 or safe.endswith(f".{ending}")


def test_a_type_loses_its_parameters_and_is_checked() -> None:
    assert media_type("Text/HTML; charset=utf-8") == "text/html"
    for text in ("", "html", "text/", "text/html\r\nx: y", "a/b c", "é/x", "x" * 70 + "/y"):
        assert media_type(text) == ""


def test_the_said_type_decides_over_the_name() -> None:
    assert ending_of("image/png", "a.jpg") == "png"
    assert ending_of("text/html", "a.jpg") == "bin"
    assert ending_of("image/svg+xml", "a.svg") == "bin"


def test_without_a_type_the_name_decides() -> None:
    assert [ending_of("", name) for name in ("a.JPEG", "a.ogg", "a.html", "a.svg", "jpg.", "x")] == [
        "jpg",
        "oga",
        "bin",
        "bin",
        "bin",
        "bin",
    ]


def test_nothing_that_runs_is_shown() -> None:
    shown = {kind.type for kind in TYPES.values() if kind.is_shown}
    assert all(type_.split("/")[0] in ("image", "audio", "video") for type_ in shown)
    assert "image/svg+xml" not in shown
    assert kind_of("abc.bin").is_shown is False
    assert kind_of("abc.html").type == "application/octet-stream"


def test_a_key_is_of_one_form() -> None:
    assert is_key("a" * 32 + ".jpg")
    for key in ("a" * 31 + ".jpg", "../" + "a" * 29 + ".jpg", "a" * 32, "a" * 32 + ".j/g", "a" * 32 + ".jpg\n"):
        assert not is_key(key)
