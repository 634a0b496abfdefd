"""The paper's experiments: every one runs, prints the paper's figures as printed, and says what cannot be compared."""

import json
from types import SimpleNamespace

import pytest
import yaml

from agents.errors import TaskError, UnknownName
from debate.config.shipped import configs_folder
from evals import paper
from evals.analysis.summary import Round, Share
from evals.experiment import experiment_config, experiments, load_experiment
from evals.reproduce import _lines, is_the_papers_model, reproduce
from evals.reproduction import Line, Reproduction, cells, markdown

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
        [
            "table1",
            "table2",
            "rounds",
            "debaters",
            "temperature",
            "partial",
            "bounds",
            "encoders",
            "controls",
            "diversity",
            "minds",
            "reduction",
        ]
    )
    with pytest.raises(UnknownName, match="unknown experiment 'tabel1'.*Did you mean 'table1'"):
        load_experiment("tabel1")


@pytest.mark.parametrize("name", [name for name in experiments() if name not in ("debaters", "temperature", "minds")])
def test_every_experiment_runs_on_arithmetic(tmp_path, run, name):
    (task,) = load_experiment(name).tasks if name in ("controls", "diversity", "reduction") else ("arithmetic",)
    made = run(reproduce(name, out=tmp_path / "r", overrides=MOCK, limit=2, tasks=[task]))
    assert made.lines
    assert all(line.ours is not None and line.ours.total == 2 for line in made.lines)
    assert made.caveats[0].startswith("Not comparable: the paper's figures are of LLaMA2-70B")
    assert made.caveats[1].startswith("2 questions a task, the first of its test split")
    content = json.loads((tmp_path / "r" / "reproduce.json").read_text())
    assert content["model"] == "mock"
    assert (
        f"| {task} | {'keep 1' if name == 'reduction' else 'cipher'} |" in (tmp_path / "r" / "reproduce.md").read_text()
    )
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Not comparable" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_table_1_has_the_papers_temperatures_and_figures(tmp_path, run):
    made = run(reproduce("table1", out=tmp_path / "r", overrides=MOCK, limit=3, tasks=["arithmetic"]))
    samples = "self-consistency(k=5, temperature=0.6)"
    assert [line.method for line in made.lines] == ["single", samples, "text", "cipher"]
    assert str(made.lines[1].paper["LLaMA2-70B"]) == "79.7 ± 0.3"
    assert str(made.lines[-1].paper["LLaMA2-70B"]) == "85.0"
    from debate.config.load import load_config

    temperatures = {}
    for method in ("single", samples, "text", "cipher"):
        config = load_config(tmp_path / "r" / "arithmetic" / method / "config.yaml")
        temperatures[method] = [agent.temperature for agent in config.agents.values()]
        assert {agent.top_p for agent in config.agents.values()} == {0.85}
    assert temperatures == {"single": [0.35], samples: [0.6] * 5, "text": [0.54, 1.0], "cipher": [0.15, 1.75]}
    assert "cipher − text" in markdown(made)
    # The same command does not play again.
    log = tmp_path / "r" / "arithmetic" / "journal.log"
    turns = log.read_text().count('"kind":"turn"')
    assert turns
    run(reproduce("table1", out=tmp_path / "r", overrides=MOCK, limit=3, tasks=["arithmetic"]))
    assert log.read_text().count('"kind":"turn"') == turns


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
    with pytest.raises(UnknownName, match="table1: unknown task 'boolq'"):
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


@pytest.mark.parametrize(
    ("task", "model", "single", "sampled", "text", "cipher"),
    [
        ("gsm8k", "meta-llama/Llama-2-70b-hf", 0.15, 0.8, (0.1, 0.2), (0.22, 0.6)),
        ("arithmetic", "meta-llama/Llama-2-70b-hf", 0.35, 0.6, (0.54, 1.0), (0.15, 1.75)),
        ("mmlu:professional_psychology", "smollm2", 0.33, 0.3, (0.01, 0.51), (0.1, 0.2)),
        ("gsm8k", "huggyllama/llama-65b", 0.2, 0.8, (0.1, 0.2), (0.25, 0.85)),
        ("arithmetic", "huggyllama/llama-65b", 0.4, 0.8, (0.08, 0.2), (0.67, 1.43)),
    ],
)
def test_table_1_runs_at_the_published_settings(task, model, single, sampled, text, cipher):
    config = experiment_config(load_experiment("table1"), task, {"model": model})
    assert list(config.methods)[1] == f"self-consistency(k=5, temperature={sampled:g})"
    assert config.methods["single"]["agents"] == {"first": {"temperature": single}}
    assert [agent["temperature"] for agent in config.methods["text"]["agents"].values()] == list(text)
    assert tuple(agent.temperature for agent in config.agents.values()) == cipher
    assert config.stop == ("\nQuestion:",)
    assert config.max_tokens == (120 if task == "arithmetic" else 400)
    assert config.prompts == f"paper_{task.rpartition(':')[2]}"


