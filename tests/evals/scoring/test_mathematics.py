"""Expressions as chat models write them, against the answer in another form: boxes, mixed numbers, sets, tiny and huge values."""

import json

import pytest

from evals.scoring.mathematics import boxed_expression, equal, spelled, stated_expression
from evals.scoring.text import boxed
from evals.task import create_task

pytest.importorskip("math_verify")


@pytest.mark.parametrize(
    ("target", "response", "verdict"),
    [
        ("42", "Therefore the answer is\n\\[\\boxed{\n42\n}\\]", "correct"),
        ("\\frac{3}{4}", "\\[\n\\boxed{\n\\dfrac{3}{4}\n}\n\\]", "correct"),
        ("\\frac{1}{2004!}", "\\boxed{\\frac{1}{2006!}}", "incorrect"),
        ("\\frac{1}{2004!}", "\\boxed{1/2004!}", "correct"),
        ("\\frac{1}{2^{99}}", "\\boxed{2^{-99}}", "correct"),
        ("2^{100}", "\\boxed{2^{100}+1}", "incorrect"),
        ("2^{100}", "\\boxed{1267650600228229401496703205376}", "correct"),
        ("10^{-12}", "\\boxed{10^{-13}}", "incorrect"),
        ("\\frac{1}{10^{20}}", "\\boxed{0}", "incorrect"),
        ("100!", "\\boxed{100! + 1}", "incorrect"),
        ("e^{-50}", "\\boxed{e^{-51}}", "incorrect"),
        ("\\sqrt{2}^{-80}", "\\boxed{2^{-40}}", "correct"),
        ("\\binom{100}{50}", "\\boxed{\\binom{100}{49}}", "incorrect"),
        ("\\binom{10}{5}", "\\boxed{252}", "correct"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\boxed{\\begin{pmatrix}1\\\\2\\end{pmatrix}}", "correct"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\boxed{\\begin{pmatrix}1\\\\ 3\\end{pmatrix}}", "incorrect"),
        (
            "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
            "\\boxed{\n\\begin{pmatrix}\n1 & 2 \\\\\n3 & 4\n\\end{pmatrix}\n}",
            "correct",
        ),
        (
            "\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}",
            "\\boxed{\\begin{bmatrix} \\frac{1}{5} \\\\[4pt] -\\frac{18}{5} \\end{bmatrix}}",
            "correct",
        ),
        (
            "\\begin{pmatrix} -1/3 \\\\ 2/3 \\\\ 5/3 \\end{pmatrix}",
            "$$\\boxed{\\begin{pmatrix} -\\dfrac{1}{3} \\\\ \\dfrac{2}{3} \\\\ \\dfrac{5}{3} \\end{pmatrix}}$$",
            "correct",
        ),
        ("\\frac{5}{2}", "\\boxed{2\\frac{1}{2}}", "correct"),
        ("\\frac{21}{2}", "\\boxed{2\\frac{1}{2}}", "incorrect"),
        ("2\\frac{1}{2}", "\\boxed{\\frac{5}{2}}", "correct"),
        ("2\\frac{1}{2}", "\\boxed{2.5}", "correct"),
        ("-2\\frac{1}{2}", "\\boxed{-\\frac{5}{2}}", "correct"),
        ("-\\frac{3}{2}", "\\boxed{-2\\frac{1}{2}}", "incorrect"),
        ("2\\frac{1}{2}", "\\boxed{2 \\frac12}", "correct"),
        ("2\\frac{1}{2}", "\\boxed{2\\,\\tfrac{1}{2}}", "correct"),
        ("2\\frac{1}{2}", "\\boxed{2\\ \\frac{1}{2}\\text{ hours}}", "correct"),
        ("137\\frac{1}{2}", "\\boxed{137.5}", "correct"),
        ("x=2\\frac{1}{2}", "\\boxed{\\frac52}", "correct"),
        ("1", "\\boxed{2\\frac{1}{2}}", "incorrect"),
        ("\\frac{5}{2}\\pi", "\\boxed{2\\frac{1}{2}\\pi}", "correct"),
        ("x^2\\frac{1}{2}", "\\boxed{\\frac{x^2}{2}}", "correct"),
        ("2\\frac{1}{2}", "\\boxed{2 1/2}", "correct"),
        ("2\\frac{1}{2}", "\\boxed{2½}", "correct"),
        ("x \\in [-2,7]", "\\boxed{-2 \\le x \\le 7}", "correct"),
        ("x \\in [-2,7]", "\\boxed{[-2, 7]}", "correct"),
        ("x \\in [-2,7]", "\\boxed{-2 < x < 7}", "incorrect"),
        ("(2,\\infty)", "\\boxed{x > 2}", "correct"),
        ("(2,\\infty)", "\\boxed{x \\ge 2}", "incorrect"),
        ("(2,\\infty)", "The answer is $x>2$.", "correct"),
        ("(-\\infty, 2) \\cup (3, \\infty)", "\\boxed{x < 2 \\text{ or } x > 3}", "correct"),
        ("(-\\infty, 2) \\cup (3, \\infty)", "\\boxed{x<2 or x>3}", "correct"),
        ("(-\\infty, 0]", "\\boxed{x \\leq 0}", "correct"),
        ("(3,4]", "\\boxed{3<x\\leq4}", "correct"),
        ("(3,4]", "\\boxed{3 < x ≤ 4}", "correct"),
        ("(0,9) \\cup (9,36)", "\\boxed{0 < x < 9 \\text{ or } 9 < x < 36}", "correct"),
        ("(-\\sqrt{3}, \\sqrt{3})", "\\boxed{-\\sqrt{3} < x < \\sqrt{3}}", "correct"),
        ("(-\\sqrt{3}, \\sqrt{3})", "\\boxed{|x| < \\sqrt{3}}", "correct"),
        ("-2 \\le x \\le 7", "\\boxed{[-2,7]}", "correct"),
        ("-2 \\le x \\le 7", "\\boxed{x\\in[-2,7]}", "correct"),
        ("x > 5", "\\boxed{5 < x}", "correct"),
        ("(-\\infty,3)\\cup(3,\\infty)", "\\boxed{x \\neq 3}", "correct"),
        ("(2,4)", "\\boxed{(2,4)}", "correct"),
        ("(2,4)", "\\boxed{(4,2)}", "incorrect"),
        (
            "\\left[ \\frac{\\pi^2}{8}, \\frac{5 \\pi^2}{4} \\right]",
            "\\boxed{\\frac{\\pi^2}{8} \\le y \\le \\frac{5\\pi^2}{4}}",
            "correct",
        ),
        ("[0,1)", "\\boxed{(0,1]}", "incorrect"),
        ("(5,\\infty)", "\\boxed{(5,+\\infty)}", "correct"),
        ("1,-2", "$x=\\boxed{1}$ or $x=\\boxed{-2}$", "correct"),
        ("1,-2", "\\boxed{1} and \\boxed{-2}", "correct"),
        ("1,-2", "\\boxed{1}, \\boxed{-2}", "correct"),
        ("5", "\\boxed{2} + \\boxed{3} = \\boxed{5}", "correct"),
        ("7", "\\boxed{3}\n\nWait, that is wrong.\n\n\\boxed{7}", "correct"),
        ("7", "So \\boxed{7}.\nFinal: \\boxed{7}", "correct"),
        ("3, 5, 7", "\\boxed{3}, \\boxed{5}, and \\boxed{7}", "correct"),
        ("1,-2", "\\boxed{x=1\\text{ or }x=-2}", "correct"),
        ("1,-2", "\\boxed{x=1, x=-2}", "correct"),
        ("-2,1", "\\boxed{\\{-2,1\\}}", "correct"),
        ("3, 5, 7", "\\boxed{3,5,7}", "correct"),
        ("3, 5, 7", "\\boxed{7, 5, 3}", "correct"),
        ("90^\\circ", "\\boxed{90}", "correct"),
        ("90^\\circ", "\\boxed{90°}", "correct"),
        ("90^\\circ", "\\boxed{90 \\text{ degrees}}", "correct"),
        ("90^\\circ", "\\boxed{90^{\\circ}}", "correct"),
        ("864 \\mbox{ inches}^2", "\\boxed{864}", "correct"),
        ("15\\mbox{ cm}^2", "\\boxed{15 cm^2}", "correct"),
        ("15\\mbox{ cm}^2", "\\boxed{15\\text{ cm}^2}", "correct"),
        ("5.4 \\text{ cents}", "\\boxed{5.4}", "correct"),
        ("\\$32,\\!348", "\\boxed{32348}", "correct"),
        ("\\$32,\\!348", "\\boxed{\\$32{,}348}", "correct"),
        ("10,\\!080", "\\boxed{10080}", "correct"),
        ("10,\\!080", "\\boxed{10\\,080}", "correct"),
        ("10,\\!080", "\\boxed{10 080}", "correct"),
        ("26000", "\\boxed{2.6 \\times 10^4}", "correct"),
        (".0000672", "\\boxed{6.72\\times10^{-5}}", "correct"),
        (".0000672", "\\boxed{0.0000671}", "incorrect"),
        ("3.21", "\\boxed{3.2}", "incorrect"),
        ("58,500", "\\boxed{58.5 \\text{ thousand}}", "correct"),
        ("\\text{(C)}", "\\boxed{C}", "correct"),
        ("\\text{(C)}", "\\boxed{\\text{C}}", "correct"),
        ("\\text{(C)}", "\\boxed{(D)}", "incorrect"),
        ("\\text{Evelyn}", "\\boxed{Evelyn}", "correct"),
        ("\\text{Evelyn}", "The answer is Evelyn.", "correct"),
        ("\\text{even}", "\\boxed{\\text{even}}", "correct"),
        ("52_8", "\\boxed{52_8}", "correct"),
        ("52_8", "\\boxed{52_{8}}", "correct"),
        ("x=5", "\\boxed{5}", "correct"),
        ("y = 2x + 3", "\\boxed{y=2x+3}", "correct"),
        ("y = 2x + 3", "\\boxed{y = 3 + 2x}", "correct"),
        ("5x - 7y + 11z + 4 = 0", "\\boxed{5x-7y+11z=-4}", "correct"),
        ("6 - 5i", "\\boxed{6-5i}", "correct"),
        ("1 \\pm \\sqrt{19}", "\\boxed{1+\\sqrt{19}, 1-\\sqrt{19}}", "correct"),
        ("-\\frac{\\pi}{6}", "\\boxed{−π/6}", "correct"),
        ("3\\sqrt{13}", "\\boxed{3√13}", "correct"),
        ("\\cot x", "\\boxed{\\cot(x)}", "correct"),
        ("p - q", "\\boxed{p-q}", "correct"),
        ("(a+5)(b+2)", "\\boxed{(b+2)(a+5)}", "correct"),
        ("11", "<think>\\boxed{12}</think>\\boxed{11}", "correct"),
        ("11", "<think>\\boxed{11}</think>So 12.", "incorrect"),
        ("11", "<think>\\boxed{11}", "no answer"),
        ("11", "\\boxed{11}\n\nProblem: x\n\n\\boxed{12}", "correct"),
        ("11", "Problem: Find x.\n\nSolution: x=11.\n\\boxed{11}", "correct"),
        ("11", "<answer>11</answer>", "correct"),
        ("11", "<answer>\\boxed{11}</answer>", "correct"),
        ("11", "<answer>So x+1=12.\nThe answer is 11.</answer>", "correct"),
        ("11", "The final answer is $11$. I hope it is correct.", "correct"),
        ("11", "The answer is \\(11\\), because \\(x = 12 - 1\\).", "correct"),
        ("11", "**Answer:** \\[11\\]", "correct"),
        ("\\frac{\\sqrt{3}}{3}", "\\boxed{\\frac{1}{\\sqrt{3}}}", "correct"),
        ("\\frac{\\sqrt{3}}{3}", "\\boxed{0.577}", "incorrect"),
        ("\\frac{1}{3}", "\\boxed{0.333333}", "correct"),
        ("\\frac{1}{3}", "\\boxed{0.33}", "incorrect"),
        ("11\\sqrt2", "\\boxed{11\\sqrt{2}}", "correct"),
        ("-50", "\\boxed{−50}", "correct"),
        ("0", "\\boxed{10^{-30}}", "incorrect"),
        ("\\pi", "\\boxed{3.14}", "incorrect"),
    ],
)
def test_an_expression_is_read_and_compared(target, response, verdict):
    task = create_task("math500")
    assert task.score(task.extract(response), task.read_target(target)).value == verdict


