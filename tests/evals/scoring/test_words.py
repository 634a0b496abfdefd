"""Yes or no, however it is said."""

import pytest

from evals.scoring.words import YES_NO, stated_word


@pytest.mark.parametrize(
    ("response", "word"),
    [
        ("<answer>yes</answer>", "Yes"),
        ("The answer is not yes.", "No"),
        ("The answer is either yes or no.", None),
        ("Yes and no. The answer is no.", "No"),
        ("**Yes**", "Yes"),
        ("Answer：Yes", "Yes"),
        ("It is not true.", "No"),
        ("No, that is false.", "No"),
        ("The answer is: **No**, because yes would need frost.", "No"),
        ("<think>yes</think>No", "No"),
        ("The answer is yes? No. The answer is no.", "No"),
        ("\\boxed{\\text{Yes}}", "Yes"),
        ("\\boxed{\nYes\n}", "Yes"),
        ("Yes.", "Yes"),
        ("I would say yes.", "Yes"),
        ("So the answer is no.", "No"),
        ("There is no doubt: the answer is yes.", "Yes"),
        ("Final answer: No", "No"),
        ("No", "No"),
        ("The answer is definitely yes", "Yes"),
    ],
)
def test_the_word_that_answers(response, word):
    assert stated_word(response, YES_NO) == word
