"""What is thought aloud is never the answer: tags of all kinds, unclosed, closed without being opened, and their channels."""

import pytest

from evals.scoring.mathematics import stated_expression
from evals.scoring.numbers import final_number, stated_number
from evals.scoring.options import stated_option
from evals.scoring.thinking import spoken
from evals.scoring.words import YES_NO, stated_text, stated_word
from evals.task import create_task


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<reasoning>12</reasoning>\n<answer>\n18\n</answer>", "18"),
        ("<think>The answer is 12? The answer is 20.</think>\nShe makes $18 a day.\n\n**18**", "18"),
        ("<think>\nQuestion: x\nSo 9*2=18.</think>\nThe answer is 18.", "18"),
        ("<think>The answer is 18", None),
        ("ok 12 so </think>\n18", "18"),
        ("The answer is 18.</think>", None),
        ("<think>a</think> The answer is 18.</think>", "18"),
        ("<thinking>20</thinking>The answer is 18", "18"),
        ("[THINK]20[/THINK]18", "18"),
        ("<|channel>thought\nThe answer is 20<channel|>The answer is 18", "18"),
        ("<|inner_prefix|>The answer is 20<|inner_suffix|>The answer is 18", "18"),
        ("◁think▷20◁/think▷18", "18"),
        (
            "<|channel|>analysis<|message|>20<|end|><|start|>assistant<|channel|>final<|message|>The answer is 18.<|return|>",
            "18",
        ),
        ("<|begin_of_thought|>20<|end_of_thought|><|begin_of_solution|>18<|end_of_solution|>", "18"),
        ("The answer is 18.\n<think>or 20?", "18"),
    ],
)
def test_the_answer_is_outside_of_the_tags(response, answer):
    assert stated_number(response) == answer


@pytest.mark.parametrize(
    ("response", "spoke"),
    [
        ("no tags", "no tags"),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("a<THINK>b</THINK>c<think >d</ think>e", "ace"),
        ('<think time="5">a</think>b', "b"),
        ("a</think>b</think>", "b"),
        ("say `<think>` aloud", "say `<think>` aloud"),
        ("a <thinker> thinks", "a <thinker> thinks"),
        ("analysis of eggs: 9.assistantfinalIt is 18.", "It is 18."),
        ("<|START_THINKING|>a<|END_THINKING|>b", "b"),
    ],
)
def test_what_is_spoken(response, spoke):
    assert spoken(response) == spoke


def test_every_reader_leaves_thoughts_out():
    thought = "<think>The answer is {}. \\boxed{{{}}} <answer>{}</answer></think>\n"
    assert final_number(thought.format(1, 1, 1) + "Answer: 2") == "2"
    assert stated_option(thought.format("A", "A", "A") + "It is B.", "ABCD") == "B"
    assert stated_word(thought.format("no", "no", "no") + "Yes.", YES_NO) == "Yes"
    assert stated_text(thought.format("x", "x", "x") + "y") == "y"
    assert stated_expression(thought.format("x", "x", "x") + "$y$") == "y"
    for name, wrong, right in (
        ("spoken_digits", "one", "two"),
        ("discrete_functions", "0", "1"),
        ("in_context", "A", "B"),
        ("voice_severity", "1", "2"),
        ("bbh:word_sorting", "b", "c"),
    ):
        task = create_task(name)
        assert task.extract(f"<think>Answer: {wrong}</think> Answer: {right}") == right
        assert task.extract(f"<think>Answer: {wrong}") is None
    assert create_task("biographies").extract("<think>born 1912</think> born 1913") == "born 1913"
