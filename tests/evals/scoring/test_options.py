"""The option that a chat model chooses: idioms, eliminations, alternatives, options that are numbers."""

import pytest

from evals.scoring.choosing import is_open
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
        ("The correct answer is option (B).", "B"),
        ("The correct answer is: **B. London**", "B"),
        ("Correct Answer: B", "B"),
        ("The right choice is B.", "B"),
        ("Therefore the answer is B.", "B"),
        ("Thus, option B is the best answer.", "B"),
        ("I believe the answer is B.", "B"),
        ("I'd say B.", "B"),
        ("I'd say it's B.", "B"),
        ("My answer is B.", "B"),
        ("We choose option (B).", "B"),
        ("Let's go with B.", "B"),
        ("So I'll select B.", "B"),
        ("I select option B because London is the capital.", "B"),
        ("Answer: Option B", "B"),
        ("The solution is B.", "B"),
        ("B is true.", None),
        ("Based on this, B is the correct option.", "B"),
        ("Only B fits.", "B"),
        ("Only option B is in the UK.", "B"),
        ("That leaves B.", "B"),
        ("That leaves us with B.", "B"),
        ("Since A, C, and D are wrong, the answer must be B.", "B"),
        ("A) is incorrect, B) is correct.", "B"),
        ("The answer is neither A nor C; it is B.", "B"),
        ("The answer is not Paris but London.", "B"),
        ("The answer is B and not A.", "B"),
        ("The answer is B rather than A.", "B"),
        ("The answer is B (not A or C).", "B"),
        ("The answer is B, although A is tempting.", "B"),
        ("The answer could be A or B, but I choose B.", "B"),
        ("It could be A, but B is better.", None),
        ("A or B? B.", "B"),
        ("The options are A, B, C and D. The answer is B.", "B"),
        ("I was torn between A and C, but the answer is B.", "B"),
        ("At first I thought A, but it is B.", "B"),
        ("Initially, I chose A. On reflection, I choose B.", "B"),
        ("The answer is A... no, wait, the answer is B.", "B"),
        ("**Answer: B**", "B"),
        ("**Answer:** (B)", "B"),
        ("### Answer\nB", "B"),
        ("### Answer: B) London", "B"),
        ("Final Answer: $\\boxed{B}$", "B"),
        ("$\\boxed{\\text{(B) London}}$", "B"),
        ("\\boxed{\\mathrm{B}}", "B"),
        ("\\boxed{\\textbf{B}} London", "B"),
        ("\\boxed{\n\\text{B}\n}", "B"),
        ("<answer> B </answer>", "B"),
        ("<answer>\n(B)\n</answer>", "B"),
        ("<answer>Option B</answer>", "B"),
        ("<Answer>B. London</Answer>", "B"),
        ("<answer>The answer is B</answer>", "B"),
        ("<final_answer>B</final_answer>", "B"),
        ('{"answer": "B"}', "B"),
        ('{"choice": "B"}', "B"),
        ("The answer is B!!", "B"),
        ("B!", "B"),
        ("B, because London is the capital.", "B"),
        ("B - London", "B"),
        ("B – London", "B"),
        ("B: London is the capital of the UK.", "B"),
        ("[B]", "B"),
        ("{B}", "B"),
        ("'B'", "B"),
        ("Answer:B", "B"),
        ("answer：ｂ", "B"),
        ("答案选B", "B"),
        ("正确答案是（B）。", "B"),
        ("选项B正确。", "B"),
        ("应该选B", "B"),
        ("我选择B", "B"),
        ("故选B。", "B"),
        ("答えはBです。", "B"),
        ("<think>A? The answer is A.</think>B", "B"),
        ("<think>The answer is A</think>\n\nI choose B.", "B"),
        ("The answer is A</think>The answer is B", "B"),
        ("<think>The answer is B", None),
        (
            "C is wrong because Berlin is in Germany. D is wrong because Rome is in Italy. A is wrong, since Paris is in France.",
            "B",
        ),
        ("Not A, not C, not D.", "B"),
        ("It's not A. It's not C. It's not D.", "B"),
        ("A: wrong\nB: right\nC: wrong\nD: wrong", "B"),
        ("A - No\nB - Yes\nC - No", None),
        ("- A: Paris is in France ❌\n- B: London is in the UK ✅\n- C: ❌", "B"),
        ("Question: Which is the capital?\n(A) Paris (B) London\nAnswer: B", "B"),
        ("Answer: B\n\nQuestion: Which?\n(A) x\nAnswer: A", "B"),
        ("(B)\n\nQuestion: next? Answer: (C)", "B"),
        ("The United Kingdom's capital is London.", "B"),
        ("It's London", "B"),
        ("London", "B"),
        ("london.", "B"),
        ("The capital isn't Paris; it's London.", None),
        ("Both Paris and London are big, but the answer is London.", "B"),
        ("As an AI, I choose B.", "B"),
        ("I am not sure.", None),
        ("I do not know, A or B.", None),
        ("None of these.", None),
        ("The answer is E.", None),
        ("The answer is the letter B", "B"),
        ('The answer is letter "B".', "B"),
        ("Answer: (B) London, since it is.", "B"),
        ("The best option here would be B.", "B"),
        ("My pick: B", "B"),
        ("I'm confident that B is correct.", "B"),
        ("I'm confident it's (B).", "B"),
        ("In conclusion, B.", "B"),
        ("In conclusion: option B", "B"),
        ("To conclude, the correct one is B.", "B"),
        ("Ergo B.", "B"),
        ("Hence B", "B"),
        ("so (B)", "B"),
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


