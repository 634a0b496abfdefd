"""A part of `make fuzz`: the corpus and a seed's first inputs for every reader, and a fuzzer that notices what it is for."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.faulty import Faulty
from fuzz.mutation import mutate, mutate_value
from fuzz.run import TARGETS, Tally, batch, try_input
from fuzz.target import CORPUS

TESTS = str(Path(__file__).parents[1])
# Of each target here; dear ones fewer.
INPUTS = 1500
FEW = {
    "run_folders": 60,
    "model_folders": 60,
    "configs": 150,
    "templates": 300,
    "prompts": 400,
    "overrides": 600,
    "yaml": 600,
    "bodies": 400,
    "pictures": 600,
}
LARGEST_CORPUS = 1_000_000


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path / "home"))


@pytest.fixture
def made(tmp_path):
    """Return a function: a target's class → a target with a folder of its own."""

    def make(kind):
        (tmp_path / kind.name).mkdir()
        return kind(tmp_path / kind.name)

    return make


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TARGETS, ids=lambda kind: kind.name)
def test_whatever_is_read_is_right_or_refused_by_a_documented_error(kind, made, tmp_path):
    target, tally = made(kind), Tally()
    for seed in target.seeds():
        target.read(seed)
    corpus = target.corpus()
    for blob in corpus:
        # What is looked up or imported once may take its second.
        assert None in (try_input(target, blob, Tally()), try_input(target, blob, Tally())), blob[:80]
    for blob in batch(target, 0, 1, corpus, FEW.get(kind.name, INPUTS)):
        wrong = try_input(target, blob, tally)
        if wrong is not None:
            (tmp_path / "found").write_bytes(blob)
            pytest.fail(f"{wrong}\nits input is {tmp_path / 'found'}")
    # Both happen, or the inputs are too tame or too wild to say anything.
    assert tally.taken
    assert tally.refused or not kind.documented


def test_the_corpus_is_small_and_every_folder_in_it_is_a_targets():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_CORPUS
    assert {path.parent.name for path in files} <= {kind.name for kind in TARGETS}


def test_what_is_undocumented_or_broken_is_found_and_kept_and_so_is_memory(tmp_path):
    # In a process of its own: what other tests free meanwhile would hide what this one keeps.
    command = [sys.executable, "-m", "fuzz.faulty", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": TESTS})
    tally = json.loads(done.stdout.splitlines()[-1])
    assert tally["inputs"] == 1000
    assert {kind.split()[0] for kind in tally["findings"]} == {"KeyError", "AssertionError", "memory"}
    kept = [path.read_bytes() for path in (tmp_path / "findings").iterdir()]
    assert sorted(len(blob) % 7 for blob in kept) == [5, 6]


def test_an_input_that_takes_long_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.run.LONGEST_S", 0.0)
    assert "of processor time" in str(try_input(Faulty(tmp_path), b"abc", Tally()))


def test_a_batch_is_the_same_again_and_another_seeds_is_another(tmp_path):
    target = Faulty(tmp_path)
    first, again, other = (list(batch(target, seed, 3, [b"abc", b"de" * 50])) for seed in (5, 5, 6))
    assert first == again != other


def test_changes_reach_every_kind_of_value():
    chance = random.Random(0)
    value = {"a": [1, "x", {"b": None}], "c": 1.5}
    assert sum(mutate_value(value, chance) != value for _ in range(200)) > 150
    assert value == {"a": [1, "x", {"b": None}], "c": 1.5}
    assert len({mutate(b"some bytes", b"others", chance, ()) for _ in range(200)}) > 100
