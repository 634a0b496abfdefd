"""The option that a chat model chooses: idioms, eliminations, alternatives, options that are numbers."""

import pytest

from evals.scoring.options import stated_option
from evals.task import create_task

CAPITALS = ("Paris", "London", "Berlin", "Rome")


@pytest.mark.parametrize(
    ("response", "label"),
    [
        ("<answer>B</answer>", "B"),
        ("Option B is correct.", "B"),
        ("The correct option is B.", "B"),
        ("I choose B.", "B"),
        ("Answer：B", "B"),
        ("A is wrong since Paris is in France. C is wrong. D is wrong. So B.", "B"),
        ("The answer is either A or B. Since Paris is in France, it is B.", "B"),
        ("I would go with option B.", "B"),
        ("I'd pick (B).", "B"),
        ("My choice is B", "B"),
        ("B is the right answer.", "B"),
        ("B) is correct", "B"),
        ("Therefore, B.", "B"),
        ("Hence, (B) is the answer.", "B"),
        ("It must be B.", "B"),
        ("This leaves only B.", "B"),
        ("So the answer must be B", "B"),
        ("A, C and D are wrong.", "B"),
        ("A is wrong. C is wrong. D is wrong.", "B"),
        ("The answer is not A but B.", "B"),
        ("The answer is not A; it is B.", "B"),
        ("The answer is not A.", None),
        ("The answer is A or B.", None),
        ("The answer is either A or B.", None),
        ("The answer is A? No. It is B.", "B"),
        ("The answer is B, not A.", "B"),
        ("The answer is London (B).", "B"),
        ("The answer is London, which is option B.", "B"),
        ("答案是B。", "B"),
        ("答案：（Ｂ）", "B"),
        ("选B", "B"),
        ("因此选择B。", "B"),
        ("**B**", "B"),
        ("London is the capital.\n\n**B**", "B"),
        ("B\n\nExplanation: London is the capital, Paris is not.", "B"),
        ("A. Paris is in France.\nB. London is the capital.\nC. Berlin is in Germany.\nD. Rome is in Italy.\n\nB", "B"),
        ("A. Paris is in France.\nB. London is the capital of the UK.\nC. No.\nSo it's B.", "B"),
        ("\\boxed{B}", "B"),
        ("\\boxed{\\text{B}}", "B"),
        ("\\boxed{\\textbf{(B)}}", "B"),
        ("\\boxed{B. London}", "B"),
        ("\\boxed{\\text{London}}", "B"),
        ("<answer>(B) London</answer>", "B"),
        ("<answer>London</answer>", "B"),
        ("<answer>B", "B"),
        ("<think>The answer is A? Hmm no.</think>\n\n**B**", "B"),
        ("<think>\nQuestion: capital\n</think>\nThe answer is (B).", "B"),
        ("Final answer - B", "B"),
        ("Final Answer: **B**", "B"),
        ("Answer: B. London", "B"),
        ("ANSWER: b", "B"),
        ("The best answer is B.", "B"),
        ("The answer is most likely B.", "B"),
        ("The answer is clearly B because London", "B"),
        ("Option A is incorrect. Option B is correct. Option C is incorrect.", "B"),
        ("A: incorrect\nB: correct\nC: incorrect\nD: incorrect", "B"),
        ("A ✗ B ✓ C ✗ D ✗", "B"),
        ("I think A is wrong, so B.", "B"),
        ("I think it's B.", "B"),
        ("I would not choose A. I'd select B.", "B"),
        ("We can eliminate A, C, and D.", "B"),
        ("Neither A nor C nor D fits.", "B"),
        ("Eliminating the others, the remaining option is B.", "B"),
        ("The answer is option B, London.", "B"),
        ('The answer is "B".', "B"),
        ("The answer is `B`.", "B"),
        ("The answer is: \n\nB", "B"),
        ("The answer is:\n**B) London**", "B"),
        ("The correct answer is London.", "B"),
        ("The correct letter is B", "B"),
        ("Answer is B) London", "B"),
        ("So, B is the correct choice.", "B"),
        ("If A is correct, then Paris is in the UK, which is absurd. B is correct.", "B"),
        ("Is A correct? No, B is correct.", "B"),
        ("=> B", "B"),
        ("The answer is A. Wait, no. The answer is B.", "B"),
        ("The answer can't be A, so it is B", "B"),
        ("Both A and C are wrong, D is in Italy, so it must be B.", "B"),
        ("Ⓑ", "B"),
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("A dog barks.", None),
        ("The answer is A good idea", None),
        ("I think that nobody knows", None),
        ("The answer is A because it is so", "A"),
        ("Choose B.", "B"),
        ("The answer would be A at first glance, but it is B.", "B"),
        ("Let me think. A says Paris, which is in France. B says London.", None),
        ("It's B, since London is in the UK.", "B"),
        ("The answer is B or rather option B.", "B"),
        ("Between A and B, I choose B.", "B"),
        ("I'm going with B.", "B"),
        ("The answer is definitely not A, it is B.", "B"),
        ("London is the answer.", "B"),
        ("So, the answer is (B)", "B"),
        ('"B"', "B"),
        ("B: London", "B"),
        ("Choice B", "B"),
        ("Answer B", "B"),
        ("Answer (B)", "B"),
        ("answer is option (b)", "B"),
        ("The answer lies in option B", "B"),
        ("My final choice: B", "B"),
        ("After weighing A and C, I conclude that B is correct.", "B"),
        ("The answer is **not** A. It is **B**.", "B"),
    ],
)
def test_the_chosen_option(response, label):
    """Of the capital of the United Kingdom, where the response says which."""
    assert stated_option(response, "ABCD", CAPITALS) == label


