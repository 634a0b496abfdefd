"""The effect of a control on an edge is the KL of the hearer's beliefs, as an uncached model in float64 gives it."""

import asyncio
import json
from dataclasses import replace

import pytest
import torch

from agents.backend import Prompt, Request, Sampling
from agents.errors import ConfigError, RequestError, RunError, UnknownName
from agents.question import Question
from agents.registry import create_backend
from debate.build import build_debate
from debate.config.load import validate
from debate.orchestrator import play
from debate.runtime.backends import Backends
from debate.transcript import TurnKey
from evals.analysis.effects import Effect, Effects, edge_effects, effect_blocks, effect_cells, read_effects, share_left
from evals.effects import STEPS, divergence, known_contents, measure_run, measured
from evals.evaluation import evaluate
from evals.outputs import analyse_run
from evals.samples import read_samples, to_question
from evals.task import create_task

CONTENTS = ("top1", "tail", "swapped", "silence")
RAW = {
    "model": "tiny/dee", "backend": "transformers", "dtype": "float32", "prompts": "tiny", "format": "plain", "rounds": 2,
    "message": "cipher", "max_tokens": 12, "seed": 3, "task": "arithmetic:held_out",
    "agents": {"ada": {"temperature": 0.3}, "ben": {"temperature": 1.5}},
}  # fmt: skip


@pytest.fixture(scope="module")
def engines():
    made = Backends(validate(RAW, source="x"))
    yield made
    asyncio.run(made.close())


@pytest.fixture(scope="module")
def run_folder(engines, tmp_path_factory):
    """A run of two questions whose edges were measured over the first three tokens of each answer."""
    folder = tmp_path_factory.mktemp("effects") / "run"
    config = validate(RAW, source="x")
    asyncio.run(evaluate(config, out=folder, methods=["cipher", "text"], limit=2, backends=engines))
    asyncio.run(measure_run(folder, "cipher", steps=3, contents=CONTENTS, backends=engines))
    return folder


@torch.inference_mode()
def believed(backend, request, answer, steps):
    """Return log softmax(z) [steps, V] before each step of an answer, in float64, by one uncached pass."""
    row = backend.engine.prepare(request)
    said = answer.cipher.vectors if answer.is_cipher else backend.table.weight[torch.tensor(answer.token_ids)]
    x = torch.cat([row.prompt, said[: steps - 1].to(row.prompt.dtype)])
    logits = backend.engine.model.model(inputs_embeds=x[None], use_cache=False).logits[0, len(row.keys) - 1 :]
    return torch.log_softmax(logits.double(), dim=1)


def test_an_effect_is_the_divergence_of_the_hearers_beliefs(engines, run_folder):
    effects = read_effects(run_folder / "cipher")
    assert (effects.method, effects.steps) == ("cipher", 3)
    # Two questions, two hearers in round 2, one edge each.
    assert len(effects.found) == 2 * 2 * len(CONTENTS)
    task, samples = create_task("arithmetic:held_out", seed=3), read_samples(run_folder)
    questions = [to_question(sample, task) for sample in samples]
    (question, other), key = questions, TurnKey(2, "ben")
    config = validate(RAW, source="x")
    intact = build_debate(config, engines)
    said = {turn.key: turn for turn in asyncio.run(play(intact, question)).turns}
    theirs = {turn.key: turn for turn in asyncio.run(play(intact, other)).turns}
    agent, answer = intact.agents["ben"], said[key].message
    own, heard = said[TurnKey(1, "ben")].message, said[TurnKey(1, "ada")].message
    backend = agent.backend.inner
    top1 = replace(heard, cipher=replace(heard.cipher, vectors=backend.table.weight[heard.cipher.top_ids[:, 0]]))
    for content, shown in (("top1", top1), ("silence", ""), ("swapped", theirs[TurnKey(1, "ada")].message)):
        one, two = (
            believed(backend, agent.request(question.text, own, [message], 0), answer, 3) for message in (heard, shown)
        )
        exact = (one.exp() * (one - two)).sum(dim=1)
        (found,) = (
            effect.divergences
            for effect in effects.found
            if (effect.question, effect.hearer, effect.content) == (question.id, "ben", content)
        )
        assert found == pytest.approx(exact.tolist(), rel=1e-3, abs=1e-5)


def test_texts_are_measured_where_controls_of_texts_are(engines, run_folder):
    effects = asyncio.run(measure_run(run_folder, "text", steps=2, limit=1, backends=engines))
    assert {effect.content for effect in effects.found} == {"swapped", "silence", "echo"}
    assert {effect.question for effect in effects.found} == {read_samples(run_folder)[0].id}
    assert all(len(effect.divergences) == 2 for effect in effects.found)


def test_the_report_has_a_section_of_it(run_folder):
    from evals.analysis.report import run_blocks

    blocks = run_blocks(analyse_run(run_folder))
    place = next(n for n, block in enumerate(blocks) if block.get("text") == "What messages do to their hearers")
    assert blocks[place + 1]["header"][:4] == ["edge", "control", "questions", "nats a token"]
    assert [row[1] for row in blocks[place + 1]["rows"][:4]] == list(CONTENTS)


