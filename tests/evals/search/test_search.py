"""The search: never on the test split, one test, interrupted and continued, and it finds what there is to find."""

import json
from pathlib import Path

import pytest

from agents.errors import ConfigError, RunError, UnknownName
from debate.config.load import validate
from evals.evaluation import Selection
from evals.methods import resolve
from evals.search.page import write_search_page
from evals.search.parameters import Parameter, parse_parameter, with_values
from evals.search.questions import divide
from evals.search.search import search

pytest.importorskip("optuna")

CONFIG = validate(
    {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        "backend": "mock",
        "model": "mock",
        "max_tokens": 64,
        "message": "text",
        "rounds": 2,
    },
    source="x",
)


def test_parameters_are_ranges_or_choices():
    assert parse_parameter("agents.ada.temperature=0.01:2") == Parameter("agents.ada.temperature", 0.01, 2)
    assert parse_parameter("rounds=2:5").is_whole
    assert parse_parameter("encoder=expectation|topk(k=3)").choices == ("expectation", "topk(k=3)")
    for wrong in ("x", "x=3", "x=2:1", "x=a:b"):
        with pytest.raises(ConfigError, match="--vary"):
            parse_parameter(wrong)
    with pytest.raises(ConfigError, match="a search cannot vary model"):
        parse_parameter("model=a|b")
    assert with_values(CONFIG, {"agents.ben.temperature": 1.5, "rounds": 3}).agents["ben"].temperature == 1.5
    with pytest.raises(ConfigError, match="no mapping 'eve'"):
        with_values(CONFIG, {"agents.eve.temperature": 1.0})


def test_the_test_split_is_refused_and_sets_are_disjoint():
    with pytest.raises(ConfigError, match="refusing to search on the test split of arithmetic"):
        divide(CONFIG, Selection(limit=5), split="test")
    found = divide(CONFIG, Selection(limit=300))
    asked = [{sample.question for sample in part} for part in (found.validation, found.test)]
    assert not asked[0] & asked[1]
    assert (len(found.validation), len(found.test)) == (300, 300)
    assert found.how.startswith("the validation and test splits of arithmetic, seed 0")


def test_a_task_of_one_split_is_halved_by_hash(tmp_path):
    people = {
        f"Person {number}": f"- Invented Fortran {number} in 19{number + 10}\n- Turing Award" for number in range(40)
    }
    file = tmp_path / "article.json"
    file.write_text(json.dumps(people))
    found = divide(CONFIG.model_copy(update={"task": "biographies"}), Selection(data=file))
    assert len(found.validation) + len(found.test) == 40
    assert min(len(found.validation), len(found.test)) > 8
    assert "halves of the test split by the SHA-256 of the question" in found.how
    again = divide(CONFIG.model_copy(update={"task": "biographies"}), Selection(data=file))
    assert again.validation == found.validation


def reply_by_temperature(monkeypatch, best):
    """Make the mock right more often the nearer the deciding agent's temperature is to `best`."""
    import hashlib
    import re

    from agents.backends import mock

    def make(skill):
        def reply(read, request):
            a, b, c, d, e, f = map(int, re.findall(r"(\d+)\+(\d+)\*(\d+)\+(\d+)-(\d+)\*(\d+)", read)[-1])
            near = max(0.05, 1 - abs(request.sampling.temperature - best))
            draw = hashlib.sha256(f"{a}{b}{c}{d}{e}{f}".encode()).digest()[0] / 256
            return f"Answer: {a + b * c + d - e * f + (0 if draw < near else 1)}"

        return reply

    monkeypatch.setattr(mock, "arithmetician", make)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
@pytest.mark.filterwarnings("ignore")
def test_it_finds_the_temperature_and_tests_it_once(tmp_path, run, monkeypatch, sampler):
    reply_by_temperature(monkeypatch, 1.2)
    config = validate({**CONFIG.model_dump(), "agents": {"ada": {}}, "rounds": 1}, source="x")
    vary = [parse_parameter("agents.ada.temperature=0.01:2.0")]
    found = run(
        search(
            config, out=tmp_path / "s", parameters=vary, trials=12, sampler=sampler, prune=False,
            selection=Selection(limit=40),
        )
    )  # fmt: skip
    assert abs(found.best.values["agents.ada.temperature"] - 1.2) < 0.35
    assert len(found.trials) == 12
    assert found.test.total == 40
    content = json.loads((tmp_path / "s" / "search.json").read_text())
    assert content["best"]["number"] == found.best.number
    page = write_search_page(found, tmp_path / "s").read_text()
    assert "winner" in page
    assert "Temperature search" in page
    with pytest.raises(RunError, match="was tested after 12 trials"):
        run(search(config, out=tmp_path / "s", parameters=vary, trials=13, sampler=sampler, prune=False,
                   selection=Selection(limit=40)))  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_search_goes_on_and_a_changed_one_is_refused(tmp_path, run):
    said = []

    def interrupting(sentence):
        said.append(sentence)
        if sum(text.startswith("trial ") for text in said) == 3:
            raise KeyboardInterrupt

    given = {"out": tmp_path / "s", "selection": Selection(limit=12), "trials": 6, "prune": False}
    with pytest.raises(KeyboardInterrupt):
        run(search(CONFIG, progress=interrupting, **given))
    said.clear()
    found = run(search(CONFIG, progress=said.append, **given))
    assert sum(text.startswith("trial ") for text in said) == 3
    assert [trial.number for trial in found.trials] == list(range(6))
    with pytest.raises(RunError, match="holds another search: config differs"):
        run(search(CONFIG.model_copy(update={"rounds": 3}), **given))
    with pytest.raises(UnknownName, match="unknown sampler 'bayes'"):
        run(search(CONFIG, out=tmp_path / "t", sampler="bayes"))


