"""What is read out of a run: against counts made by hand, and the files that are derived from it."""

import json
import shutil

import pytest

from agents.errors import ConfigError, RunError
from debate.config.load import validate
from debate.run_folder.reader import RunReader, read_method
from evals import energy
from evals.analysis.lm_eval_files import hash_string
from evals.analysis.report import run_blocks
from evals.analysis.run_record import read_run, runs_in
from evals.analysis.summary import analyse, changed_their_minds, compare_runs, stats
from evals.energy import EnergyMeter
from evals.evaluation import Selection, evaluate
from evals.outputs import analyse_run, write_outputs
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
METHODS = ["single", "self-consistency(k=3)", "text", "cipher", "expert"]


def write_questions(data):
    """Write a file of GSM8K and a folder of MMLU."""
    data.mkdir(parents=True)
    row = {"question": "How many are {}?", "answer": "That is\n#### {}"}
    lines = [json.dumps({key: text.format(number) for key, text in row.items()}) for number in range(4)]
    (data / "gsm.jsonl").write_text("\n".join(lines) + "\n")
    for split, count in (("dev", 5), ("test", 4)):
        (data / split).mkdir()
        rows = "".join(f"{split} {number}?,one,two,three,four,B\n" for number in range(count))
        (data / split / f"anatomy_{split}.csv").write_text(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import asyncio

    path = tmp_path_factory.mktemp("evaluated") / "run"
    asyncio.run(evaluate(CONFIG, out=path, methods=METHODS, limit=24))
    return path


@pytest.fixture(scope="module")
def analysis(folder):
    return analyse_run(folder)


def summary(analysis, name):
    return next(method for method in analysis.methods if method.name == name)


def test_accuracy_and_rounds_are_what_the_transcripts_hold(folder, analysis):
    task = create_task("arithmetic")
    played = RunReader(folder)
    for name in played.methods:
        records = list(played.debates(name))
        found = summary(analysis, name)
        assert found.accuracy.count == sum(record.decision["score"] == "correct" for record in records)
        assert found.accuracy.interval == stats.wilson(found.accuracy.count, 24)
        assert found.asked == found.accuracy.total == 24
        assert found.budget.generated_tokens == sum(record.transcript.generated_tokens for record in records)
        assert found.budget.message_bytes == sum(t.message.num_bytes for r in records for t in r.transcript.turns)
    text = summary(analysis, "text")
    right = {1: 0, 2: 0, 3: 0}
    agreed = {1: 0, 2: 0, 3: 0}
    toward = away = 0
    for record in read_method(folder / "text"):
        said = {(t.key.agent, t.key.round): task.extract(t.message.text) for t in record.transcript.turns}
        target = record.decision["target"]
        for number in right:
            right[number] += said["ada", number] == target
            agreed[number] += said["ada", number] == said["ben", number]
        for agent in ("ada", "ben"):
            toward += said[agent, 1] != target and said[agent, 2] == target
            away += said[agent, 1] == target and said[agent, 2] != target
    assert {r.number: r.deciding.count for r in text.rounds} == right
    assert {r.number: round(r.agreement * 24) for r in text.rounds} == agreed
    assert (text.rounds[1].wrong_to_right, text.rounds[1].right_to_wrong) == (toward, away)
    assert toward > 0
    # The decision is the deciding agent's last answer.
    assert text.rounds[-1].deciding.count == text.accuracy.count


def test_the_curve_ends_at_the_methods_accuracy_and_cost(analysis):
    for name, points in (("text", 3), ("cipher", 3), ("self-consistency(k=3)", 3), ("single", 1)):
        found = summary(analysis, name)
        assert len(found.curve) == points
        assert found.curve[-1].accuracy == found.accuracy
        assert found.curve[-1].tokens == pytest.approx(found.budget.generated_tokens / 24)
        assert [p.tokens for p in found.curve] == sorted(p.tokens for p in found.curve)


def test_the_best_agent_is_only_a_bound(analysis):
    cipher = summary(analysis, "cipher")
    assert cipher.best_of_agents.count >= cipher.accuracy.count
    assert summary(analysis, "single").best_of_agents is None
    assert summary(analysis, "expert").best_of_agents.count == 24
    assert summary(analysis, "expert").is_bound
    assert not any("expert" in (c.first, c.second) for c in analysis.comparisons)


def test_beliefs_of_cipher_messages_are_calibrated_against_outcomes(folder, analysis):
    cipher, text = summary(analysis, "cipher"), summary(analysis, "text")
    assert cipher.confident == 48
    assert 0 <= cipher.calibration.error <= 1
    assert sum(b.count for b in cipher.calibration.bins) == 48
    assert (text.calibration, text.entropy) == (None, ())
    first = [t for r in read_method(folder / "cipher") for t in r.transcript.turns if len(t.message.cipher)]
    mean = sum(float(t.message.cipher.entropy[0]) for t in first) / len(first)
    assert cipher.entropy[0] == (pytest.approx(mean, rel=1e-5), len(first))


def test_changes_of_mind_are_listed(analysis):
    record = analysis.record.method("text")
    changed = changed_their_minds(record)
    assert len(changed) == sum(r.right_to_wrong + r.wrong_to_right for r in summary(analysis, "text").rounds)
    assert all((a.verdict == "correct") != (b.verdict == "correct") for _, a, b in changed)
    with pytest.raises(RunError, match="has no method 'none'. It has: "):
        analysis.record.method("none")


def test_the_report_has_tables_sentences_charts_and_a_debate(folder):
    write_outputs(folder)
    blocks = run_blocks(analyse_run(folder))
    tables = {block["caption"]: block for block in blocks if block["kind"] == "table"}
    accuracy = tables["How often each method was right"]
    assert [row[0] for row in accuracy["rows"]] == [*METHODS[:-1], "expert (bound)"]
    assert accuracy["dim"] == [4]
    charts = {block["title"]: block for block in blocks if block["kind"] == "chart"}
    assert list(charts) == [
        "Accuracy by round",
        "Accuracy against generated tokens",
        "Agreement by round",
        "Entropy by position",
        "Calibration",
    ]
    assert all(chart["caption"] for chart in charts.values())
    # A row that bounds debates does not compete with them.
    assert "expert" not in {line["name"] for line in charts["Accuracy against generated tokens"]["series"]}
    (differences,) = (block["items"] for block in blocks if block["kind"] == "list")
    assert any(sentence.startswith("cipher − text = ") for sentence in differences)
    (debate,) = (block for block in blocks if block["kind"] == "debate")
    assert debate["method"] == "cipher"
    # A sentence is no cell: it would push the last column off the page.
    assert any(block["kind"] == "note" and "Energy: " in block["text"] for block in blocks)
    page = (folder / "report.html").read_text()
    assert "Paired differences" in page
    write_outputs(folder)
    assert (folder / "report.html").read_text() == page


def test_an_accuracy_after_a_round_is_the_chart_s_point_with_its_interval(folder):
    analysis = analyse_run(folder)
    blocks = run_blocks(analysis)
    chart = next(block for block in blocks if block.get("title") == "Accuracy by round")
    method = next(method for method in analysis.methods if method.name == "cipher")
    line = next(line for line in chart["series"] if line["name"] == "cipher")
    for point, found in zip(line["points"], method.rounds, strict=True):
        share = found.deciding
        assert point[:2] == [found.number, 100 * share.value]
        assert point[2:4] == [100 * share.interval.low, 100 * share.interval.high]
        assert point[4] == f"{share.count} of {share.total}"


def test_lm_evals_files_have_its_keys_and_hashes(folder):
    write_outputs(folder)
    (path,) = folder.glob("lm_eval/cipher/mock/results_*.json")
    (samples,) = folder.glob("lm_eval/cipher/mock/samples_arithmetic_*.jsonl")
    assert path.stem.removeprefix("results_") == samples.stem.removeprefix("samples_arithmetic_")
    results = json.loads(path.read_text())
    row = results["results"]["arithmetic"]
    count = sum(r.decision["score"] == "correct" for r in read_method(folder / "cipher"))
    assert row["exact_match,flexible-extract"] == count / 24
    assert {"exact_match,strict-match", "exact_match_stderr,strict-match"} <= set(row)
    for key in ("configs", "versions", "n-shot", "higher_is_better", "config", "git_hash", "date", "pretty_env_info"):
        assert key in results
    assert results["n-samples"]["arithmetic"] == {"original": 24, "effective": 24}
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert {line["filter"] for line in lines} == {"strict-match", "flexible-extract"}
    for line in lines:
        assert line["doc_hash"] == hash_string(json.dumps(line["doc"], indent=2, ensure_ascii=False))
        assert line["prompt_hash"] == hash_string(line["arguments"]["gen_args_0"]["arg_0"])
        assert line["target_hash"] == hash_string(line["target"])
    joined = "".join(line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
    assert results["task_hashes"]["arithmetic"] == hash_string(joined)


def lm_eval_of(folder, method):
    (path,) = folder.glob(f"lm_eval/{method}/mock/results_*.json")
    (samples,) = folder.glob(f"lm_eval/{method}/mock/samples_*.jsonl")
    return json.loads(path.read_text()), json.loads(samples.read_text().splitlines()[0])


def test_lm_evals_files_say_how_each_method_was_generated(tmp_path, run):
    agents = {"ada": {"temperature": 0, "top_p": 0.5}, "ben": {"temperature": 0.8, "top_p": 0.9}}
    methods = {
        "greedy": {"rounds": 1, "message": "text", "agents": {"ben": {"temperature": 0.5}}},
        "sampled": {"message": "text", "agents": {"ada": {"temperature": 0.9}}},
        "self-consistency(k=3)": {},
        "belief": {"message": "cipher", "agents": {"ada": {"temperature": 0.2}}},
        "drawing": {"message": "cipher", "encoder": "gumbel", "agents": {"ada": {"temperature": 0.2}}},
    }
    config = validate({**CONFIG.model_dump(), "agents": agents, "methods": methods, "stop": ["X"]}, source="x")
    run(evaluate(config, out=tmp_path / "run", limit=3))
    write_outputs(tmp_path / "run")
    expected = {
        "greedy": {"do_sample": False, "temperature": 0.0},
        "sampled": {"do_sample": True, "temperature": 0.8, "top_p": 0.9},
        "self-consistency(k=3)": {"do_sample": True, "temperature": 0.7, "top_p": 0.5},
        "belief": {"do_sample": False, "temperature": 0.2},
        "drawing": {"do_sample": True, "temperature": 0.2},
    }
    for method, sampling in expected.items():
        results, sample = lm_eval_of(tmp_path / "run", method)
        told = {"max_gen_toks": 64, "until": ["X"], **sampling}
        assert results["configs"]["arithmetic"]["generation_kwargs"] == results["config"]["gen_kwargs"] == told
        assert sample["arguments"]["gen_args_0"]["arg_1"] == told
        assert results["config"]["limit"] == 3


@pytest.mark.parametrize(
    ("task", "asked", "shots"),
    # Of the prompt files where the task has none of its own; of the data's other split where it is there.
    [
        ("arithmetic", None, 2),
        ("gsm8k", None, 2),
        ("mmlu:anatomy", None, 5),
        ("mmlu:anatomy", 3, 3),
        ("mmlu:anatomy", 0, 2),
    ],
)
def test_lm_evals_files_count_the_worked_examples_that_were_shown(tmp_path, run, task, asked, shots):
    write_questions(tmp_path / "data")
    data = {"gsm8k": tmp_path / "data" / "gsm.jsonl", "mmlu:anatomy": tmp_path / "data"}.get(task)
    selection = Selection(limit=2, data=data, num_fewshot=asked)
    config = CONFIG.model_copy(update={"task": task})
    run(evaluate(config, out=tmp_path / "run", methods=["single", "cipher"], selection=selection))
    write_outputs(tmp_path / "run")
    for method in ("single", "cipher"):
        results, _ = lm_eval_of(tmp_path / "run", method)
        assert results["n-shot"] == {task: shots}
        assert results["configs"][task]["num_fewshot"] == shots


def test_lm_evals_files_of_an_older_run_do_not_guess_the_worked_examples(folder, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    facts = json.loads((older / "run.json").read_text())
    (older / "run.json").write_text(json.dumps({key: facts[key] for key in facts if key != "num_fewshot"}))
    write_outputs(older)
    results, _ = lm_eval_of(older, "cipher")
    assert results["n-shot"] == {"arithmetic": None}


def test_a_likelihood_row_is_a_multiple_choice_of_lm_eval_and_generates_nothing(tmp_path, run):
    write_questions(tmp_path / "data")
    selection = Selection(limit=2, data=tmp_path / "data")
    config = CONFIG.model_copy(update={"task": "mmlu:anatomy"})
    run(evaluate(config, out=tmp_path / "run", methods=["likelihood"], selection=selection))
    write_outputs(tmp_path / "run")
    results, sample = lm_eval_of(tmp_path / "run", "likelihood")
    entry = results["configs"]["mmlu:anatomy"]
    assert (entry["output_type"], entry["generation_kwargs"], entry["num_fewshot"]) == (
        "multiple_choice",
        {"do_sample": False},
        5,
    )
    assert sample["arguments"]["gen_args_0"]["arg_1"] == {"do_sample": False}


def test_the_table_of_turns_is_tidy(folder, analysis):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_outputs(folder)
    table = parquet.read_table(folder / "turns.parquet").to_pylist()
    assert len(table) == sum(method.budget.turns for method in analysis.methods)
    keys = {(row["method"], row["question"], row["round"], row["agent"]) for row in table}
    assert len(keys) == len(table)
    cipher = [row for row in table if row["method"] == "cipher"]
    assert all(len(row["entropy"]) and row["encoder"] == "expectation" for row in cipher)
    assert sum(row["generated_tokens"] for row in cipher) == summary(analysis, "cipher").budget.generated_tokens
    assert {row["decision_verdict"] for row in table} <= {"correct", "incorrect", "no answer"}


def test_everything_to_run_again_is_in_the_folder(folder):
    facts = json.loads((folder / "run.json").read_text())
    assert {"python", "packages", "git_hash", "models", "prompts"} <= set(facts)
    assert set(facts["prompts"]) == set(METHODS)
    assert all(len(value) == 64 for value in facts["prompts"]["cipher"].values())
    assert facts["prompts"]["cipher"]["ada"] == facts["prompts"]["text"]["ada"]
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 24
    for name in METHODS:
        assert (folder / name / "config.yaml").is_file()
    assert json.loads((folder / "energy.json").read_text())["text"]["source"]


def test_every_model_its_dtype_and_its_sampling_are_written_down(tmp_path, run):
    other = CONFIG.agents["ben"].model_copy(
        update={"model": "other mock", "options": {"dtype": "float32"}, "top_p": 0.5}
    )
    config = CONFIG.model_copy(update={"agents": {**CONFIG.agents, "ben": other}, "stop": ("END",)})
    run(evaluate(config, out=tmp_path / "run", methods=["text", "cipher"], limit=2))
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"mock", "other mock"} <= set(facts["models"])
    ben = facts["speakers"]["cipher"]["ben"]
    expected = {
        "backend": "mock",
        "model": "other mock",
        "dtype": "float32",
        "temperature": other.temperature,
        "top_p": 0.5,
    }
    assert expected.items() <= ben.items()
    assert (ben["max_tokens"], ben["stop"], ben["encoder"]) == (config.max_tokens, ["END"], "expectation")
    assert facts["speakers"]["text"]["ben"]["encoder"] is None
    shown = run_blocks(analyse_run(tmp_path / "run"))[-1]["text"]
    assert shown == "Spoken by: model mock, bfloat16, backend mock; model other mock, float32, backend mock."


def test_two_runs_are_compared_question_by_question(tmp_path, run, folder, analysis):
    run(evaluate(CONFIG.model_copy(update={"seed": 0, "rounds": 2}), out=tmp_path / "two", methods=["text"], limit=24))
    one, other = analysis.record, read_run(tmp_path / "two")
    (found,) = compare_runs(one, other)
    assert (found.first, found.second, found.questions) == ("run/text", "two/text", 24)
    run(evaluate(CONFIG.model_copy(update={"seed": 5}), out=tmp_path / "three", methods=["text"], limit=4))
    with pytest.raises(stats.StatisticsError, match="no question in common"):
        compare_runs(one, read_run(tmp_path / "three"))
    assert runs_in(tmp_path) == [tmp_path / "three", tmp_path / "two"]
    with pytest.raises(RunError, match="is not a run"):
        runs_in(tmp_path / "nothing")


def test_an_interrupted_run_is_analysed_as_far_as_it_got(tmp_path, run):
    from debate.runtime.observer import Observer

    class Stopping(Observer):
        def __init__(self):
            self.decided = 0

        def debate_decided(self, question, decision, score):
            self.decided += 1
            if self.decided == 14:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(evaluate(CONFIG, out=tmp_path / "run", methods=["single", "text"], limit=10, observer=Stopping()))
    found = analyse(read_run(tmp_path / "run"))
    assert summary(found, "single").accuracy.total == 10
    assert 1 <= summary(found, "text").accuracy.total < 10
    rows = run(evaluate(CONFIG, out=tmp_path / "run", methods=["single", "text"], limit=10))
    assert [row.total for row in rows] == [10, 10]


def test_budget_rows_come_last_and_keep_their_k_when_continued(tmp_path, run):
    said = []
    methods = ["self-consistency@tokens", "self-consistency@time", "single", "text"]
    rows = run(evaluate(CONFIG, out=tmp_path / "run", methods=methods, limit=6, progress=said.append))
    assert [row.method for row in rows] == methods
    chosen = json.loads((tmp_path / "run" / "budgets.json").read_text())
    assert chosen["self-consistency@tokens"]["k"] == 6
    assert rows[0].generated_tokens == pytest.approx(rows[3].generated_tokens, rel=0.05)
    chosen["self-consistency@time"]["k"] = 2
    (tmp_path / "run" / "budgets.json").write_text(json.dumps(chosen))
    run(evaluate(CONFIG, out=tmp_path / "run", methods=methods, limit=6))
    assert json.loads((tmp_path / "run" / "budgets.json").read_text()) == chosen
    with pytest.raises(ConfigError, match="put both among the methods"):
        run(evaluate(CONFIG, out=tmp_path / "other", methods=["self-consistency@tokens"], limit=2))


def test_the_same_run_twice_gives_the_same_results(tmp_path, run):
    def derived(path):
        results = json.loads((path / "results.json").read_text())
        for row in results["methods"].values():
            del row["seconds"], row["cached_tokens"]
        files = {}
        for name in ("samples", "results"):
            for file in sorted(path.glob(f"lm_eval/*/*/{name}_*")):
                lines = [json.loads(line) for line in file.read_text().splitlines()] if name == "samples" else []
                files[str(file.parent.relative_to(path)), name] = lines
        return results, files

    for name in ("one", "two"):
        run(evaluate(CONFIG, out=tmp_path / name, methods=METHODS, limit=6))
        write_outputs(tmp_path / name)
    assert derived(tmp_path / "one") == derived(tmp_path / "two")


def test_which_questions_are_asked(tmp_path, run):
    def asked(name, selection):
        run(evaluate(CONFIG, out=tmp_path / name, methods=["single"], selection=selection))
        return [json.loads(line)["id"] for line in (tmp_path / name / "samples.jsonl").read_text().splitlines()]

    first = asked("first", Selection(limit=4))
    shuffled = asked("shuffled", Selection(limit=4, shuffle=True))
    assert shuffled != first
    assert asked("again", Selection(limit=4, shuffle=True)) == shuffled
    assert asked("one", Selection(sample_ids=(first[2],))) == [first[2]]


def test_rapl_is_read_where_it_is_readable(tmp_path, monkeypatch):
    # A machine with a GPU counts that as well.
    monkeypatch.setattr(energy, "_nvml", list)
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0:0").mkdir()
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("10000000\n")
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.write_text("9000000\n")
    meter = EnergyMeter(tmp_path)
    counter.write_text("2000000\n")
    found = meter.read()
    # Nine of ten joules, then the counter began again and reached two.
    assert found.source == "intel-rapl:0"
    assert found.joules == pytest.approx(3.0)
    nothing = EnergyMeter(tmp_path / "none").read()
    assert nothing.joules is None
    assert "no readable RAPL domain" in nothing.source
