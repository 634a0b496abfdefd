"""Every shipped debate of agents that hold beliefs is played, with random weights; every belief backend is in one of them."""

import asyncio
import gzip
import json
import shutil
from functools import partial

import pytest
import torch
from support import contracts
from support.small_data import (
    SPLITS,
    answer_sentences,
    digits,
    ett,
    film_reviews,
    receipts,
    reviews,
    smears,
    streets,
    tatoeba,
    things,
    trec,
    voices,
    wav,
)

from agents.beliefs.cards import GROUP
from agents.models.classical_forecasters.backend import ClassicalForecaster
from agents.models.classical_forecasters.model import LinearForecast
from agents.models.discrete_functions.backend import DiscreteFunctions
from agents.models.discrete_functions.config import LearnerConfig as PupilConfig
from agents.models.discrete_functions.model import Learner as Pupil
from agents.models.documents.rules import DocumentRules
from agents.models.forecasts import ett as ett_series
from agents.models.glyphs import training as glyph_training
from agents.models.glyphs.backend import Glyphs
from agents.models.glyphs.table import character_tokenizer
from agents.models.in_context.backend import InContext
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.model import Learner
from agents.models.itransformer.backend import ITransformerBackend
from agents.models.itransformer.config import ITransformerConfig
from agents.models.itransformer.model import ITransformer
from agents.models.vision.camvid import CLASSES as STREETS
from agents.registry import names
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate
from evals.methods import method_config, method_names
from evals.task import create_task
from evals.tasks import ett as ett_task

SHIPPED = sorted((configs_folder() / "specialists").glob("*.yaml"))