@pytest.mark.parametrize(
    "box", ["So \\boxed{{{}}}.", "Therefore\n\\[\\boxed{{\n{}\n}}\\]", "$$\n\\boxed{{\n  {}\n}}\n$$"]
)
def test_math500_answers_in_a_box_of_one_line_and_of_three(benchmark, box):
    rows = json.loads(benchmark("math500/math500.json").read_text(encoding="utf-8"))
    answers = [row["final_answer"] for row in rows]
    assert len(answers) == 500
    read = [(stated_expression(box.format(answer)), boxed_expression(box.format(answer))) for answer in answers]
    assert (
        sum(lenient == strict == spelled(answer) for answer, (lenient, strict) in zip(answers, read, strict=True))
        >= 497
    )


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("\\boxed{\n42\n}", ["42"]),
        ("\\boxed{\\boxed{42}}", ["42"]),
        ("\\boxed{1} and \\boxed{\\frac{1}{2}}", ["1", "\\frac{1}{2}"]),
        ("\\boxed{\\left\\{1\\right.}", ["\\left\\{1\\right."]),
        ("\\boxed{3\nnever closed\n\\boxed{42}", ["3", "42"]),
        ("\\boxed{\n42", ["42"]),
        ("\\boxed 42 it is", ["42"]),
        ("boxed{42}", ["42"]),
        ("\\unboxed{42}", []),
        ("\\boxed{a\\boxed{b}c}", ["a\\boxed{b}c"]),
    ],
)
def test_boxes(text, inside):
    assert boxed(text) == inside


