"""Runs for the viewer's tests: real ones on the mock, hostile ones, and one of any size written record by record."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.backend import Usage
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.question import Question
from debate.config.load import validate
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision
from debate.run_folder.folder import RunFolder
from debate.run_folder.turn_record import Cost
from debate.transcript import Turn, TurnKey
from evals.evaluation import evaluate
from evals.sample import Sample
from evals.samples import write_samples
from evals.viewer.run_view import RunView

MODEL = ModelFingerprint("mock", "1" * 64, "2" * 64, 257, 16)

HOSTILE = {
    "script": "<script>document.title='pwned';window.pwned=1</script>",
    "end": "</script></pre><img src=x onerror=\"window.pwned=2\"><svg onload='window.pwned=3'>",
    "quotes": "\"'`><b onmouseover=alert(1)>bold</b> javascript:alert(2) {{7*7}} ${7*7}",
    "turned": "abc \u202egnp.exe\u202c \u2066x\u2069 \u200bzero\u200b",
    "terminal": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 bell\x07",
    "long": "w" * 100_000,
    "math": r"so $\href{javascript:window.pwned=4}{x}$ and $\def\a{\a\a}\a$ and $$\frac{1}{2}$$",
}


def config_of(**keys: Any) -> DebateConfig:
    """Return a debate of two mocks, with some keys in place of the usual ones."""
    usual = {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        "backend": "mock",
        "model": "mock",
        "max_tokens": 64,
    }
    return validate({**usual, **keys}, source="test")


def play(out: Path, config: DebateConfig, methods: list[str], **how: Any) -> Path:
    """Play an evaluation and return its folder."""
    asyncio.run(evaluate(config, out=out, methods=methods, **how))
    return out


def hostile_run(out: Path) -> Path:
    """Play a run whose questions, answers, ids and names of methods are hostile."""
    samples = [
        Sample(f"{name}/{text[:40]}", f"{text} What is 1+1?", "2")
        for name, text in HOSTILE.items()
        if name not in ("long", "terminal")
    ]
    samples += [Sample("long", HOSTILE["long"], "2"), Sample("terminal", f"{HOSTILE['terminal']} 1+1?", "2")]
    said = " ".join(HOSTILE.values()) + " Answer: <i>2</i>"
    config = config_of(
        agents={"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        methods={"<script>alert(1)": {"message": "text"}, "plain": {"message": "cipher"}},
        options={"script": {"": said[:3000]}, "context": 1_000_000},
        max_tokens=400,
    )
    return play(out, config, list(config.methods), samples=samples)


@contextmanager
def made_run(
    out: Path, *, questions: int, methods: tuple[str, ...] = ("text",), rounds: int = 3, finish: bool = True
) -> Iterator[RunFolder]:
    """Write a run of any size without playing it, and yield its folder, still open if it is not finished."""
    config = config_of(rounds=rounds, methods={name: {"message": "text"} for name in methods})
    samples = [Sample(f"q{number:05}", f"What is {number}+{number}?", str(2 * number)) for number in range(questions)]
    asked: Mapping[str, Any] = {"limit": None, "methods": list(methods)}
    with RunFolder(out, config, asked=asked, overwrite=True) as folder:
        write_samples(out, samples)
        folder.note_models([MODEL])
        for name in methods:
            folder.method(name).open(questions, 2 * rounds)
            for sample in samples:
                write_debate(folder, name, sample, rounds)
        if finish:
            folder.finish({})
        yield folder


def write_debate(folder: RunFolder, name: str, sample: Sample, rounds: int, *, decided: bool = True) -> None:
    """Write one debate: ada is right from the start, ben from round 2 on, but for every third question."""
    journal, question = folder.method(name), Question(sample.id, sample.question)
    journal.begin(question)
    wrong = int(sample.id[1:]) % 3 == 0
    for number in range(1, rounds + 1):
        for place, agent in enumerate(("ada", "ben")):
            write_turn(
                folder, name, sample, TurnKey(number, agent), place, right=agent == "ada" or (number > 1 and not wrong)
            )
    if decided:
        answer = sample.target
        journal.append_decision(
            question,
            Decision(answer, "ada has the lowest temperature, 0.2", {"ada": answer, "ben": answer}),
            {"score": "correct", "target": sample.target},
        )


def write_turn(folder: RunFolder, name: str, sample: Sample, key: TurnKey, place: int, *, right: bool) -> None:
    """Write one text turn."""
    answer = sample.target if right else "7"
    other = "ben" if key.agent == "ada" else "ada"
    turn = Turn(
        key=key,
        message=Message(f"I think that it is {answer}. Answer: {answer}", MODEL, 0.2, (1, 2, 3)),
        heard=() if key.round == 1 else (TurnKey(key.round - 1, other),),
        seed=2**62 + 1,
        usage=Usage(20, 5, 3),
        finish_reason="stop",
        place=place,
    )
    folder.method(name).append_turn(Question(sample.id, sample.question), turn, Cost(0.5, "mock"))


def question_of(run: Path, place: int = 0) -> str:
    """Return the id of a question of a run."""
    return RunView(run).index.questions()[place]
