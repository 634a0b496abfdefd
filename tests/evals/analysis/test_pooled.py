"""Comparisons over the questions of several runs, and an experiment of several seeds as a whole."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from evals.analysis.pooled import pooled
from evals.analysis.stats import StatisticsError, compare_all
from evals.reproduce import reproduce


@dataclass
class Method:
    name: str
    own: dict
    is_dependent: bool = False

    @property
    def debates(self):
        return list(self.own)

    def outcomes(self):
        return self.own


@dataclass
class Run:
    methods: list
    path: Path = Path("a")


def run_of(seed, right, other, count=30):
    """Return a run of two methods: which questions each has right."""
    names = [f"q-{seed}-{n}" for n in range(count)]
    return Run(
        [
            Method("plain", {name: [float(n in right)] for n, name in enumerate(names)}),
            Method("other", {name: [float(n in other)] for n, name in enumerate(names)}),
        ]
    )


def test_questions_of_all_runs_count_once_each_in_pairs():
    runs = [run_of(0, range(10), range(12)), run_of(1, range(10), range(3, 14)), run_of(2, range(5), range(9))]
    (found,) = pooled(runs, "plain")
    assert (found.first, found.second, found.questions) == ("other", "plain", 90)
    assert (found.only_first, found.only_second) == (2 + 4 + 4, 3)
    merged = {name: {} for name in ("plain", "other")}
    for one in runs:
        for method in one.methods:
            merged[method.name] |= method.own
    assert [found] == compare_all(merged, [("other", "plain")])


def test_questions_that_depend_on_each_other_in_one_run_are_not_tested_over_all():
    runs = [run_of(0, range(10), range(30)), run_of(1, range(10), range(30))]
    assert pooled(runs, "plain")[0].is_distinguishable
    runs[1].methods[1].is_dependent = True
    assert not pooled(runs, "plain")[0].is_distinguishable


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(StatisticsError, match="no method 'cipher' to compare with"):
        pooled([run_of(0, (), ())], "cipher")
    with pytest.raises(StatisticsError, match="'q-0-0', as another run does"):
        pooled([run_of(0, (), ()), run_of(0, (), ())], "plain")


EXPERIMENT = """
title: "Two seeds"
tasks: [arithmetic]
seeds: [3, 4]
against: cipher
debate: {rounds: 2, max_tokens: 24, agents: {ada: {temperature: 0.2}, ben: {temperature: 0.9}}}
methods: {single: {}, text: {}, cipher: {}}
"""


def test_an_experiment_of_two_seeds_is_two_runs_and_one_table(tmp_path, run):
    (tmp_path / "two.yaml").write_text(EXPERIMENT)
    mock = {"backend": "mock", "model": "mock"}
    made = run(reproduce(str(tmp_path / "two.yaml"), out=tmp_path / "r", overrides=mock, limit=4))
    assert sorted(path.name for path in (tmp_path / "r").iterdir() if path.is_dir()) == [
        "arithmetic-seed3",
        "arithmetic-seed4",
    ]
    assert {line.task for line in made.lines} == {"arithmetic, seed 3", "arithmetic, seed 4"}
    assert len(made.lines) == 6
    assert [task for task, _ in made.sentences] == ["arithmetic, 2 seeds"] * 2
    assert [sentence.split(" = ")[0] for _, sentence in made.sentences] == ["single − cipher", "text − cipher"]
    assert all("8 paired questions" in sentence for _, sentence in made.sentences)
    assert made.conditions.endswith("seeds 3, 4")
    assert [task for task, _ in made.hashes] == ["arithmetic, seed 3", "arithmetic, seed 4"]
    asked = [
        json.loads(line)["question"]
        for seed in (3, 4)
        for line in (tmp_path / "r" / f"arithmetic-seed{seed}" / "samples.jsonl").read_text().splitlines()
    ]
    assert len(set(asked)) == 8
    one = run(reproduce(str(tmp_path / "two.yaml"), out=tmp_path / "s", overrides={**mock, "seed": 9}, limit=4))
    assert {line.task for line in one.lines} == {"arithmetic"}
    assert one.conditions.endswith("seed 9")
