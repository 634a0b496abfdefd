"""`debate reproduce` of the paper's tables and bounds, as a whole command: its page has the rows it should, and their numbers
are those of the run folders, counted anew here."""

import json
from collections import Counter
from pathlib import Path

import pytest

from evals.analysis.stats import wilson
from evals.experiment import load_experiment
from evals.scoring.numbers import stated_number

MOCK = ("--model", "mock", "--set", "backend=mock")


def page(folder):
    """Return what `reproduce.md` has: caveats, and its tables as lists of rows by heading."""
    lines = (folder / "reproduce.md").read_text().splitlines()
    tables, heading = {}, "figures"
    for line in lines:
        if line.endswith(":") and not line.startswith(("-", "|")):
            heading = line.removesuffix(":")
        elif line.startswith("| ") and not line.startswith("|---"):
            tables.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split(" | ")])
    return [line[2:] for line in lines if line.startswith("- ")], tables


def records(folder, method):
    """Return the turns and decisions of a row, as the run folder has them."""
    found = [json.loads(line) for line in (folder / method / "transcript.jsonl").read_text().splitlines()]
    return [one for one in found if one["kind"] == "turn"], [one for one in found if one["kind"] == "decision"]


def shown(right, total):
    """Return how a share is printed, and its interval."""
    found = wilson(right, total)
    return [f"{100 * right / total:.1f} ({right}/{total})", f"{100 * found.low:.0f}–{100 * found.high:.0f}"]


def check_accuracies(out, methods):
    """Assert that the page has every row of every task, with the accuracy and endings of its run folder.

    Args:
        out: of the command.
        methods: task → its rows.

    Returns:
        the caveats, and the rows of the table.
    """
    caveats, tables = page(out)
    header, *rows = tables["figures"]
    assert header[:5] == ["task", "method", "figure", "ours, %", "95 %"]
    assert [tuple(row[:2]) for row in rows] == [(task, method) for task, own in methods.items() for method in own]
    endings = {tuple(row[:2]): row[2:] for row in tables["How the turns ended"][1:]}
    for task, method, what, *numbers in rows:
        turns, decisions = records(out / task.replace(":", "-"), method)
        assert what == "accuracy"
        assert numbers[:2] == shown(sum(one["score"] == "correct" for one in decisions), len(decisions))
        generated = [turn for turn in turns if turn["usage"]["generated_tokens"]]
        cut = Counter(turn["finish_reason"] for turn in generated)["length"]
        none = sum(one["answer"] is None for one in decisions)
        assert endings[task, method][0] == f"{none}/{len(decisions)}"
        assert endings[task, method][1].startswith(f"{cut}/{len(generated)} at ")
    content = json.loads((out / "reproduce.json").read_text())
    assert [(line["task"], line["method"]) for line in content["lines"]] == [tuple(row[:2]) for row in rows]
    assert caveats[1].startswith("2 questions a task")
    return caveats, rows


@pytest.fixture
def benchmark_files(tmp_path):
    """Two questions of GSM8K and of each of three MMLU subjects, in the layouts of their publishers."""
    folder = tmp_path / "data"
    (folder / "gsm8k").mkdir(parents=True)
    rows = [{"question": f"{n} apples and {n}?", "answer": f"{n}+{n}={2 * n}.\n#### {2 * n}"} for n in (3, 4)]
    (folder / "gsm8k" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "mmlu" / "test").mkdir(parents=True)
    for subject in ("high_school_mathematics", "professional_psychology", "formal_logic"):
        text = "".join(f"{subject} {n}?,w,x,y,z,{letter}\n" for n, letter in enumerate("BD"))
        (folder / "mmlu" / "test" / f"{subject}_test.csv").write_text(text)
    return folder


def test_table_1(cli, tmp_path, benchmark_files):
    out = tmp_path / "out"
    code, printed, err = cli("reproduce", "table1", *MOCK, "--limit", 2, "--data", benchmark_files, "--out", out)
    assert code == 0, err
    methods = {}
    for task in load_experiment("table1").tasks:
        temperature = {"gsm8k": 0.8, "arithmetic": 0.6}.get(task, 0.3)
        methods[task] = ["single", f"self-consistency(k=5, temperature={temperature:g})", "text", "cipher"]
    caveats, rows = check_accuracies(out, methods)
    assert [row[5:] for row in rows[3:4]] == [["66.0", "52.9"]]
    assert any("the paper's ± is over runs" in sentence for sentence in caveats)
    assert "table1: arithmetic, part 5 of 5; about 1 min left" in err
    assert "ours: mock on mock" in printed
    # Rows are played side by side.
    (session,) = [line for line in (out / "gsm8k" / "journal.log").read_text().splitlines() if '"session"' in line]
    assert '"rows_at_once":true' in session


