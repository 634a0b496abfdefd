"""Debates in which agents hold beliefs: configs, what is heard by whom, what is refused, runs that go on."""

import asyncio
from itertools import pairwise

import pytest
import torch
from support.contracts import small_lmuformer, small_passt
from support.small_data import SPLITS, answer_sentences, digits, ett
from support.small_text_models import small_kalm, small_matryoshka, small_sentence_transformer

from agents.beliefs.pooling import find_pool
from agents.beliefs.verbaliser import read_words
from agents.errors import ConfigError, RequestError, UnknownName
from agents.models.classical_forecasters.backend import ClassicalForecaster
from agents.models.classical_forecasters.model import LinearForecast, seasonal_naive
from agents.models.forecasts import ett as ett_series
from agents.models.itransformer.backend import ITransformerBackend
from agents.models.itransformer.config import ITransformerConfig
from agents.models.itransformer.model import ITransformer
from agents.question import Question
from debate.build import build_debate
from debate.config.load import load_config, validate
from debate.config.shipped import configs_folder
from debate.orchestrator import play
from debate.runtime.backends import Backends
from evals.evaluation import evaluate
from evals.samples import to_question
from evals.task import create_task
from evals.tasks import ett as ett_task

FUNCTIONS = configs_folder() / "specialists" / "functions.yaml"
TASK = create_task("discrete_functions")
SAMPLES = TASK.samples(3)


def config(**changes):
    raw = {
        "backend": "mock",
        "model": "mock",
        "task": "discrete_functions",
        "rounds": 2,
        "max_tokens": 40,
        "agents": {
            "ada": {"backend": "discrete_functions", "options": {"rule": "bayes", "share": [0, 2]}, "pool": "product"},
            "ben": {"backend": "discrete_functions", "options": {"rule": "bayes", "share": [1, 2]}, "pool": "product"},
        },
    }
    return validate({**raw, **changes}, source="test")


def played(found, question=None):
    async def run():
        backends = Backends(found)
        debate = build_debate(found, backends, extract=TASK.extract)
        transcript = await play(debate, question or to_question(SAMPLES[0], TASK))
        await backends.close()
        return debate, transcript

    return asyncio.run(run())


def belief_in(message, debate, name="ada"):
    return debate.agents[name].verbaliser.read(message, ("0", "1"))


def test_the_task_asks_in_words_and_shows_a_table():
    sample = SAMPLES[0]
    (table,) = sample.observations
    assert sample.question.count("Input:") == 16
    assert sample.question.count("Label:") == 15
    last = sample.question.split("Input: ")[-1].split("\n")[0]
    assert last.split() == ["01"[int(v > 0)] for v in table.values[-1].tolist()]
    assert create_task("discrete_functions", seed=1).samples(1)[0].question != sample.question
    assert create_task("discrete_functions:parity").samples(1)[0].question != sample.question
    for said, want in (("Answer: 1", "1"), ("Belief: 0 9.1%, 1 90.9%. Answer: 1", "1"), ("0", "0"), ("0 or 1", None)):
        assert TASK.extract(said) == want
    # As SmolLM2 says it; and no label.
    assert TASK.extract("The label of the last input is 1.") == "1"
    assert TASK.extract("It is 0.5, or 1%") is None


def test_beliefs_are_heard_and_pooled_by_bayes_rule():
    debate, transcript = played(config())
    first = {turn.key.agent: belief_in(turn.message, debate) for turn in transcript.turns if turn.key.round == 1}
    last = {turn.key.agent: belief_in(turn.message, debate) for turn in transcript.turns if turn.key.round == 2}
    (a, b), floor = (first["ada"].probabilities, first["ben"].probabilities), 1e-3
    lift = [max(x, floor) * max(y, floor) for x, y in zip(a, b, strict=True)]
    want = [w / sum(lift) for w in lift]
    for belief in last.values():
        assert belief.probabilities == pytest.approx(want, abs=1e-4)


def test_labels_are_heard_as_labels():
    trusting = config(message="text")
    agents = {name: {**agent.model_dump(), "trust": 0.7} for name, agent in trusting.agents.items()}
    debate, transcript = played(config(message="text", agents=agents))
    ada, ben = (turn for turn in transcript.turns if turn.key.round == 1)
    assert ada.message.text in ("Answer: 0", "Answer: 1")
    own = debate.agents["ada"].believe(to_question(SAMPLES[0], TASK))
    pooled = debate.agents["ada"].believe(to_question(SAMPLES[0], TASK), [ben.message])
    heard = read_words(ben.message.text, ("0", "1"), trust=0.7).probabilities
    lift = [max(x, 1e-3) * y for x, y in zip(own.probabilities, heard, strict=True)]
    assert pooled.probabilities == pytest.approx([w / sum(lift) for w in lift], abs=1e-6)


def test_without_a_pool_nothing_is_taken_in():
    agents = {"ada": {"backend": "discrete_functions", "options": {"rule": "neighbours"}}, "ben": {}}
    _, transcript = played(config(agents=agents))
    said = [turn.message for turn in transcript.turns if turn.key.agent == "ada"]
    assert said[0] == said[1]


