"""Prompt files and what becomes of them."""

import re

import pytest

from agents.backend import ChatTurn, Prompt, Sampling
from agents.backends.mock import ByteTokenizer, MockBackend
from agents.errors import PromptError
from agents.message import Message
from agents.prompts import Prompts
from agents.speakers.agent import Agent
from agents.tokenization import segments
from debate.config.shipped import configs_folder

MODEL = MockBackend().fingerprint


def text(prompt):
    found = segments(prompt, ByteTokenizer(), MODEL)
    return "".join(
        segment.text if isinstance(segment, Message) else ByteTokenizer().decode(segment) for segment in found
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "system.jinja").write_text("Be brief.")
    (tmp_path / "initial.jinja").write_text("Q: {{ question }}")
    (tmp_path / "debate.jinja").write_text(
        "Q: {{ question }}\n{% for s in others %}\nAgent {{ loop.index }}: {{ s }}\n{% endfor %}\nYou: {{ own }}"
    )
    (tmp_path / "examples.yaml").write_text('cue: "A:"\ninitial: [{question: 1+1, solution: "2"}]\n')
    return tmp_path


def test_a_base_model_gets_plain_few_shot_text(folder):
    assert text(Prompts(folder).initial("2+2")) == "Be brief.\n\nQ: 1+1\nA: 2\n\nQ: 2+2\nA:"


def test_the_debate_prompt_has_every_message_at_its_slot(folder):
    own, one, two = (Message(said, MODEL, 0.5, tuple(said.encode())) for said in ("mine", "first", "second"))
    prompt = Prompts(folder).debate("2+2", own, [one, two])
    assert text(prompt) == "Be brief.\n\nQ: 2+2\nAgent 1: first\nAgent 2: second\nYou: mine\nA:"
    assert [part for turn in prompt.turns for part in turn.parts if isinstance(part, Message)] == [one, two, own]


def test_an_undefined_slot_is_an_error_with_the_file(folder):
    (folder / "debate.jinja").write_text("{{ question }} {{ other }}")
    with pytest.raises(PromptError, match=r"debate\.jinja: 'other' is undefined"):
        Prompts(folder).check()


def test_a_missing_folder_lists_its_neighbours():
    with pytest.raises(PromptError, match="Known beside it: .*arithmetic"):
        Prompts(configs_folder() / "prompts" / "arithmetics")


def test_broken_examples_name_the_file_and_place(folder):
    (folder / "examples.yaml").write_text("initial: [{question: 1+1}]")
    with pytest.raises(PromptError, match=r"examples\.yaml: initial\[0\]"):
        Prompts(folder).check()
    (folder / "examples.yaml").write_text("initial: [")
    with pytest.raises(PromptError, match="not YAML"):
        Prompts(folder).check()


def test_a_question_cannot_forge_a_slot(folder):
    with pytest.raises(PromptError, match="U\\+E000"):
        Prompts(folder).initial("\ue0000\ue001")
    said = Message("mine", MODEL, 0.5, tuple(b"mine"))
    forged = Prompts(folder).debate("2+2", said, ["\ue0000\ue001", said])
    assert "Agent 1: \ue0000\ue001\nAgent 2: mine\nYou: mine" in text(forged)


def test_templates_are_sandboxed(folder):
    (folder / "initial.jinja").write_text("{{ ''.__class__.__mro__ }}{{ question }}")
    with pytest.raises(PromptError, match=r"initial\.jinja"):
        Prompts(folder).check()


FOLDERS = (path for path in (configs_folder() / "prompts").iterdir() if path.is_dir())
TASKS = sorted(path for path in FOLDERS if path.name not in ("roles", "shared"))


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.name)
def test_every_shipped_prompt_set_is_sound(path):
    Prompts(path).check()


def test_chat_and_plain_formats(tiny):
    from transformers import AutoTokenizer

    prompt = Prompt((ChatTurn("system", ("S",)), ChatTurn("user", ("U",))))
    chat = AutoTokenizer.from_pretrained(tiny(chat=True))
    base = AutoTokenizer.from_pretrained(tiny())
    (ids,) = segments(prompt, chat, MODEL)
    assert chat.decode(ids) == "<|start|>system: S<|end|><|start|>user: U<|end|><|start|>assistant: "
    (ids,) = segments(prompt, base, MODEL)
    assert base.decode(ids) == "S\n\nU\nAnswer:"
    with pytest.raises(PromptError, match="no chat template"):
        segments(Prompt(prompt.turns, format="chat"), base, MODEL)


