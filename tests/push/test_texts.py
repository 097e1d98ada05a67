"""Texts that are cut, JSON of peers."""

import json

import pytest

from push.texts import dump, fit, json_of, shorten


@pytest.mark.parametrize("text", ["x" * 500, "é" * 500, "\U0001f600" * 200, '"' * 400, "\x01" * 300, "\ud800" * 300])
def test_a_text_is_cut_by_as_much_as_is_asked_and_hardly_more(text):
    short = shorten(text, 100)
    saved = len(dump(text)) - len(dump(short))
    assert 100 <= saved <= 110 and short.endswith("…") and text.startswith(short[:-1])


def test_the_body_is_cut_before_the_title_and_both_only_when_they_must():
    for size, title in ((10, "t" * 50), (150, "t" * 50), (10, "t" * 500)):
        texts = {"title": title, "body": "b" * size}
        data = fit({"a": 1, "texts": texts}, texts, 120)
        found = json.loads(data)["texts"]
        assert len(data) <= 120 and found["body"][0] == "b" and found["title"][0] == "t"
        assert (found["title"] == title) is (len(title) == 50)


def test_what_is_too_big_without_its_texts_is_none():
    texts = {"body": "b" * 100}
    assert fit({"a": "x" * 200, "texts": texts}, texts, 120) is None
    assert fit({"a": "x" * 200}, {}, 120) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 100_000, b'"text"', b"1" * 5000])
def test_what_is_no_object_of_a_peer_is_an_empty_one(body):
    assert json_of(body) == {}
