"""Training: deterministic, and nothing private gets into a dictionary."""

import pytest

from codec.binary_dictionary import Dictionary
from codec.jid import JID
from codec.train.letters import letter_tables
from codec.train.stanzas import Generator
from codec.train.training import Found, add_names, dump, samples_of, survey, tables_of, train
from tests.codec.binary_samples import LIMITS, SAMPLES, Pair, canonical, stanza_of


def lines(users=5):
    for seed in range(users):
        world = Generator(seed)
        for number, (_, _, xml) in enumerate(world.lines()):
            if number % 3 == 0:
                yield seed, JID.parse(world.me), xml


@pytest.fixture(scope="module")
def files():
    return train(samples_of(lines()), frozenset(["anna"]), letter_tables(), ["urn:made:up thing@one@two other"])


def test_the_same_samples_give_the_same_bytes(files):
    assert (
        train(samples_of(lines()), frozenset(["anna"]), letter_tables(), ["urn:made:up thing@one@two other"]) == files
    )


def test_a_trained_dictionary_carries_any_stanza(files):
    dictionary = Dictionary(*files)
    pair = Pair()
    pair.writer.dictionary = dictionary
    pair.reader._dictionaries = {dictionary.id: dictionary}
    pair.reader.restart()
    pair.reader.feed(pair.writer.header(from_=None, id_="", to="example.org"))
    for xml in SAMPLES[:12]:
        assert canonical(pair.send(stanza_of(xml))) == canonical(stanza_of(xml))
    assert LIMITS is not None


def test_no_address_and_no_private_word_is_in_the_tables(files):
    values = Dictionary(*files).tables.values
    assert not [value for value in values if "@" in value or "anna" in value.lower().split()]


def test_names_may_be_given_beside_the_samples(files):
    assert any(shape.tag == "urn:made:up thing" for shape in Dictionary(*files).tables.shapes)


def test_what_few_sessions_hold_stays_out():
    rows = [
        (session, None, f"<message><x xmlns='urn:x' a='only-here-{session}' b='everywhere'/></message>")
        for session in range(4)
    ]
    tables = tables_of(survey(samples_of(rows)), frozenset(), [])
    assert "everywhere" in tables["values"]
    assert not [value for value in tables["values"] if value.startswith("only")]


def test_lines_that_are_no_stanza_are_left_out():
    assert samples_of([(0, None, "<message>"), (0, None, "<presence/><presence/>")]) == []


def test_names_are_counted_with_their_attributes():
    found = Found()
    add_names(["urn:x a@b@c d"], found)
    assert set(found.shapes) == {("urn:x", "a", ("b", "c")), ("urn:x", "d", ())}


def test_tables_are_written_a_line_for_each_entry():
    assert dump({"version": 0, "values": ["a", "ü"]}).decode() == '{"version":0,\n"values":[\n"a",\n"ü"\n]}\n'