def test_a_worked_answer_does_not_repeat_its_cue():
    prompts = Prompts(
        configs_folder() / "prompts" / "multiple_choice", "plain", shots=(("Which?\n(A) a\n(B) b", "Answer: B"),)
    )
    assert "(B) b\nAnswer: B\n\nNow?\nAnswer:" in text(prompts.initial("Now?"))


@pytest.mark.parametrize("stage", ["initial", "debate"])
def test_a_base_models_solutions_stand_between_delimiters_and_end_there(tiny, stage):
    from transformers import AutoTokenizer

    prompts = Prompts(configs_folder() / "prompts" / "paper_arithmetic")
    chat, base = (AutoTokenizer.from_pretrained(tiny(chat=chat)) for chat in (True, False))
    said = "1+2=3\nAnswer: 3"
    prompt = prompts.initial("What?") if stage == "initial" else prompts.debate("What?", said, [said])
    cue = "Solution: ```" if stage == "initial" else "Correct solution: ```Let's think step by step:"
    read = text(prompt)
    assert read.endswith(cue)
    assert read.count(f"{cue} ") == 3
    assert read.count("```\n\nQuestion: ") == 3
    for tokenizer, stop in ((base, ("#", "```")), (chat, ("#",))):
        backend = MockBackend()
        backend.tokenizer = tokenizer
        agent = Agent(name="a", backend=backend, prompts=prompts, sampling=Sampling(stop=("#",)))
        own, others = (None, []) if stage == "initial" else (said, [said])
        assert agent.request("What?", own, others, 0).sampling.stop == stop


@pytest.mark.parametrize(
    ("task", "debates"),
    [
        ("arithmetic", 3), ("gsm8k", 3),
        ("high_school_mathematics", 1), ("professional_psychology", 1), ("formal_logic", 1),
    ],
)  # fmt: skip
def test_the_papers_tasks_have_worked_examples_whose_answer_is_said_once(task, debates):
    """Three worked solutions, and of a debate as many as published; a base model reads no answer twice."""
    prompts = Prompts(configs_folder() / "prompts" / f"paper_{task}", "plain")
    said = "So it is.\nAnswer: B"
    alone, debate = text(prompts.initial("What?")), text(prompts.debate("What?", said, [said]))
    assert alone.count("Answer: ") == alone.count("\nAnswer: ") == 3
    assert debate.count("Correct solution: ```Let's think step by step:") == debates + 1
    assert "Answer: Answer" not in alone + debate
    for read in (alone, debate):
        assert not read.rstrip().endswith("Answer:")


def test_the_worked_examples_of_arithmetic_are_right():
    prompts = Prompts(configs_folder() / "prompts" / "paper_arithmetic", "plain")
    for stage in ("initial", "debate"):
        for example in prompts._worked(stage):
            expression = example["question"].removeprefix("What is the result of ").removesuffix("?")
            a, b, c, d, e, f = map(int, re.findall(r"\d+", expression))
            assert example["solution"].endswith(f"Answer: {a + b * c + d - e * f}")
            assert all(eval(step.replace("=", "==")) for step in re.findall(r"[-\d+*]+=-?\d+", example["solution"]))


def test_cues_of_stages_are_one_each(folder):
    (folder / "examples.yaml").write_text('cue: {initial: "A:"}\n')
    with pytest.raises(PromptError, match="cue a text or one each for initial, debate, review"):
        Prompts(folder).check()


def test_instructions_stand_in_the_system_turn_of_files_that_are_read_once(tmp_path):
    (tmp_path / "system.jinja").write_text("You are careful.")
    (tmp_path / "initial.jinja").write_text("{{ question }}")
    (tmp_path / "debate.jinja").write_text("{{ question }} {{ own }} {{ others }}")
    read = Prompts(tmp_path)
    read.check()
    (tmp_path / "system.jinja").write_text("You are careless.")
    (tmp_path / "initial.jinja").write_text("{{ nothing }}")
    system, asked = read.instructed("Answer in {{ French }}.").initial("Why?").turns
    assert system.parts == ("You are careful.\nAnswer in {{ French }}.",)
    assert asked.parts == ("Why?",)
    assert read.instructed("") is read
    assert read.initial("Why?").turns[0].parts == ("You are careful.",)
