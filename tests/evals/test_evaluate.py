"""A whole evaluation: the same bytes twice, the counts, and what is left after Ctrl-C."""

import asyncio
import gc
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.plain_loops import on_mock

from agents.errors import ConfigError, RunError, UnknownName
from debate.config.load import validate
from debate.config.shipped import configs_folder
from debate.run_folder.reader import RunReader, read_method
from debate.runtime.observer import Observer
from evals.evaluation import Selection, evaluate
from evals.task import create_task

CONFIG = validate(
    {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        "backend": "mock",
        "model": "mock",
        "max_tokens": 64,
    },
    source="x",
)


def contents(folder):
    """Return what a run comes to, without times: transcripts, messages, and results but for what timing decides."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in ("transcript.jsonl", "config.yaml") or path.suffix == ".safetensors":
            found[str(path.relative_to(folder))] = path.read_bytes()
    results = json.loads((folder / "results.json").read_text())
    for row in results["methods"].values():
        del row["seconds"], row["cached_tokens"]
    return {**found, "results": results}


def test_methods_play_the_same_questions_and_everything_is_on_disk(tmp_path, run):
    rows = run(evaluate(CONFIG, out=tmp_path / "run", limit=6))
    assert [(row.method, row.total, row.turns) for row in rows] == [
        ("single", 6, 6),
        ("text", 6, 36),
        ("cipher", 6, 36),
    ]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    asked = []
    for row in rows:
        debates = list(read_method(tmp_path / "run" / row.method))
        asked.append([(record.transcript.question, record.decision["target"]) for record in debates])
        assert results["methods"][row.method]["correct"] == row.correct
        assert row.correct == sum(record.decision["score"] == "correct" for record in debates)
        assert row.generated_tokens == sum(record.transcript.generated_tokens for record in debates)
    assert sorted(asked[0], key=str) == sorted(asked[1], key=str) == sorted(asked[2], key=str)


@pytest.mark.parametrize("backend", ["mock", "transformers"])
def test_same_config_and_seed_is_the_same_bytes(tmp_path, run, backend, tiny):
    options = {"backend": backend, "rounds": 2}
    if backend == "transformers":
        model = {"model": str(tiny()), "dtype": "float32", "max_tokens": 16, "format": "plain", "prompts": "open"}
        options = {**options, **model, "options": {"max_num_seqs": 3}}
        options["options"]["device"] = "cpu"
        # The tiny model's context holds the short prompts only.
        config = CONFIG.model_copy(update={**options, "max_tokens": 8})
    else:
        config = CONFIG.model_copy(update=options)
    for name in ("one", "two"):
        run(evaluate(config, out=tmp_path / name, limit=4))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert any(path.endswith(".safetensors") for path in contents(tmp_path / "one"))
    mode = {"way": "by_row", "batch_invariant": True, "rows": 4}
    recorded = json.loads((tmp_path / "one" / "run.json").read_text()).get("decoding", {})
    assert list(recorded.values()) == ([mode] if backend == "transformers" else [])
    run(evaluate(config.model_copy(update={"seed": 1}), out=tmp_path / "three", limit=4))
    assert contents(tmp_path / "one") != contents(tmp_path / "three")


def test_cancelling_leaves_what_was_finished_readable(tmp_path, run):
    @dataclass
    class Interrupting(Observer):
        task: asyncio.Task
        decided: int = 0

        def debate_decided(self, question, decision, score):
            self.decided += 1
            if self.decided == 9:
                # What Ctrl-C does: asyncio cancels the main task.
                self.task.cancel()

    async def interrupted():
        await evaluate(CONFIG, out=tmp_path / "run", limit=6, observer=Interrupting(asyncio.current_task()))

    with pytest.raises(asyncio.CancelledError):
        run(interrupted())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    played = RunReader(tmp_path / "run")
    finished = [record for name in played.methods for record in played.debates(name) if record.decision]
    assert len(finished) >= 9
    assert played.methods == ["single", "text"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"limit": 2}, r"limit=2 beside a selection has no effect; write Selection\(limit=2, …\) instead"),
        ({"data": Path("x.jsonl")}, r"data=.*x\.jsonl.* beside a selection has no effect"),
        ({"samples": []}, r"shuffle=True beside samples has no effect"),
    ],
)
def test_an_argument_that_would_have_no_effect_is_refused(tmp_path, run, arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        run(evaluate(CONFIG, out=tmp_path / "run", selection=Selection(shuffle=True), **arguments))
    assert not (tmp_path / "run").exists()


def test_samples_are_asked_as_they_are_given_and_a_limit_beside_them_is_refused(tmp_path, run):
    samples = create_task("arithmetic", seed=0).samples(3)[1:]
    (row,) = run(evaluate(CONFIG, out=tmp_path / "run", methods=["single"], samples=samples))
    assert list(row.answers) == [sample.id for sample in samples]
    with pytest.raises(ConfigError, match="limit=1 beside samples has no effect"):
        run(evaluate(CONFIG, out=tmp_path / "other", methods=["single"], samples=samples, limit=1))


def test_a_mistake_in_any_method_is_found_before_the_first_runs(tmp_path, run):
    config = CONFIG.model_copy(update={"methods": {"single": {}, "bad": {"topology": "rng"}}})
    with pytest.raises(Exception, match="unknown topology 'rng'"):
        run(evaluate(config, out=tmp_path / "run", limit=2))
    assert not (tmp_path / "run" / "single").exists()
    # Nothing was said under the mistaken config: the mended one is not refused.
    assert run(evaluate(CONFIG, out=tmp_path / "run", methods=["single"], limit=2))[0].total == 2
    with pytest.raises(UnknownName, match="unknown method 'ciper'"):
        run(evaluate(CONFIG, out=tmp_path / "other", methods=["ciper"]))
    assert not (tmp_path / "other").exists()


NEED_DATA = {
    *(
        "answers",
        "blood_cells",
        "blood_smears",
        "completions",
        "digit_strings",
        "digit_strings_heard",
        "digits",
        "functions_taught",
        "fusion",
        "gaps",
        "glyphs",
        "hidden_pictures",
        "in_context_mixture",
        "instruct",
        "picture_experts",
        "pictures",
        "questions",
        "receipt_experts",
        "receipts",
        "scenes",
        "sentiment",
        "sentiment_specialised",
        "sentiment_codes",
        "seqpe",
        "series",
        "sounds",
        "spoken_digits",
        "step_order",
        "stream",
        "street_scenes",
        "voice",
    ),
    "word_vectors",
    "words",
}


@pytest.mark.parametrize(
    "path",
    sorted(
        path
        for path in (*configs_folder().glob("*.yaml"), *configs_folder().glob("specialists/*.yaml"))
        # They need data sets and trained models, and have tests of their own (tests/agents/speakers/test_specialist.py,
        # tests/agents/models/test_shipped_debates.py).
        if path.stem not in NEED_DATA
    )
    # What decodes beyond sampling plays on transformers alone (tests/debate/test_decoding.py).
    + sorted(
        path
        for path in configs_folder().glob("minds/*.yaml")
        if path.stem not in NEED_DATA and not any(key in path.read_text() for key in ("decoding:", "transforms:"))
    ),
    ids=lambda path: path.name,
)
def test_every_shipped_config_runs_on_mock(tmp_path, run, path):
    assert run(evaluate(on_mock(path), out=tmp_path / "run", limit=2))


@pytest.mark.parametrize(
    "path",
    sorted(configs_folder().glob("transforms/*.yaml"))
    + [path for path in sorted(configs_folder().glob("minds/*.yaml")) if "transforms:" in path.read_text()],
    ids=lambda path: path.name,
)
def test_every_shipped_config_of_copies_runs_on_mock_without_them(tmp_path, run, path):
    """Rows with copies play on transformers alone (tests/evals/copies/test_copies.py); those beside them play here."""
    config = on_mock(path)
    copied = ("transforms", "cache", "attention")
    plain = [name for name, row in config.methods.items() if not any(word in str(row) for word in copied)]
    rows = run(evaluate(config, out=tmp_path / "run", methods=plain, limit=1))
    assert {"single", "text", "cipher"} <= {row.method for row in rows}


@pytest.mark.slow
def test_a_thousand_debates_do_not_grow_the_process(tmp_path, run):
    """Finished debates live on disk: messages alive at the end are those of debates in flight, i.e. none."""
    from agents.message import Message

    seen = []

    class Watching(Observer):
        def debate_decided(self, question, decision, score):
            if len(seen) % 250 == 0:
                gc.collect()
                live = sum(type(value) is Message for value in gc.get_objects())
                seen.append(live)
            else:
                seen.append(None)

    config = CONFIG.model_copy(update={"options": {"script": {"": "Answer: 1"}}, "rounds": 2})
    rows = run(evaluate(config, out=tmp_path / "run", methods=["cipher"], limit=1000, observer=Watching()))
    counts = [count for count in seen if count is not None]
    assert rows[0].total == 1000
    # 32 debates in flight, of 4 messages each.
    assert max(counts) - counts[0] <= 32 * 4 + 8


class Stopping(Observer):
    """Stops the run as Ctrl-C does after so many turns, and counts the turns that were taken."""

    def __init__(self, after):
        self.after, self.turns = after, []

    def turn_said(self, question, turn):
        self.turns.append((question.id, turn.key))
        if len(self.turns) == self.after:
            asyncio.current_task().cancel()
            raise asyncio.CancelledError


@pytest.mark.parametrize("changes", [{}, {"stopping": "unanimity", "protocol": "memory"}], ids=["plain", "stopping"])
def test_a_run_stopped_again_and_again_is_the_run_undisturbed(tmp_path, run, changes):
    """Stopped at odd moments, also inside debates: the same transcripts, messages and results, and no turn taken twice."""
    config = CONFIG.model_copy(update=changes)
    whole = Stopping(-1)
    run(evaluate(config, out=tmp_path / "whole", limit=5, observer=whole))
    taken, sessions = [], 0
    for after in [1, 2, 3, 5, 7, 11, 13, -1]:
        watching = Stopping(after)
        try:
            run(evaluate(config, out=tmp_path / "broken", limit=5, observer=watching))
        except asyncio.CancelledError:
            sessions += 1
        taken += watching.turns
    assert sessions >= 5
    assert len(taken) == len(whole.turns)
    assert sorted(taken) == sorted(whole.turns)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


def test_a_finished_run_asked_for_again_says_nothing_again(tmp_path, run):
    rows = run(evaluate(CONFIG, out=tmp_path / "run", limit=3))
    before = contents(tmp_path / "run")
    watching = Stopping(-1)
    again = run(evaluate(CONFIG, out=tmp_path / "run", limit=3, observer=watching))
    assert watching.turns == []
    assert [row.answers for row in again] == [row.answers for row in rows]
    assert contents(tmp_path / "run") == before
    with pytest.raises(RunError, match="is a run over 3 questions, and none of them is taken back"):
        run(evaluate(CONFIG, out=tmp_path / "run", limit=2))