def test_a_language_model_debates_with_them_in_both_directions():
    """The mock hears the belief as vectors; its own answer, which is no belief over 0 and 1, is left out of the pool."""
    agents = {
        "ada": {"backend": "discrete_functions", "options": {"rule": "learner"}, "pool": "product"},
        "eve": {"backend": "mock", "options": {"script": {".": "I think so. Answer: 1"}}},
    }
    debate, transcript = played(config(agents=agents))
    ada = {turn.key.round: turn for turn in transcript.turns if turn.key.agent == "ada"}
    eve = {turn.key.round: turn for turn in transcript.turns if turn.key.agent == "eve"}
    assert ada[1].message.is_cipher
    assert eve[2].heard == (ada[1].key,)
    assert eve[2].usage.prompt_tokens > eve[1].usage.prompt_tokens
    before, after = (belief_in(ada[number].message, debate).probabilities[1] for number in (1, 2))
    assert after > before


def test_observations_that_are_not_there_end_the_debate_with_a_sentence():
    with pytest.raises(RequestError, match="looks at table; this case has only a question"):
        played(config(), Question("q", "What is the label?"))


@pytest.mark.parametrize(
    ("agent", "sentence"),
    [
        ({"pool": "product"}, r"agents\.ada\.pool: only agents with a belief backend"),
        ({"checkpoint": "x"}, r"agents\.ada\.checkpoint: only agents"),
        ({"backend": "discrete_functions", "role": "critic"}, "reads no prompts"),
        ({"backend": "discrete_functions", "encoder": "topk(k=2)"}, "its expectation: give it encoder: expectation"),
        (
            {"backend": "discrete_functions", "options": {"rule": "bayes", "shar": 1}},
            "has no option 'shar'.*Did you mean 'share'",
        ),
        ({"backend": "discrete_functions", "pool": "product(flor=1)"}, "flor"),
    ],
)
def test_mistakes_in_a_config_are_sentences(agent, sentence):
    with pytest.raises(ConfigError, match=sentence):
        played(config(agents={"ada": agent, "ben": {}}))


def test_a_belief_backend_is_no_backend_of_a_debate():
    with pytest.raises(ConfigError, match="holds beliefs over labels, and has no tokens"):
        played(config(backend="discrete_functions", agents={"ada": {}}))
    with pytest.raises(UnknownName, match="unknown pool 'produkt'.*Did you mean 'product'"):
        find_pool("produkt")


def test_the_shipped_debate_is_the_same_again_and_goes_on_after_an_interruption(tmp_path):
    found = load_config(FUNCTIONS)
    whole = asyncio.run(evaluate(found, out=tmp_path / "a", methods=["single", "text", "cipher"], limit=6))
    again = asyncio.run(evaluate(found, out=tmp_path / "b", methods=["single", "text", "cipher"], limit=6))
    continued = asyncio.run(evaluate(found, out=tmp_path / "b", methods=["single", "text", "cipher"], limit=6))
    for one, two, three in zip(whole, again, continued, strict=True):
        assert (one.total, one.correct) == (two.total, two.correct) == (three.total, three.correct)
    assert (tmp_path / "a" / "samples.jsonl").read_bytes() == (tmp_path / "b" / "samples.jsonl").read_bytes()


def test_two_that_hear_debate_about_a_recording(tmp_path, monkeypatch):
    """The shipped config, with random weights: what passt says after hearing is the mean of both beliefs."""
    monkeypatch.chdir(tmp_path)
    small_passt(tmp_path / "runs" / "passt" / "fsdd-0")
    small_lmuformer(tmp_path / "runs" / "lmuformer" / "fsdd-0")
    found = load_config(configs_folder() / "specialists" / "spoken_digits.yaml")
    results = asyncio.run(evaluate(found, out=tmp_path / "run", data=digits(tmp_path), limit=4))
    assert [result.total for result in results] == [4] * len(found.methods)
    task = create_task("spoken_digits:0", data=tmp_path)
    debate, transcript = played(found, to_question(task.samples(1)[0], task))
    labels = ("low", "middle", "high")
    said = {turn.key: debate.agents["passt"].verbaliser.read(turn.message, labels) for turn in transcript.turns}
    first = [belief.probabilities for key, belief in said.items() if key.round == 1]
    for belief in (belief for key, belief in said.items() if key.round == 2):
        want = [sum(column) / 2 for column in zip(*first, strict=True)]
        assert belief.probabilities == pytest.approx(want, abs=1e-4)


