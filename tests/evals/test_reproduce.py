"""The paper's experiments: every one runs, prints the paper's figures as printed, and says what cannot be compared."""

import json

import pytest

from agents.errors import ConfigError, UnknownName
from evals import paper
from evals.reproduce import experiments, is_the_papers_model, load_experiment, markdown, reproduce

MOCK = {"backend": "mock", "model": "mock", "max_tokens": 64}


def test_the_papers_figures_are_those_of_its_tables():
    cipher = paper.TABLE_1["LLaMA2-70B"]["cipher"]
    assert [cipher[task].value for task in paper.TASKS] == [66.0, 41.5, 75.0, 52.4, 85.0]
    assert str(paper.TABLE_1["LLaMA-65B"]["self-consistency(k=5)"]["gsm8k"]) == "52.7 ± 3.3"
    assert paper.TABLE_2["arithmetic", "cipher"]["agreement"] == (34.5, 69.0, 78.0)
    assert set(paper.TEMPERATURES) == {(task, message) for task in paper.TASKS for message in ("cipher", "text")}
    assert all(paper.BOUNDS[0] <= t <= paper.BOUNDS[1] for pair in paper.TEMPERATURES.values() for t in pair)


def test_every_experiment_is_there():
    assert experiments() == sorted(
        ["table1", "table2", "rounds", "debaters", "temperature", "partial", "bounds", "encoders"]
    )
    with pytest.raises(UnknownName, match="unknown experiment 'tabel1'.*Did you mean 'table1'"):
        load_experiment("tabel1")


@pytest.mark.parametrize("name", [name for name in experiments() if name not in ("debaters", "temperature")])
def test_every_experiment_runs_on_arithmetic(tmp_path, run, name):
    made = run(reproduce(name, out=tmp_path / "r", overrides=MOCK, limit=2, tasks=["arithmetic"]))
    assert made.lines
    assert all(line.ours is not None and line.ours.total == 2 for line in made.lines)
    assert made.caveats[0].startswith("Not comparable: the paper's figures are of LLaMA2-70B")
    assert made.caveats[1].startswith("2 questions a task, where the paper tests on 200")
    content = json.loads((tmp_path / "r" / "reproduce.json").read_text())
    assert content["model"] == "mock"
    assert "| arithmetic | cipher |" in (tmp_path / "r" / "reproduce.md").read_text()
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Not comparable" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_table_1_has_the_papers_temperatures_and_figures(tmp_path, run):
    made = run(reproduce("table1", out=tmp_path / "r", overrides=MOCK, limit=3, tasks=["arithmetic"]))
    assert [line.method for line in made.lines] == ["single", "self-consistency(k=5)", "text", "cipher"]
    assert str(made.lines[-1].paper["LLaMA2-70B"]) == "85.0"
    from debate.config.load import load_config

    temperatures = {}
    for method in ("single", "text", "cipher"):
        config = load_config(tmp_path / "r" / "arithmetic" / method / "config.yaml")
        temperatures[method] = [agent.temperature for agent in config.agents.values()]
    assert temperatures == {"single": [0.54], "text": [0.54, 1.0], "cipher": [0.15, 1.75]}
    assert "cipher − text" in markdown(made)
    # The same command does not play again.
    log = tmp_path / "r" / "arithmetic" / "journal.log"
    turns = log.read_text().count('"kind": "turn"')
    run(reproduce("table1", out=tmp_path / "r", overrides=MOCK, limit=3, tasks=["arithmetic"]))
    assert log.read_text().count('"kind": "turn"') == turns


def test_rounds_stand_beside_the_papers(tmp_path, run):
    made = run(reproduce("rounds", out=tmp_path / "r", overrides=MOCK, limit=2))
    cipher = [line for line in made.lines if line.method == "cipher"]
    assert [str(line.paper["LLaMA2-70B"]) for line in cipher] == [
        "≈ 79.0", "≈ 82.0", "≈ 85.0", "≈ 84.0", "≈ 84.0", "≈ 85.0",
    ]  # fmt: skip


def test_questions_that_cannot_be_had_are_a_line_and_the_rest_runs(tmp_path, run):
    tasks = ["gsm8k", "arithmetic"]
    made = run(reproduce("table1", out=tmp_path / "r", overrides=MOCK, limit=2, tasks=tasks, data=tmp_path / "none"))
    assert made.lines[0].task == "gsm8k"
    assert made.lines[0].ours is None
    assert made.lines[0].note.startswith("not run: ")
    assert {line.task for line in made.lines[1:]} == {"arithmetic"}
    with pytest.raises(ConfigError, match="table1 has no task 'boolq'"):
        run(reproduce("table1", out=tmp_path / "s", overrides=MOCK, tasks=["boolq"]))


@pytest.mark.filterwarnings("ignore")
def test_the_temperature_experiment_is_a_search_and_one_test(tmp_path, run):
    made = run(reproduce("temperature", out=tmp_path / "r", overrides=MOCK, limit=6, trials=4))
    (line,) = made.lines
    assert line.what == "accuracy at the best temperatures"
    assert "the paper's are 0.15, 1.75" in line.note
    assert (tmp_path / "r" / "arithmetic" / "study.db").is_file()


def test_which_models_are_the_papers():
    assert is_the_papers_model("meta-llama/Llama-2-70b-hf")
    assert is_the_papers_model("huggyllama/llama-65b")
    assert not is_the_papers_model("meta-llama/Llama-2-70b-chat-hf")
    assert not is_the_papers_model("smollm2")