@pytest.mark.parametrize(
    ("options", "response", "label"),
    [
        # Options whose texts are letters: the letter in the form that the prompt asks for is the label.
        (("C", "D", "A", "B"), "The answer is (C)", "C"),
        (("C", "D", "A", "B"), "The answer is C.", "C"),
        (("C", "D", "A", "B"), "**Answer: C**", "C"),
        (("C", "D", "A", "B"), "Answer: C. A", "C"),
        (("C", "D", "A", "B"), "\\boxed{C}", "C"),
        # Texts that differ in signs only.
        (("x<3", "x>3", "x=3", "x≥3"), "The answer is $x > 3$", "B"),
        (("x<3", "x>3", "x=3", "x≥3"), "Answer: x ≥ 3.", "D"),
        (("[1,2]", "(1,2]", "[1,2)", "(1,2)"), "Answer: (1, 2]", "B"),
        (("p", "~p", "p → q", "p ∧ q"), "The answer is p → q", "C"),
        (("3", "3!", "4", "4!"), "The answer is 3!", "B"),
        (("C", "C++", "C#", "F#"), "The answer is C#", "C"),
    ],
)
def test_a_letter_is_a_label_and_signs_tell_texts_apart(options, response, label):
    assert stated_option(response, "ABCD", options) == label


@pytest.mark.parametrize(
    "response",
    [
        "The answer is (A) or (C)",
        "Answer: A, C",
        "Answer: (A), (B) and (D).",
        "A, C",
        "\\boxed{A, C}",
        "<answer>A and B</answer>",
    ],
)
def test_several_letters_are_no_answer(response):
    assert stated_option(response, "ABCD", ("w", "x", "y", "z")) is None


def test_what_is_announced_after_several_letters_counts():
    assert stated_option("The answer is A or C.\nNo: the answer is (B).", "ABCD", ("w", "x", "y", "z")) == "B"


def test_several_letters_may_be_the_text_of_one_option():
    options = ("All of the above", "A and C", "only A", "none")
    assert stated_option("The answer is A and C.", "ABCD", options) == "B"


@pytest.mark.parametrize(
    ("clause", "several"),
    [("either A or B", True), ("A and C", True), ("A or Z", False), ("A or A", False), ("B", False)],
)
def test_a_clause_is_open_where_it_begins_with_two_of_the_options(clause, several):
    assert is_open(clause, "ABCD") == several