def shakespeare(folder, lines=4000):
    """Write numbered lines of letters that models of characters know."""
    text = "".join(f"And then came number {n} to the king,\n" if n % 9 else f"\nKING {n}:\n" for n in range(lines))
    (folder / "input.txt.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return folder


def document_rules(folder, *, seed=0):
    DocumentRules(temperatures=(1.0, 0.5, 0.5, 0.5 + seed)).save_pretrained(folder)


def recordings(folder):
    rows = []
    for number, label in enumerate(("low", "high", "low")):
        path = folder / f"{number}.wav"
        tone = 9000 * torch.sin(torch.arange(3000) * (0.2 + number))
        path.write_bytes(wav(tone.short().numpy().tobytes()))
        rows.append({"audio": path.name, "answer": label})
    (folder / "sounds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def forecaster(folder, *, seed=0):
    model = LinearForecast(24, 24)
    model.weights.copy_(torch.randn(24, 24, generator=torch.Generator().manual_seed(seed)) / 5)
    ClassicalForecaster(model, variate="OT").save_pretrained(folder)


def itransformer(folder, *, seed=0):
    torch.manual_seed(seed)
    model = ITransformer(ITransformerConfig(lookback=24, horizon=24, width=16, hidden=16, depth=1, heads=2))
    ITransformerBackend(model, variate="OT").save_pretrained(folder)


def pupil(folder, *, seed=0):
    torch.manual_seed(seed)
    DiscreteFunctions(learner=Pupil(PupilConfig(width=16, layers=1, heads=2)).eval()).save_pretrained(folder)


def regression_learner(folder, *, seed=0):
    torch.manual_seed(seed)
    InContext(
        learner=Learner(LearnerConfig(("linear", "pair"), dims=8, width=16, layers=1, heads=2)).eval()
    ).save_pretrained(folder)


def glyphs(folder, *, seed=0):
    recipe = glyph_training.Recipe(width=16, layers=1, heads=2, context=160)
    model = glyph_training.language_model("glyphs", recipe, seed=seed)
    Glyphs(model, character_tokenizer(), temperature=0.1).save_pretrained(folder)


def word_vectors(path, *, seed=0):
    """Write random vectors of the words of `answer_sentences`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["what", "who", "barks", "sleeps", "the", "dog", "a", "cat", "that", "?"]
    rows = torch.randn(len(words), 5, generator=torch.Generator().manual_seed(seed)).tolist()
    lines = [f"{word} {' '.join(f'{number:.5f}' for number in row)}\n" for word, row in zip(words, rows, strict=True)]
    path.write_text("".join([f"{len(words)} 5\n", *lines]))


DATA = {
    "answers": answer_sentences,
    "blood_cells": smears,
    "blood_smears": smears,
    "digit_strings": digits,
    "digit_strings_heard": digits,
    "word_vectors": answer_sentences,
    "fusion": digits,
    "gaps": film_reviews,
    "glyphs": shakespeare,
    "completions": things,
    "hidden_pictures": things,
    "picture_experts": things,
    "pictures": things,
    "questions": trec,
    "receipt_experts": receipts,
    "receipts": receipts,
    "scenes": digits,
    "sentiment": reviews,
    "sentiment_specialised": reviews,
    "sentiment_codes": reviews,
    "series": ett,
    "sounds": recordings,
    "spoken_digits": digits,
    "stream": digits,
    "street_scenes": streets,
    "voice": voices,
    "words": tatoeba,
}
SETTINGS = {
    "scenes": ["agents.scenes.options.examples=data/train.zip"],
    "functions_mixed": ["backend=mock", "model=mock"],
    "digit_strings_heard": ["backend=mock", "model=mock"],
    "receipts": ["backend=mock", "model=mock"],
    "pictures": ["backend=mock", "model=mock"],
    "sounds": ["task=sounds", "agents.passt.checkpoint=one", "agents.passt20.checkpoint=two"],
}
PREPARED = {
    "cass_nat": contracts.small_cass_nat,
    "classical_forecasters": forecaster,
    "crossvit": contracts.small_crossvit,
    "discrete_functions": pupil,
    "document_rules": document_rules,
    "documents": contracts.small_documents,
    "fusion": contracts.small_fusion,
    "glyphs": glyphs,
    "in_context": regression_learner,
    "itransformer": itransformer,
    "kalm": contracts.small_kalm,
    "langsamp": contracts.small_langsamp,
    "langsamp_cloze": contracts.small_langsamp,
    "lmuformer": contracts.small_lmuformer,
    "matryoshka_2d": contracts.small_matryoshka,
    "mp3": partial(contracts.small_mp3, labels=tuple("0123456789")),
    "mp3_order": contracts.small_order,
    "passt": contracts.small_passt,
    "passt_scenes": contracts.small_passt,
    "pluto": partial(contracts.small_pluto, labels=("red cell", "white cell", "platelet")),
    "put": contracts.small_put,
    "put_completions": contracts.small_put_completions,
    "sentence_transformers": contracts.small_sentence_transformer,
    "static_vectors": word_vectors,
    "text_encoder": contracts.small_text_encoder,
    "text_encoder_cloze": contracts.small_cloze,
    "tnt": contracts.small_tnt,
    "transformer_programs": contracts.small_program,
    "transkd": partial(contracts.small_transkd, labels=STREETS),
}


PICTURES = (
    "blood_cells",
    "blood_smears",
    "completions",
    "hidden_pictures",
    "pictures",
    "picture_experts",
    "street_scenes",
)
"""Debates about picture files, which a library reads."""


def agents_of(config):
    """Every agent of a config, in every row of its table."""
    rows = [config, *(method_config(config, name) for name in method_names(config))]
    return [agent for row in rows for agent in row.agents.values()]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_debate_is_played(tmp_path, monkeypatch, path):
    if path.stem == "answers":
        pytest.importorskip("sentence_transformers")
    if path.stem == "digits":
        pytest.importorskip("sklearn")
    if path.stem in PICTURES:
        pytest.importorskip("PIL")
    if path.stem == "glyphs":
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    for module in (ett_series, ett_task):
        monkeypatch.setattr(module, "SPLITS", SPLITS)
    config = load_config(path, SETTINGS.get(path.stem, []))
    seeds = {}
    for agent in agents_of(config):
        if agent.checkpoint and agent.checkpoint not in seeds:
            seeds[agent.checkpoint] = len(seeds)
            PREPARED[agent.backend](tmp_path / agent.checkpoint, seed=seeds[agent.checkpoint])
    (tmp_path / "data").mkdir()
    data = DATA[path.stem](tmp_path / "data") if path.stem in DATA else None
    results = asyncio.run(evaluate(config, out=tmp_path / "run", data=data, limit=2))
    assert [result.total for result in results] == [2] * len(config.methods)


def test_a_language_model_hears_what_two_experts_of_pictures_believe(tmp_path, monkeypatch, tiny):
    """A tiny random model of its own tokens: it hears vectors of both experts, and they hear each other's beliefs."""
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("crossvit", "tnt")):
        PREPARED[name](tmp_path / "runs" / name / "cifar10-0", seed=number)
    (tmp_path / "data").mkdir()
    # Its tokens are characters, and what it hears is longer than its usual context.
    model = shutil.copytree(tiny(), tmp_path / "model")
    settings = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**settings, "max_position_embeddings": 1024}))
    config = load_config(configs_folder() / "specialists" / "pictures.yaml", [f"model={model}", "dtype=float32"])
    results = asyncio.run(
        evaluate(config, out=tmp_path / "run", data=things(tmp_path / "data"), limit=1, methods=["cipher", "text"])
    )
    assert [result.total for result in results] == [1, 1]
    lines = [json.loads(line) for line in (tmp_path / "run" / "cipher" / "transcript.jsonl").read_text().splitlines()]
    turns = {(line["round"], line["agent"]): line for line in lines if line["kind"] == "turn"}
    assert sorted(agent for _, agent in turns[2, "eve"]["heard"]) == ["crossvit", "tnt"]
    assert {turn["encoder"] for turn in turns.values()} == {"expectation"}
    assert turns[2, "eve"]["usage"]["prompt_tokens"] > turns[1, "eve"]["usage"]["prompt_tokens"]


def test_every_belief_backend_is_in_a_shipped_debate():
    found = {agent.backend for path in SHIPPED for agent in agents_of(load_config(path))}
    assert set(names(GROUP)) <= found


def test_lines_are_misspelled_in_one_place(tmp_path):
    task = create_task("spelling", data=shakespeare(tmp_path))
    samples = task.samples()
    for sample in samples[:20]:
        right = sample.options["ABCD".index(sample.target)]
        number = int(sample.observations[0].text.split()[4])
        assert right == f"And then came number {number + 1} to the king,"
        assert len(set(sample.options)) == 4
        for other in set(sample.options) - {right}:
            assert sorted(other) == sorted(right)
            assert sum(a != b for a, b in zip(other, right, strict=True)) == 2
    assert task.samples() == samples
    validation = create_task("spelling", data=tmp_path, split="validation").samples()
    assert not {s.observations[0].text for s in validation} & {s.observations[0].text for s in samples}


def test_kinds_of_questions_are_asked_about(tmp_path):
    task = create_task("trec", data=trec(tmp_path))
    sample = task.samples(1)[0]
    assert (sample.observations[0].text, sample.target) == ("Who is he ? yes", "person")
    assert sample.question.endswith(sample.observations[0].text)
    assert task.labels(sample) == ("abbreviation", "description", "thing", "person", "place", "number")
    assert task.extract("Answer: Person.") == "person"
