"""Words that stand by themselves, in several scripts, and numbers that are no part of others."""

import pytest

from agents.whole_words import whole_words

WHOLE = [
    ("invalid, then valid", "valid"),
    ("Paris.", "Paris"),
    ("1.Paris", "Paris"),
    ("答案是A。", "A"),
    ("答案是Paris吗", "Paris"),
    ("在北京的", "北京"),
    ("Answer: 3.", "3"),
    ("3, 4 and 5", "3"),
    ("1-3", "3"),
    ("(2)-3", "3"),
    ("- 3", "3"),
    ("कि क", "क"),
    ("a_b c", "c"),
]
WITHIN = [
    ("invalid", "valid"),
    ("validity", "valid"),
    ("Parisian", "Paris"),
    ("3.5", "3"),
    ("3.5", "5"),
    ("1,300", "1"),
    ("1/3", "3"),
    ("13", "3"),
    ("x = -3", "3"),
    ("−3", "3"),
    ("कि", "क"),
    ("a_b", "a"),
    ("", "a"),
    ("a", ""),
]


@pytest.mark.parametrize(("text", "word"), WHOLE)
def test_a_word_stands_by_itself(text, word):
    assert text[: next(whole_words(text, word))].endswith(word)


@pytest.mark.parametrize(("text", "word"), WITHIN)
def test_a_part_of_a_word_or_number_is_none(text, word):
    assert list(whole_words(text, word)) == []


def test_places_come_from_the_last_to_the_first():
    assert list(whole_words("aa a aa a", "a")) == [9, 4]
    assert list(whole_words("a b a b a b a", "a b a")) == [13, 9, 5]
