"""Numbers in words, in a clause that announces an answer and in a sentence about other things."""

from evals.scoring.number_words import number_in_words


def test_a_half_alone_is_a_number_where_one_is_announced_and_nowhere_else():
    assert number_in_words("half") == "0.5"
    assert number_in_words("half", anywhere=True) is None
    assert number_in_words("a half", anywhere=True) == "0.5"