@pytest.mark.parametrize(
    ("options", "response", "label"),
    [
        (("3", "-3", "0", "1"), "The answer is −3.", "B"),
        (("1,200", "12,000", "120", "120,000"), "The answer is 12000.", "B"),
        (("1/2", "0.25", "3/4", "1"), "The answer is 0.5", "A"),
        (("$\\frac{1}{2}$", "\\frac{1}{4}", "1", "2"), "It is 1/4.", "B"),
        (("5", "3", "2", "4"), "The answer is 5 because 3 + 2 = 5", "A"),
        (("3", "-3", "0", "1"), "So 3 - 6 = -3.", "B"),
        (("10 cm", "20 cm", "30 cm", "40 cm"), "The answer is 20 centimeters", "B"),
        (("50%", "25%", "5%", "0.5%"), "The answer is 25%.", "B"),
        (("None", "NA", "nan", "N/A"), "The answer is None.", "A"),
        (("None", "NA", "nan", "N/A"), "The answer is nan", "C"),
        (("None", "NA", "nan", "N/A"), "The answer is N/A.", "D"),
        (("vitamin A", "vitamin B", "vitamin C", "vitamin D"), "The answer is vitamin C.", "C"),
        (("A only", "B only", "Both A and B", "neither"), "The answer is both A and B.", "C"),
        (("2", "4", "6", "8"), "2 + 2 = 4, so the answer is 4.", "B"),
        (("-1", "1", "-2", "2"), "\\boxed{-2}", "C"),
        (("1.5 million", "15 million", "150", "1500"), "The answer is 1,500,000.", "A"),
        (("10^3", "10^4", "10^5", "10^6"), "The answer is 10^5.", "C"),
        (
            ("True, True", "False, False", "True, False", "False, True"),
            "Statement 1 is true, and statement 2 is false. The answer is True, False.",
            "C",
        ),
        (("True", "False", "Both", "x"), "I choose B) False", "B"),
        (("True", "False", "Both", "x"), "(B) False", "B"),
        (("pure", "Not pure", "c", "d"), "B) Not pure", "B"),
    ],
)
def test_an_option_is_told_by_its_number_or_text(options, response, label):
    assert stated_option(response, "ABCD", options) == label


@pytest.mark.parametrize(
    "response",
    [
        "A and B and D are all clearly wrong.",
        "Options A and B are incorrect. Option D does not fit either. C is left.",
        "It isn't A or B or D.",
        "A can't be right, B isn't right, and D doesn't fit.",
        "Eliminate A, B and D.",
    ],
)
def test_what_is_left_is_chosen(response):
    assert stated_option(response, "ABCD") == "C"


def test_options_that_look_like_nothing_are_options(tmp_path):
    file = tmp_path / "x_test.csv"
    file.write_text('Which word?,None,NA,nan,N/A,A\n"Which, or ""which""?\nSay.",1,null,NULL,None,D\n')
    first, second = create_task("mmlu:formal_logic", data=file).samples()
    assert (first.options, first.target) == (("None", "NA", "nan", "N/A"), "A")
    assert (second.options, second.target) == (("1", "null", "NULL", "None"), "D")