def test_table_2_plays_the_second_model_and_prints_the_papers_figures_beside_two_alone(tmp_path, run):
    agents = {"first": {}, "second": {"model": "other", "options": {"seed": 1}}}
    overrides = {**MOCK, "agents": agents}
    made = run(reproduce("table2", out=tmp_path / "two", overrides=overrides, limit=2, tasks=["arithmetic"]))
    folder = tmp_path / "two" / "arithmetic"
    from debate.config.load import load_config
    from debate.run_folder.reader import read_method

    config = load_config(folder / "cipher" / "config.yaml")
    assert [agent.model for agent in config.agents.values()] == [None, "other"]
    assert [agent.temperature for agent in config.agents.values()] == [0.15, 1.75]
    (debate, _) = read_method(folder / "cipher")
    said = {turn.key.agent: turn.message for turn in debate.transcript.turns if turn.key.round == 1}
    assert said["second"].model.model == "other"
    # Each is rendered whole for the other, whose table is its own.
    assert list(said["first"].cipher.rendered) == [said["second"].model.table]
    assert any(line.paper for line in made.lines)
    assert "ours of mock and other" in made.caveats[0]
    alone = run(reproduce("table2", out=tmp_path / "one", overrides=MOCK, limit=2, tasks=["arithmetic"]))
    assert not any(line.paper for line in alone.lines)
    assert any("Give --second-model" in sentence for sentence in alone.caveats)


def test_the_probe_points_and_the_printed_temperatures_are_both_named():
    differ = {key for key in paper.TEMPERATURES if paper.PROBE_POINTS[key] != paper.TEMPERATURES[key]}
    assert paper.PROBE_POINTS["gsm8k", "cipher"] == (0.38, 0.995)
    assert {("gsm8k", "cipher"), ("arithmetic", "text"), ("mmlu:formal_logic", "cipher")} <= differ
    assert set(paper.PROBE_POINTS) == set(paper.TEMPERATURES)


def written(tmp_path, of, **changes):
    """Return the file of a shipped experiment with other keys."""
    raw = yaml.safe_load((configs_folder() / "reproduce" / f"{of}.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**raw, **changes}, sort_keys=False))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        (
            {"against": "cypher"},
            UnknownName,
            r"mine\.yaml: against: unknown row 'cypher'\. Known: cipher, hso, hso-far, single, text\. Did you mean 'cipher'",
        ),
        ({"effects": "tail"}, UnknownName, "effects: unknown row 'tail'. Known: cipher, "),
        ({"methods": {}, "against": "hso"}, UnknownName, "unknown row 'hso'. Known: cipher, single, text"),
        ({"trials": 3, "against": "text"}, UnknownName, "unknown row 'text'. Known: cipher"),
        ({"tasks": ["arithmetic", "gsm9k"]}, UnknownName, "unknown task 'gsm9k'.*Did you mean 'gsm8k'"),
        ({"tasks": ["arithmetic", "mmlu:formal_logics"]}, UnknownName, "unknown variant of task 'mmlu'"),
        ({"tasks": ["arithmetic", "gsm8k:hard"]}, TaskError, "task 'gsm8k' has no variants"),
        (
            {"of_task": {"arithmetic": {"max_tokens": 9}}},
            UnknownName,
            "of_task: unknown task 'arithmetic'. Known: arithmetic:held_out",
        ),
        ({"of_task": {"arithmetic:held_out": {"prompts": "tiney"}}}, UnknownName, "unknown prompts 'tiney'.*'tiny'"),
    ],
)
def test_a_name_that_would_be_looked_up_late_is_refused_before_anything_is_played(
    tmp_path, run, changes, error, sentence
):
    path = written(tmp_path, "minds", **changes)
    with pytest.raises(error, match=sentence):
        load_experiment(path)
    with pytest.raises(error):
        run(reproduce(path, out=tmp_path / "r", overrides=MOCK, limit=1))
    assert not (tmp_path / "r").exists()


def test_rows_are_compared_with_samples_whose_temperature_is_their_task_s(tmp_path, run):
    path = written(tmp_path, "table1", against="self-consistency(k=5)", tasks=["arithmetic"], of_task={})
    made = run(reproduce(path, out=tmp_path / "r", overrides={**MOCK, "prompts": "paper_arithmetic"}, limit=2))
    assert [sentence.partition(" = ")[0] for _, sentence in made.sentences] == [
        f"{row} − self-consistency(k=5, temperature=0.6)" for row in ("single", "text", "cipher")
    ]


def test_a_share_of_questions_that_depend_on_each_other_has_no_interval():
    share = Share.of([True] * 3 + [False])
    lines = tuple(
        Line("gsm8k", name, "accuracy", share, is_dependent=name == "remembers") for name in ("single", "remembers")
    )
    _, single, remembers = cells(Reproduction("x", "X", "tiny/ada", 4, lines, (), ()))
    assert single[3:5] == ["75.0 (3/4)", "30–95"]
    assert remembers[3:5] == ["75.0 (3/4)", "–"]


def test_an_agreement_is_of_the_questions_to_which_both_have_spoken():
    share = Share.of([True] * 3)
    spoken = [
        SimpleNamespace(turns=[SimpleNamespace(agent=agent, round=1, verdict="correct") for agent in "ab"])
        for _ in range(3)
    ]
    config = SimpleNamespace(engines=[("tiny/ada", "", "")], agents=("a", "b"), rounds=1, model_of=lambda _: "tiny/ada")
    method = SimpleNamespace(name="text", config=config, debates=[*spoken, SimpleNamespace(turns=[])])
    summary = SimpleNamespace(
        name="text", rounds=[Round(1, share, share, agreement=2 / 3, compared=3)], is_dependent=True
    )
    analysis = SimpleNamespace(record=SimpleNamespace(methods=[method]), methods=[summary])
    *_, agreed = _lines(SimpleNamespace(figures="table2"), "gsm8k", analysis)
    assert (agreed.what, agreed.ours.count, agreed.ours.total, agreed.is_dependent) == (
        "agreement after round 1",
        2,
        3,
        True,
    )