def test_a_run_without_the_method_and_a_backend_that_cannot_force_are_refused(run_folder, tmp_path):
    with pytest.raises(RunError, match="has no method 'ciphr'. It has: cipher, text"):
        asyncio.run(measure_run(run_folder, "ciphr"))
    mock = validate({**RAW, "backend": "mock", "model": "mock", "task": "arithmetic"}, source="x")
    asyncio.run(evaluate(mock, out=tmp_path / "mock", methods=["cipher"], limit=2))
    with pytest.raises(ConfigError, match="agent 'ada': its backend cannot be made to read an answer"):
        asyncio.run(measure_run(tmp_path / "mock", "cipher"))
    with pytest.raises(UnknownName, match="unknown control 'top2'.*Did you mean 'top1'"):
        known_contents(["top2"])


def test_what_is_forced_stands_alone():
    from agents.fingerprint import ModelFingerprint
    from agents.message import Message

    message = Message("a", ModelFingerprint("m", "", "", 9, 0), 0.0, (1,))
    with pytest.raises(RequestError, match="stands alone"):
        Request(Prompt.of("x"), encoder="expectation", forced=message)
    backend = create_backend("transformers", model="tiny/dee", dtype="float32")
    try:
        with pytest.raises(RequestError, match="the tokenizers differ"):
            backend.engine.prepare(Request(Prompt.of("1+1"), Sampling(max_tokens=1), forced=message))
    finally:
        asyncio.run(backend.close())


def test_divergence_is_zero_of_the_same_and_never_below():
    beliefs = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).log_softmax(dim=1)
    assert divergence(beliefs, beliefs) == (0.0,) * 5
    other = torch.log(torch.tensor([[0.5, 0.25, 0.25]])), torch.log(torch.tensor([[0.25, 0.25, 0.5]]))
    assert divergence(*other)[0] == pytest.approx(0.25 * torch.log(torch.tensor(2.0)).item(), rel=1e-6)
    empty = torch.tensor([[0.0, float("-inf")]]), torch.log(torch.tensor([[0.5, 0.5]]))
    assert divergence(*empty)[0] == pytest.approx(0.6931472, rel=1e-6)


def effects_of(values):
    """Return effects of one edge: (question, control, nats)."""
    return Effects("m", 2, tuple(Effect(q, 2, "a", "b", c, (nats, nats)) for q, c, nats in values))


def test_shares_are_ratios_of_means_over_questions():
    made = effects_of([("1", "top1", 0.1), ("2", "top1", 0.3), ("1", "silence", 1.0), ("2", "silence", 3.0)])
    top1, silence = edge_effects(made)
    assert (top1.nats, silence.nats) == pytest.approx((0.2, 2.0))
    value, interval = top1.shares["silence"]
    assert value == pytest.approx(0.9)
    assert interval.low == pytest.approx(0.9) == interval.high
    assert silence.shares == {}
    assert effect_cells(made)[1] == ["all edges", "top1", "2", "0.200", "0.100 to 0.300", "90.0 (90.0 to 90.0)", "–"]
    nothing = share_left({"1": 0.0}, {"1": 0.0})
    assert nothing[0] != nothing[0]
    assert effect_blocks([]) == []


def test_shares_are_over_the_edges_that_both_controls_have():
    found = [
        Effect("1", 2, "a", "b", "top1", (0.4,)),
        Effect("1", 2, "a", "b", "silence", (0.4,)),
        # Of a text, which has no top1.
        Effect("1", 2, "b", "a", "silence", (2.0,)),
    ]
    whole = edge_effects(Effects("m", 1, tuple(found)))[0]
    assert (whole.content, whole.shares["silence"][0]) == ("top1", pytest.approx(0.0))


def test_what_is_no_file_of_ours_is_said_by_its_name(tmp_path):
    assert read_effects(tmp_path) is None
    (tmp_path / "effects.json").write_text(json.dumps({"rows": [[1]]}))
    with pytest.raises(RunError, match="not what `debate effects` writes"):
        read_effects(tmp_path)


def test_reduced_messages_are_not_measured(engines):
    """A control is heard whole: beside a message of half its positions it would differ in two things."""
    question, another = Question("a", "1+1=", labels=("2",)), Question("b", "1+2=", labels=("3",))
    for where in (
        {"reduce": "drop(keep=0.5)"},
        {"topology": {"generator": "complete", "edges": [{"from": "ada", "to": "ben"}]}},
    ):
        if "topology" in where:
            where["topology"]["edges"][0]["reduce"] = "merge(keep=0.5)"
        with pytest.raises(ConfigError, match=r"by reduce: (drop|merge).*measure a row with reduce: none"):
            measured(validate({**RAW, **where}, source="x"), engines, [question])
    text = validate({**RAW, "reduce": "drop(keep=0.5)", "message": "text"}, source="x")
    assert measured(text, engines, [question, another]).steps == STEPS


@pytest.mark.parametrize("memory", ["debate", "questions"])
def test_an_agent_with_a_memory_is_refused_before_anything_is_said(engines, memory):
    config = validate({**RAW, "agents": {**RAW["agents"], "ada": {"memory": memory}}}, source="x")
    with pytest.raises(ConfigError, match=f"'ada' has memory: {memory}"):
        measured(config, engines, [Question("a", "1+1=")])