def test_a_comparison_that_raises_is_a_failure_and_the_next_is_made():
    assert equal("x", "\\begin{pmatrix}1\\\\2\\end{pmatrix}") is not True
    assert equal("{" * 900 + "x" + "}" * 900, "y") == "the answer has 900 brackets inside each other, of at most 40"
    assert equal("2x", "x+x") is True


def test_marks_around_an_expression_are_no_part_of_it():
    for marked in ("*x + 1*", "**x + 1**", "* x + 1", "\\(x + 1\\)", "\\[x + 1\\]", "$x + 1$", "x + 1."):
        assert spelled(marked) == "x+1", marked


def test_a_response_ends_in_a_box_whose_brackets_close_behind_it():
    for end in ("", "}", "\n}", "} \n}", ".", "$$", " \\]\n", "`"):
        assert boxed_expression("so {{\\boxed{4}" + end) == "4", end
    assert boxed_expression("so \\boxed{4}\nand more") is None


@pytest.mark.parametrize(
    ("symbols", "command"),
    [
        ("π", "pi"), ("∞", "infty"), ("≤⩽", "le"), ("≥⩾", "ge"), ("≠", "ne"), ("×", "times"), ("·⋅", "cdot"), ("÷", "div"),
        ("∪", "cup"), ("∩", "cap"), ("∈", "in"), ("±", "pm"), ("∅", "emptyset"), ("θ", "theta"), ("α", "alpha"), ("β", "beta"),
        ("≈", "approx"),
    ],
)  # fmt: skip
def test_a_sign_is_the_command_that_writes_it(symbols, command):
    for symbol in symbols:
        assert spelled(f"x{symbol}y") == spelled(f"x\\{command} y") == f"x\\{command} y"
    assert spelled("30°") == spelled("30^\\circ")
