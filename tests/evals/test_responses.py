"""`debate score` and `debate tasks`: real files, the command as it is run."""

import json
import subprocess
import sys

import pytest

from agents.errors import TaskError
from evals.responses import Tally, score_file
from evals.task import create_task


def debate(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "debate", *arguments],
        capture_output=True, text=True, cwd=cwd, env={**__import__("os").environ, "COLUMNS": "160"}, check=False,
    )  # fmt: skip


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_of_responses_is_scored_by_either_reading(tmp_path):
    file = lines(
        tmp_path / "r.jsonl",
        {"target": "9*2=18\n#### 18", "response": "9 * 2 = 18. Answer: 18", "id": "a"},
        {"target": "1,002", "response": "That makes 1002 in all"},
        {"target": 7, "response": "I do not know"},
        {"target": 7, "response": "Answer: 8"},
    )
    done = debate("score", "--task", "gsm8k", str(file), "-o", "out/v.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in (tmp_path / "out" / "v.jsonl").read_text().splitlines()]
    assert [v["id"] for v in verdicts] == ["a", "2", "3", "4"]
    assert [(v["strict"]["value"], v["flexible"]["value"]) for v in verdicts] == [
        ("correct", "correct"), ("no answer", "correct"), ("no answer", "no answer"), ("incorrect", "incorrect"),
    ]  # fmt: skip
    strict, flexible = (next(x for x in done.stdout.splitlines() if name in x) for name in ("strict", "flexible"))
    # Wilson's interval of 1 and of 2 in 4.
    assert "25.0%" in strict
    assert "4.6% to 69.9%" in strict
    assert "50.0%" in flexible
    assert "15.0% to 85.0%" in flexible


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"response": "x"}, r"r\.jsonl:1: no column target. It has: response"),
        ({"target": "", "response": "x"}, r"r\.jsonl:1: target is empty"),
        ({"target": "x", "response": "x"}, r"r\.jsonl:1: the target is no number: 'x'"),
        ({"target": "1", "response": 5}, r"r\.jsonl:1: response is a text; this is a int"),
        ({"target": "1", "response": "x", "options": "AB"}, r"r\.jsonl:1: options is a list"),
    ],
)
def test_what_is_wrong_with_a_row(tmp_path, row, sentence):
    with pytest.raises(TaskError, match=sentence):
        score_file(create_task("gsm8k"), lines(tmp_path / "r.jsonl", row))
    with pytest.raises(TaskError, match="no rows in it"):
        score_file(create_task("gsm8k"), lines(tmp_path / "r.jsonl"))


def test_options_and_generated_questions(tmp_path):
    file = lines(tmp_path / "c.jsonl", {"target": "Paris", "response": "It is Paris.", "options": ["Rome", "Paris"]})
    (verdict,) = score_file(create_task("mmlu"), file)
    assert (verdict.target, verdict.strict.value, verdict.flexible.value) == ("B", "no answer", "correct")
    pytest.importorskip("reasoning_gym")
    task = create_task("reasoning_gym:countdown", seed=3)
    sample = task.load(3).samples[2]
    file = lines(
        tmp_path / "g.jsonl",
        {"id": sample.id, "target": sample.target, "response": f"Answer: {sample.target}"},
        {"id": sample.id, "target": sample.target, "response": "Answer: 1+1"},
    )
    verdicts = score_file(create_task("reasoning_gym:countdown", seed=3), file)
    assert [v.flexible.value for v in verdicts] == ["correct", "incorrect"]
    assert Tally.of(verdicts).counts["flexible"] == {"correct": 1, "incorrect": 1, "no answer": 0, "failed": 0}
    lines(file, {"id": "x", "target": "1", "response": "1"})
    with pytest.raises(TaskError, match=r"g\.jsonl:1: .*none has the id 'x'"):
        score_file(create_task("reasoning_gym:countdown"), file)


def test_tasks_are_listed(tmp_path):
    done = debate("tasks", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("gsm8k", "mmlu:… (57)", "bbh:… (27)", "--data", "CC BY-SA 4.0"):
        assert text in done.stdout
    assert "bbh:navigate\n" in debate("tasks", "bbh", cwd=tmp_path).stdout
    wrong = debate("tasks", "gsm", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "unknown task 'gsm'" in wrong.stderr
