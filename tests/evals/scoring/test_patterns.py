"""Whether a pattern is found, or why that cannot be told."""

import pytest

from evals.scoring.patterns import found_in


@pytest.mark.parametrize(
    ("pattern", "found"), [("b+c", True), ("^b", False), ("(", "error: missing \\), unterminated subpattern")]
)
def test_a_pattern_is_found_or_not_or_is_none(pattern, found):
    said = found_in(pattern, "abbc")
    assert said is found if isinstance(found, bool) else "unterminated subpattern" in said
