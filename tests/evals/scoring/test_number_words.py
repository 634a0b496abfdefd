"""Numbers in words, in a clause that announces an answer and in a sentence about other things."""

from fractions import Fraction

from evals.scoring.number_words import number_in_words
from evals.scoring.numerals import spelled


def test_a_half_alone_is_a_number_where_one_is_announced_and_nowhere_else():
    assert number_in_words("half") == "0.5"
    assert number_in_words("half", anywhere=True) is None
    assert number_in_words("a half", anywhere=True) == "0.5"


PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "twelfth": 12, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip


def test_parts_are_numbers_one_or_several():
    for part, of in PARTS.items():
        several = "halves" if part == "half" else f"{part}s"
        assert number_in_words(f"one {part}") == spelled(Fraction(1, of)), part
        assert number_in_words(f"minus seven {several}") == spelled(Fraction(-7, of)), several


def test_every_numeral_is_read():
    ones = (
        "zero one two three four five six seven eight nine ten "
        "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
    )
    tens = "twenty thirty forty fifty sixty seventy eighty ninety"
    assert [number_in_words(word) for word in ones.split()] == [str(n) for n in range(20)]
    assert [number_in_words(f"{word}-three") for word in tens.split()] == [str(n) for n in range(23, 103, 10)]
    for word, zeros in (("hundred", 2), ("thousand", 3), ("million", 6), ("billion", 9), ("trillion", 12)):
        assert number_in_words(f"two {word} and one") == str(2 * 10**zeros + 1)
    assert [number_in_words(sign) for sign in "零一二三四五六七八九〇两兩壹贰叁肆伍陆柒捌玖"] == list(
        "0123456789022123456789"
    )
    assert [number_in_words(f"三{sign}二") for sign in "十拾百佰千仟"] == ["32", "32", "302", "302", "3002", "3002"]
    assert [number_in_words(f"三{sign}二") for sign in "万萬亿億"] == ["30002", "30002", "300000002", "300000002"]
    assert number_in_words("負三點二五") == "-3.25"