@pytest.mark.filterwarnings("ignore")
def test_trials_that_fall_behind_are_pruned_and_never_win(tmp_path, run, monkeypatch):
    reply_by_temperature(monkeypatch, 1.0)
    config = validate({**CONFIG.model_dump(), "agents": {"ada": {}}, "rounds": 1}, source="x")
    vary = [parse_parameter("agents.ada.temperature=1.0|0.3|0.25|0.2|0.15|0.1|0.05")]
    found = run(
        search(config, out=tmp_path / "s", parameters=vary, trials=20, sampler="random", selection=Selection(limit=120))
    )
    states = {trial.values["agents.ada.temperature"]: trial.state for trial in found.trials}
    assert found.best.values == {"agents.ada.temperature": 1.0}
    assert "pruned" in states.values()
    assert all(trial.questions < 120 for trial in found.trials if trial.state == "pruned")


@pytest.mark.filterwarnings("ignore")
def test_the_papers_temperatures_are_played_without_a_search(tmp_path, run):
    found = run(search(CONFIG, out=tmp_path / "s", method="cipher", sampler="paper", selection=Selection(limit=6)))
    (trial,) = found.trials
    assert trial.values == {"agents.ada.temperature": 0.15, "agents.ben.temperature": 1.75}
    config = CONFIG.model_copy(update={"task": "reasoning_gym:chain_sum"})
    with pytest.raises(ConfigError, match="the paper gives temperatures of two debaters for arithmetic, gsm8k"):
        run(search(config, out=tmp_path / "t", sampler="paper", selection=Selection(limit=4)))


def test_a_grid_plays_every_combination_once_and_goes_on(tmp_path, run):
    varied = [parse_parameter("agents.ada.temperature=0.1|0.9"), parse_parameter("agents.ben.temperature=0.2|0.5|1.5")]
    options = {"parameters": varied, "sampler": "grid", "prune": False, "selection": Selection(limit=4)}
    told = []

    def stop_at_the_third(text):
        told.append(text)
        if text.startswith("trial 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(search(CONFIG, out=tmp_path / "s", progress=stop_at_the_third, **options))
    found = run(search(CONFIG, out=tmp_path / "s", **options))
    played = [tuple(trial.values.values()) for trial in found.trials]
    assert sorted(played) == [(a, b) for a in (0.1, 0.9) for b in (0.2, 0.5, 1.5)]
    assert "Validation accuracy over two temperatures" in write_search_page(found, tmp_path / "s").read_text()
    with pytest.raises(
        ConfigError, match=r"sampler grid: every value must be listed, and agents.ada.temperature=0.1:2 is a"
    ):
        run(
            search(
                CONFIG, out=tmp_path / "t", parameters=[parse_parameter("agents.ada.temperature=0.1:2")], sampler="grid"
            )
        )
    assert not (tmp_path / "t").exists()


def test_the_study_is_a_file_that_optuna_reads(tmp_path, run):
    import optuna

    run(search(CONFIG, out=tmp_path / "s", trials=2, prune=False, selection=Selection(limit=4)))
    assert Path(tmp_path / "s" / "study.db").is_file()
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 's' / 'study.db'}")
    assert len(study.trials) == 2


def test_what_is_varied_stands_above_the_methods_own_row():
    raw = {
        "backend": "mock",
        "agents": {"a": {"temperature": 0.1}, "b": {"temperature": 0.2}},
        "methods": {"text": {"agents": {"a": {"temperature": 0.3}}}, "cipher": {}},
    }
    config = validate(raw, source="test")
    found = with_values(config, {"agents.a.temperature": 0.7, "agents.b.temperature": 0.9}, "text")
    assert resolve(found, "text").temperatures == {"a": 0.7, "b": 0.9}
    # Another row keeps what it says.
    assert resolve(with_values(config, {"agents.a.temperature": 0.7}, "cipher"), "text").temperatures["a"] == 0.3
