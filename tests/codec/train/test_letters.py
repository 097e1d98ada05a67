"""Letter tables from our phrases."""

from codec.binary_letters import Letters
from codec.train.letters import SCRIPTS, letter_tables
from codec.train.phrases import phrases


def test_each_script_has_a_table_that_covers_its_phrases():
    tables = [Letters(data) for data in letter_tables()]
    assert len(tables) == len(SCRIPTS)
    for table, languages in zip(tables, SCRIPTS, strict=True):
        for language in languages:
            for text in phrases()[language][1]:
                assert table.unpack(table.pack(text)) == text


def test_the_same_phrases_give_the_same_tables():
    assert letter_tables() == letter_tables()
