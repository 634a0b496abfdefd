"""Numbers as chat models write them: forms, signs, units, scripts, reasons behind the answer."""

import pytest

from evals.scoring.numbers import normalised, stated_number


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The area is 64 m^2.", "64"),
        ("The answer is 1.2 \\times 10^6.", "1200000"),
        ("\\boxed{70\\,000}", "70000"),
        ("\\boxed{\\frac12}", "0.5"),
        ("The volume is 27 cm³.", "27"),
        ("It covers 64 m**2 of land", "64"),
        ("Its speed is 9.8 m/s^2.", "9.8"),
        ("area = 64 \\text{ m}^2", "64"),
        ("\\boxed{64\\ \\mathrm{m}^{2}}", "64"),
        ("So it is 12 m^{2} in all", "12"),
        ("12 square meters (m^2)", "12"),
        ("The answer is 2^{10}.", "1024"),
        ("The answer is 3 × 10⁸ m/s.", "300000000"),
        ("Answer: 1.5 x 10^3", "1500"),
        ("Answer: 1.2 \\cdot 10^{-3}", "0.0012"),
        ("1.2e6 dollars", "1200000"),
        ("The answer is 1.2e6.", "1200000"),
        ("The answer is 5E3", "5000"),
        ("10^6 people", "1000000"),
        ("The answer is 1.2 million.", "1200000"),
        ("She has 3 thousand dollars", "3000"),
        ("It is worth $2.5 billion.", "2500000000"),
        ("She earned $5k.", "5000"),
        ("a total of 1,200 thousand", "1200000"),
        ("It costs $70 000.", "70000"),
        ("Answer: 1 234 567", "1234567"),
        ("Answer: 1\u202f234", "1234"),
        ("Answer: 1'234'567", "1234567"),
        ("Answer: 1_000_000", "1000000"),
        ("Answer: 12,34,567", "1234567"),
        ("Answer: 1.234.567", "1234567"),
        ("Answer: 1.234,56", "1234.56"),
        ("The answer is −3.", "-3"),
        ("x = −5", "-5"),
        ("x = – 5", "-5"),
        ("Answer: –7", "-7"),
        ("Answer: －7", "-7"),
        ("Answer: ‑7", "-7"),
        ("Answer: ﹣7", "-7"),
        ("Answer: — 7 apples", "7"),
        ("It is negative 4 degrees", "-4"),
        ("The answer is minus 4", "-4"),
        ("x = - 5", "-5"),
        ("10 − 5 = 5", "5"),
        ("the range is 5–10", "10"),
        ("Answer: -$5", "-5"),
        ("\\boxed{-\\frac{1}{2}}", "-0.5"),
        ("\\boxed{- 5}", "-5"),
        ("Answer:\n- 18 dollars", "18"),
        ("10 minus 4", "4"),
        ("\\boxed{2\\frac{1}{2}}", "2.5"),
        ("\\boxed{-2\\frac{1}{2}}", "-2.5"),
        ("2½ hours", "2.5"),
        ("½ cup", "0.5"),
        ("The answer is 2 and 1/2 cups", "2.5"),
        ("\\boxed{2\\,\\frac12}", "2.5"),
        ("\\boxed{1\\dfrac{3}{4}}", "1.75"),
        ("Answer: 3¾", "3.75"),
        ("１８", "18"),
        ("答案是１８。", "18"),
        ("The answer is １，２００．", "1200"),
        ("答案：十八", "18"),
        ("答案是一百二十元。", "120"),
        ("所以一共有十八个鸡蛋。", "18"),
        ("答案是3万。", "30000"),
        ("答え：１８個", "18"),
        ("最终答案为 18 元", "18"),
        ("因此答案是18。", "18"),
        ("٣٥", "35"),
        ("The answer is ١٨.", "18"),
        ("The answer is eighteen.", "18"),
        ("So she makes eighteen dollars.", "18"),
        ("The answer is two hundred and five.", "205"),
        ("The answer is twenty-one apples.", "21"),
        ("The answer is one of the two", None),
        ("The answer is two million", "2000000"),
        ("\\boxed{3} and then \\boxed{18}", "18"),
        ("<answer>18</answer>", "18"),
        ("<answer>The total is 9*2=18. So 18 dollars.</answer>", "18"),
        ("<answer>18", "18"),
        ("<answer>\\boxed{18}</answer>", "18"),
        ("Final result: 18", "18"),
        ("Ans: 18", "18"),
        ("Answer → 18", "18"),
        ("**Answer**\n\n18", "18"),
        ("~~12~~ 18", "18"),
        ("$$\\boxed{\n18\n}$$", "18"),
        ("The answer is 1/0000000000000000000001", "1"),
        ("5/٠", "5"),
        ("Answer: 1/2", "0.5"),
        ("Answer: \\frac{1}{-2}", "-0.5"),
        ("\\boxed{18\\%}", "18"),
        ("\\boxed{x = 18}", "18"),
        ("\\boxed{\\approx 18}", "18"),
        ("\\boxed{\\textcolor{red}{18}}", "18"),
        ("He lives in flat 3B", "3"),
        ("Room temperature 25°C", "25"),
        ("CO_2 and H_2O weigh 44", "44"),
        ("let x^2 be 9", "9"),
        ("in 3 days she earns 5^{th} prize 40", "40"),
        ("The answer is 10^9999", None),
        ("Answer: 100 000,5", "100000"),
        ("18 USD", "18"),
        ("US$18", "18"),
        ("Rs. 500", "500"),
        ("\\boxed{}\nThe answer is 7", "7"),
        ("Answer: $ 18", "18"),
        ("Answer: $18$", "18"),
        ("The answer is $\\frac{18}{1}$.", "18"),
        ("She sells them for 18€.", "18"),
        ("\x08oxed{18}", "18"),
        ("It takes 3:30 hours = 210 minutes", "210"),
        ("The answer is 1,000,000", "1000000"),
        ("Total: 5 boxes.", "5"),
    ],
)
def test_a_number_is_read_however_it_is_written(response, answer):
    assert stated_number(response) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The answer is 18, as 9 * 2 = 18.", "18"),
        ("The answer is 18 since 20 - 2 = 18", "18"),
        ("The answer is 18: 9*2 = 19", "18"),
        ("The answer is 18 (i.e. 36/2)", "18"),
        ("The answer is 18, which is 9 * 2.", "18"),
        ("The answer is 20% of 90, which is 18.", "18"),
        ("The answer is 18, 16-7=9 of which are eggs", "18"),
        ("Answer: 18 dollars, with 16 - 7 = 9 eggs left", "18"),
        ("The answer is 9 eggs * $2 = $18", "18"),
        ("The answer is 9 (eggs) * 2 = 18", "18"),
        ("Answer: x = 18 because x/2 = 9", "18"),
        ("The answer is not 12 but 18.", "18"),
        ("Answer: 18 — since 9 * 2 = 20", "18"),
        ("Answer: 18 [16-7=9]", "18"),
        ("#### 18 (9*2=18 and 3)", "18"),
        ("The answer is 18 because 16 - 3 - 4 = 9 and there are 9 left.", "18"),
        ("Answer: 18 dollars (9 eggs = 16 - 7)", "18"),
        ("The answer is 9*2=18 dollars per day, for 7 days.", "18"),
    ],
)
def test_a_reason_after_the_answer_is_not_the_answer(response, answer):
    assert stated_number(response) == answer


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("- 5", "-5"),
        ("5 million", "5000000"),
        ("1,5", None),
        ("70 000", "70000"),
        ("2 1/2", "2.5"),
        ("3/4/5", None),
        ("5k", "5000"),
        ("2^{10}", "1024"),
        ("12 apples", None),
        ("\\frac{3}{4}", "0.75"),
        ("$5", "5"),
        ("+5", "5"),
        ("1e300", f"1{chr(48) * 300}"),
        ("10 10", None),
        ("", None),
        ("−3", "-3"),
        ("(5)", None),
    ],
)
def test_a_number_alone_has_one_spelling(text, spelling):
    assert normalised(text) == spelling


def test_gsm8k_published_verdicts(benchmark):
    """OpenAI's four models of 2021 on the test set (openai/grade-school-math, example_model_solutions.jsonl): 5,276 verdicts."""
    import json

    right = total = 0
    for line in benchmark("gsm8k/example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        target = normalised(row["ground_truth"].rpartition("A:")[2].strip())
        for solved in (value for value in row.values() if isinstance(value, dict)):
            total += 1
            right += (stated_number(solved["solution"]) == target) == solved["is_correct"]
    assert total == 5276
    assert right >= 0.997 * total