def test_bounds(cli, tmp_path):
    code, printed, err = cli("reproduce", "bounds", *MOCK, "--limit", 2, "--out", tmp_path)
    assert code == 0, err
    caveats, _ = check_accuracies(tmp_path, {"arithmetic": list(load_experiment("bounds").methods)})
    # No figure of the paper is there, and none is said to stand beside ours.
    assert caveats[0].endswith("None of the paper's stand beside ours.")
    assert "paper," not in (tmp_path / "reproduce.md").read_text()
    assert "2 questions cannot show any difference" in printed


def test_bounds_of_one_question_are_refused_before_anything_is_played(cli, tmp_path):
    code, _, err = cli("reproduce", "bounds", *MOCK, "--limit", 1, "--out", tmp_path)
    assert (code, "role misaligned needs at least two questions; raise --limit" in err) == (2, True)
    assert not (tmp_path / "arithmetic").exists()


def test_partial(cli, tmp_path):
    code, printed, err = cli("reproduce", "partial", *MOCK, "--limit", 2, "--seed", 5, "--out", tmp_path)
    assert code == 0, err
    methods = list(load_experiment("partial").methods)
    caveats, rows = check_accuracies(tmp_path, {"arithmetic": methods})
    assert {row[1]: row[5] for row in rows if row[5]} == {
        "cipher": "85.0",
        "cipher:partial-max-reversed(threshold=0.8, published=true)": "≈ 52.5 ± 2.5",
        "cipher:partial-entropy-reversed(threshold=1.869, published=true)": "≈ 52.5 ± 2.5",
    }
    assert "seed 5" in printed
    assert any("a zero vector" in sentence for sentence in caveats)
    # What is read off a plot, 50 to 55, has no spread over runs.
    assert not any("is over runs" in sentence for sentence in caveats)


def test_table_2_of_two_models_of_one_tokenizer(cli, tmp_path):
    models = ("--model", "tiny/dee", "--second-model", "tiny/eve")
    code, _, err = cli("reproduce", "table2", *models, "--limit", 1, "--tasks", "arithmetic", "--out", tmp_path)
    assert code == 0, err
    caveats, tables = page(tmp_path)
    header, *rows = tables["figures"]
    assert header == ["task", "method", "figure", "ours, %", "95 %", "paper, %"]
    expected = []
    for method in ("cipher", "text"):
        turns, decisions = records(tmp_path / "arithmetic", method)
        targets = {one["question"]: one["target"] for one in decisions}
        answers = {(t["question"], t["agent"], t["round"]): stated_number(t["text"]) for t in turns}
        for agent, model in (("first", "tiny/dee"), ("second", "tiny/eve")):
            for number in (1, 2, 3):
                right = sum(answers[q, agent, number] == target for q, target in targets.items())
                expected.append([method, f"{agent} ({model}) after round {number}", *shown(right, 1)])
        for number in (1, 2, 3):
            pairs = [(answers[q, "first", number], answers[q, "second", number]) for q in targets]
            agreed = sum(one is not None and one == other for one, other in pairs)
            expected.append([method, f"agreement after round {number}", *shown(agreed, 1)])
        assert len(turns) == 6
    assert [row[1:5] for row in rows] == expected
    assert [row[5] for row in rows[:3]] == ["73.5 (LLaMA2-70B)", "70.0 (LLaMA2-70B)", "74.5 (LLaMA2-70B)"]
    assert rows[8][5] == "78.0 (LLaMA2-70B with LLaMA-65B)"
    assert "tiny/dee and tiny/eve" in caveats[0]


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize("form", ["chat", "plain"])
@pytest.mark.parametrize("experiment", ["table1", "table2", "bounds", "partial"])
def test_the_four_run_through_on_a_real_model(cli, tmp_path, smollm2, experiment, form):
    # One question has no other whose solution could mislead.
    limit = 2 if experiment == "bounds" else 1
    given = (
        "--model",
        smollm2,
        "--limit",
        limit,
        "--tasks",
        "arithmetic",
        "--set",
        f"format={form}",
        "--out",
        tmp_path,
    )
    code, _, err = cli("reproduce", experiment, *given)
    assert code == 0, err
    _, tables = page(tmp_path)
    assert all(row[3] != "–" for row in tables["figures"][1:])
    assert ("as plain text" in (tmp_path / "reproduce.md").read_text()) == (form == "plain")
    assert Path(tmp_path / "report.html").stat().st_size > 10_000