def test_three_that_forecast_debate_about_a_series(tmp_path, monkeypatch):
    """The shipped config, with random weights: all forecast the hour that is asked about, and say the mean of three beliefs."""
    monkeypatch.chdir(tmp_path)
    for module in (ett_series, ett_task):
        monkeypatch.setattr(module, "SPLITS", SPLITS)
    torch.manual_seed(0)
    small = ITransformer(ITransformerConfig(lookback=24, horizon=24, width=16, hidden=16, depth=1, heads=2))
    runs = tmp_path / "runs"
    ITransformerBackend(small, variate="OT").save_pretrained(runs / "itransformer" / "etth1-0")
    ridge = LinearForecast(24, 24)
    ridge.weights.normal_().mul_(0.2)
    for name, model in (("ridge", ridge), ("seasonal_naive", seasonal_naive(24, 24, 24))):
        ClassicalForecaster(model, variate="OT").save_pretrained(runs / "classical_forecasters" / name)
    found = load_config(configs_folder() / "specialists" / "series.yaml")
    results = asyncio.run(evaluate(found, out=tmp_path / "run", data=ett(tmp_path), limit=3))
    assert [result.total for result in results] == [3] * len(found.methods)
    task = create_task("ett", data=tmp_path)
    debate, transcript = played(found, to_question(task.samples(1)[0], task))
    assert all(agent.believer.step == ett_task.HOURS for agent in debate.agents.values())
    said = {
        turn.key: debate.agents["ridge"].verbaliser.read(turn.message, ett_task.LABELS) for turn in transcript.turns
    }
    first = [belief.probabilities for key, belief in said.items() if key.round == 1]
    assert len(set(first)) == 3
    for belief in (belief for key, belief in said.items() if key.round == 2):
        want = [sum(column) / 3 for column in zip(*first, strict=True)]
        assert belief.probabilities == pytest.approx(want, abs=1e-4)


def test_questions_about_a_series_do_not_overlap_and_look_back_only(tmp_path, monkeypatch):
    for module in (ett_series, ett_task):
        monkeypatch.setattr(module, "SPLITS", SPLITS)
    values, _ = ett_series.read_ett(ett(tmp_path))
    for split in ("validation", "test"):
        first, end = SPLITS[split]
        places = []
        for sample in create_task("ett", data=tmp_path, split=split).samples():
            now = int(sample.id.rpartition("-")[2])
            places.append(now)
            (series,) = sample.observations
            assert torch.equal(series.values, values[now - 167 : now + 1].float())
            change = float(values[now + 12, -1] - values[now, -1])
            want = "plunge" if change < -2 else "fall" if change < 0 else "rise" if change < 2 else "soar"
            assert sample.target == want
            assert first <= now + 1
            assert now + 12 < end
        assert all(b - a == 13 for a, b in pairwise(places))
        assert places[-1] + 13 + 12 >= end


def test_one_right_sentence_is_among_at_most_25_wrong_ones(tmp_path):
    task = create_task("trecqa", data=answer_sentences(tmp_path))
    loaded = task.load()
    assert (loaded.rows_in, dict(loaded.removed)) == (4, {"no right sentence, or no wrong one": 1})
    assert [len(sample.options) for sample in loaded.samples] == [2, 2, 26]
    rights = ({"the dog barks", "a dog"}, {"a cat that sleeps"}, {"cat", "cat cat", "cat cat cat"})
    for sample, right in zip(loaded.samples, rights, strict=True):
        letters = task.labels(sample)
        assert len(set(sample.options)) == len(letters)
        assert [sample.options[letters.index(sample.target)]] == [text for text in sample.options if text in right]
        assert sample.observations[0].text in sample.question
        assert "(A)" not in sample.observations[0].text
    assert task.load().samples == loaded.samples


def test_four_that_read_debate_about_sentences(tmp_path, monkeypatch):
    """The shipped config, with random weights."""
    pytest.importorskip("sentence_transformers")
    monkeypatch.chdir(tmp_path)
    small_kalm(tmp_path / "runs" / "kalm" / "kalm-0")
    small_matryoshka(tmp_path / "runs" / "matryoshka_2d" / "sick-0")
    small_sentence_transformer(tmp_path / "minilm")
    path = configs_folder() / "specialists" / "answers.yaml"
    found = load_config(path, ["agents.minilm.checkpoint=minilm"])
    results = asyncio.run(evaluate(found, out=tmp_path / "run", data=answer_sentences(tmp_path), limit=3))
    assert [result.total for result in results] == [3] * len(found.methods)
    task = create_task("trecqa", data=tmp_path)
    debate, transcript = played(found, to_question(task.samples(1)[0], task))
    assert (debate.agents["early"].believer.texts.layer, debate.agents["early"].believer.texts.dim) == (2, 16)
    said = {turn.key: debate.agents["kalm"].verbaliser.read(turn.message, "AB") for turn in transcript.turns}
    first = [belief.probabilities for key, belief in said.items() if key.round == 1]
    for belief in (belief for key, belief in said.items() if key.round == 2):
        want = [sum(column) / 4 for column in zip(*first, strict=True)]
        assert belief.probabilities == pytest.approx(want, abs=1e-4)


def test_an_average_of_beliefs_decides(tmp_path):
    found = load_config(FUNCTIONS, ["rounds=1", 'decision=belief_average(options="01")'])
    (result,) = asyncio.run(evaluate(found, out=tmp_path / "a", methods=["cipher"], limit=5))
    assert result.total == 5
