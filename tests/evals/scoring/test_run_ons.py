"""A question that the model asks itself ends its answer; a task that it restates, or a letter that it defines, does not."""

import pytest

from evals.scoring.run_ons import answer_part


@pytest.mark.parametrize(
    ("answer", "run_on"),
    [
        ("She makes 18 dollars.\n#### 18\n\n", "Question: Tom has 3 apples.\nAnswer: 5\n#### 5"),
        ("She makes 18 dollars.\n\n", "Question: Tom has 3 apples.\nAnswer: 5"),
        ("18\n\n", "Question: Tom has"),
        ("B\n\n", "Question: Which?\n(A) c\nAnswer: (C)"),
        ("The capital is London.\n\n", "Question: What?\nAnswer: (C)"),
        ("Question: Janet?\nAnswer: 18\n\n", "Question: Tom?\nAnswer: 5"),
        ("Q: How many?\nA: 18\n\n", "Q: Tom?\nA: 5"),
        ("She makes 18.\n", "User: thanks\nAssistant: 5 more?"),
        ("So she makes 9*2 = 18 dollars.\n\n", "Human: ok\n\nAssistant: 5"),
        ("Let's solve it: 16-7=9, 9*2=18 dollars.\n\n", "Question: Tom\nAnswer: 5"),
        ("#### 7\n", "Q: next"),
        ("#### 18\n\n", "Problem 2. Tom has 5 apples."),
        ("#### 18\n\n", "### Instruction:\nAdd 3 and 4\n### Response:\n7"),
        ("\\boxed{18}\n\n", "### Question: 5"),
        ("18\n", "问题：五\n答案：5"),
        ("18", "<|im_end|>\n<|im_start|>user\n5"),
        ("18", "</s> 5"),
        ("I hope it is correct: the final answer is $18$.\n\n", "Problem:\nx\n\nSolution: 5"),
    ],
)
def test_a_run_on_is_cut(answer, run_on):
    assert answer_part(answer + run_on) == answer


@pytest.mark.parametrize(
    "response",
    [
        "Question: is it so?",
        "Let me work through it.\n\n**Problem:** 16 eggs a day.\n\n**Solution:** 18.\n\n#### 18",
        "We are given:\nInput: 16 eggs\nShe makes 18.\n#### 18",
        "Let me define\nQ: quantity of eggs = 9\nP: price = 2\nQ*P = 18\nThe answer is 18.",
        "From 16 eggs we define\nQ: quantity = 9\nA: amount = 18",
        "Q: How many?\nA: 18",
        "Great question!\n\nQuestion: how many?\nAnswer: 18",
        "Janet has 16 eggs.\n\n**Problem:** How much does she make?\n\n**Answer:** 18",
        "## Step 1: Understand\nProblem: eggs\nAnswer: 18",
        "We list the data.\nInput: 16 eggs\nShe makes 9*2 = 18 dollars.",
        "The final answer is what we need.\nProblem: eggs\n#### 18",
        "Given: 16 eggs\nQuestion: how much?\nSolution: 9*2=18\nAnswer: 18",
        "The problem says:\n\nUser: sells 16 eggs\n\nThe answer is 18",
        "Let x be eggs. x = 9.\n\nProblem: find 2x.\n\n2x = 18. The answer is 18.",
        "<|im_start|>assistant\nThe answer is 18",
    ],
)
def test_a_restated_task_is_not_cut(response):
    assert answer_part(response) == response
