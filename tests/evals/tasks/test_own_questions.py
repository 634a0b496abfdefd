"""Questions of one's own: every kind of file, every scoring, worked examples, and what is refused, with column and row."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from agents.errors import TaskError, UnknownName
from debate.config.load import load_config
from debate.config.shipped import task_prompts
from evals.datasets.columns import parse_columns
from evals.datasets.hub import HubSource
from evals.evaluation import Selection, evaluate
from evals.responses import score_file
from evals.scoring import patterns
from evals.task import create_task


def lines(folder, *rows, name="q.jsonl"):
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def parquet(folder, rows):
    import pyarrow as pa
    from pyarrow.parquet import write_table

    write_table(pa.Table.from_pylist(rows), folder / "q.parquet")
    return folder / "q.parquet"


ROWS = [{"question": "1+1?", "answer": "2"}, {"question": "2+2?", "answer": "4"}]


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz"])
def test_every_kind_of_file_gives_the_same_questions(tmp_path, kind):
    path = tmp_path / f"q.{kind}"
    texts = {
        "jsonl": "\n".join(map(json.dumps, ROWS)),
        "json": json.dumps(ROWS),
        "csv": "question,answer\n1+1?,2\n2+2?,4\n",
        "tsv": "question\tanswer\n1+1?\t2\n2+2?\t4\n",
    }
    if kind == "parquet":
        parquet(tmp_path, ROWS)
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(texts["jsonl"].encode()))
    else:
        path.write_text(texts[kind], encoding="utf-8")
    task = create_task("file", data=path)
    assert task.name == "file:number"
    assert [(s.id, s.question, s.target) for s in task.samples()] == [
        ("file-0001", "1+1?", "2"),
        ("file-0002", "2+2?", "4"),
    ]


def test_columns_have_the_names_that_the_user_gives_them(tmp_path):
    path = lines(tmp_path, {"prompt": "1+1?", "gold": 2, "key": 7, "answer": "wrong"})
    columns = parse_columns("question=prompt, answer=gold,id=key")
    (sample,) = create_task("file:number", data=path, columns=columns).samples()
    assert (sample.id, sample.question, sample.target) == ("7", "1+1?", "2")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("question", "write OURS=YOURS pairs"),
        ("question=", "write OURS=YOURS pairs"),
        (
            "qestion=prompt",
            "'qestion' is none of question, answer, options, choices, id, image, audio. Did you mean 'question'",
        ),
        ("answer=a,answer=b", "answer is named twice"),
    ],
)
def test_a_mapping_of_columns_that_cannot_be(given, sentence):
    with pytest.raises(TaskError, match=sentence):
        parse_columns(given)


def test_columns_are_for_own_questions_alone(tmp_path):
    with pytest.raises(TaskError, match="gsm8k knows those of its files"):
        create_task("gsm8k", data=lines(tmp_path, *ROWS), columns={"question": "q"})


CHOICES = [
    ({"options": ["red", "blue"], "answer": "blue"}, "B"),
    ({"options": ["red", "blue"], "answer": "(A)"}, "A"),
    ({"options": ["red", "blue"], "answer": 1}, "B"),
    ({"choices": ["red", "blue"], "answer": "B"}, "B"),
    ({"choices": {"text": ["red", "blue"], "label": ["1", "2"]}, "answer": "1"}, "A"),
    ({"options": {"x": "red", "y": "blue"}, "answer": "y"}, "B"),
    ({"options": '["red", "blue"]', "answer": "red"}, "A"),
    ({"options": "red | blue | green", "answer": "green"}, "C"),
    ({"options": [3, 5, 8], "answer": "8"}, "C"),
    ({"options": list("uvwxyz"), "answer": "F"}, "F"),
]


@pytest.mark.parametrize(("row", "letter"), CHOICES, ids=str)
def test_a_choice_is_written_in_many_ways(tmp_path, row, letter):
    task = create_task("file", data=lines(tmp_path, {"question": "Which?", **row}))
    (sample,) = task.samples()
    assert (task.name, sample.target) == ("file:choice", letter)
    assert sample.question.startswith("Which?\n(A) ")
    assert task.labels(sample)[-1] == "ABCDEF"[len(sample.options) - 1]
    assert task.score(task.extract(f"Answer: ({letter})", sample.options), sample.target).value == "correct"


def test_options_may_stand_in_columns_of_their_own(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text("question,a,b,c,answer\nQ1,red,blue,green,C\nQ2,left,right,,A\n", encoding="utf-8")
    one, two = create_task("file:choice", data=path, columns={"options": "a+b+c"}).samples()
    assert (one.options, two.options) == (("red", "blue", "green"), ("left", "right"))


REFUSED = [
    ("number", {"question": "Q", "answer": "many"}, r"q\.jsonl:2: column 'answer': the target is no number: 'many'"),
    ("number", {"question": "", "answer": "1"}, r"q\.jsonl:2: column 'question': it is empty"),
    ("number", {"question": "Q", "answer": None}, r"q\.jsonl:2: column 'answer': it is empty"),
    ("number", {"question": "Q", "gold": "1"}, r"q\.jsonl:2: no column 'answer'. It has: .*gold. Name yours"),
    ("number", "[1]", r"q\.jsonl:2: a row is an object with named columns; this is a list"),
    ("number", "{", r"q\.jsonl:2: not JSON"),
    ("number", {"id": "first", "question": "Q", "answer": "1"}, r"q\.jsonl:2: column 'id': 'first' is the id of .*:1 "),
    (
        "number",
        '{"question": "Q", "answer": 1, "answer": 2}',
        r"q\.jsonl:2: not JSON: 'answer' stands twice in one object",
    ),
    ("number", {"question": "Q\ud800", "answer": "1"}, r"q\.jsonl:2: column 'question': half a character, \\ud800"),
    ("choice", {"question": "Q", "answer": "A", "options": ["x", "\udc00"]}, "column 'options': half a character"),
    ("text", {"question": "Q", "answer": ["a", "b"]}, r"column 'answer': a text or a number is needed; this is a list"),
    ("text", {"question": "Q", "answer": "..."}, r"q\.jsonl:2: column 'answer': nothing is left of '\.\.\.'"),
    ("regex", {"question": "Q", "answer": "("}, r"q\.jsonl:2: column 'answer': no regular expression"),
    ("choice", {"question": "Q", "answer": "A"}, "no column 'options' or 'choices', which --scoring choice needs"),
    (
        "choice",
        {"question": "Q", "answer": "C", "options": ["x", "y"]},
        "column 'answer': 'C' is none of the 2 options",
    ),
    ("choice", {"question": "Q", "answer": 1, "options": [1, 2]}, "'1' can mean option A or B"),
    ("choice", {"question": "Q", "answer": "A", "options": ["B", "A"]}, "'A' can mean option A or B"),
    ("choice", {"question": "Q", "answer": "A", "options": ["x", ""]}, "column 'options': option B is empty"),
    ("choice", {"question": "Q", "answer": "A", "options": ["x", "x"]}, "two options are 'x'"),
    ("choice", {"question": "Q", "answer": "A", "options": ["x"]}, "a choice has 2 to 26 options; this one has 1"),
    ("choice", {"question": "Q", "answer": "A", "options": "xy", "choices": "xy"}, "are both columns of options"),
]


@pytest.mark.parametrize(("scoring", "row", "sentence"), REFUSED, ids=str)
def test_what_cannot_be_used_is_named_with_column_and_row(tmp_path, scoring, row, sentence):
    sound = {"id": "first", "question": "first?", "answer": "1", "options": ["1", "2"], "choices": None}
    first = sound if scoring != "choice" else {**sound, "answer": "(A)"}
    del first["choices"]
    others = {} if scoring == "choice" else {"options": None}
    second = row if isinstance(row, str) else {"id": "second", **others, **row}
    with pytest.raises(TaskError, match=sentence):
        create_task(f"file:{scoring}", data=lines(tmp_path, first, second)).load()


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text("question,answer,answer\nQ,1,2\n", encoding="utf-8")
    with pytest.raises(TaskError, match=r"q\.csv:1: two columns are called 'answer'; rename one"):
        create_task("file:number", data=path).load()


def test_an_id_may_not_be_one_that_is_made_for_another_row(tmp_path):
    path = lines(tmp_path, {"id": "file-0002", "question": "1+1?", "answer": "2"}, {"question": "1+2?", "answer": "3"})
    with pytest.raises(
        TaskError, match=r"q\.jsonl:2: column 'id': 'file-0002' \(made from the row's number; .*is the id of .*:1 "
    ):
        create_task("file:number", data=path).load()


def test_how_answers_are_compared_is_asked_where_the_rows_do_not_tell(tmp_path):
    with pytest.raises(
        TaskError, match=r"q\.jsonl:2: column 'answer': 'Paris' is no number, so say how .* --scoring text"
    ):
        create_task("file", data=lines(tmp_path, ROWS[0], {"question": "Capital?", "answer": "Paris"}))
    with pytest.raises(TaskError, match="say which questions with --data"):
        create_task("file")
    with pytest.raises(UnknownName, match="'numbers'.*Did you mean 'number'"):
        create_task("file:numbers", data=lines(tmp_path, *ROWS))
    with pytest.raises(TaskError, match="no questions in it"):
        create_task("file", data=lines(tmp_path, ""))


@pytest.mark.parametrize(
    ("scoring", "target", "response", "verdict"),
    [
        ("number", "1,000", "So it is 1000.", "correct"),
        ("number", "3.0", "Answer: 4", "incorrect"),
        ("number", "3", "I do not know.", "no answer"),
        ("mathematics", "1/2", "It is \\boxed{\\frac{1}{2}}", "correct"),
        ("text", "São Paulo", "The answer is são  paulo.", "correct"),
        ("text", "Sa\u0303o Paulo", "Answer: S\u00e3o Paulo", "correct"),
        ("text", "Paris", "Answer: Paris, France", "incorrect"),
        ("contains", "Paris", "Well, it is Paris, France.", "correct"),
        ("contains", "Paris", "Comparisons are odious.", "incorrect"),
        ("contains", "12", "There are 112 of them, or 12.5.", "incorrect"),
        ("contains", "東京", "それは東京です", "correct"),
        ("regex", r"(?i)\bpar(is|ee)\b", "It is PARIS", "correct"),
        ("regex", r"^\d{4}$", "in 1984", "incorrect"),
        ("regex", r"x", "", "no answer"),
    ],
)
def test_every_scoring(tmp_path, scoring, target, response, verdict):
    task = create_task(f"file:{scoring}", data=lines(tmp_path, {"question": "Q?", "answer": target}))
    (sample,) = task.samples()
    assert task.score_sample(task.extract(response, sample.options), sample).value == verdict
    row = lines(tmp_path, {"target": target, "response": response}, name="responses.jsonl")
    assert score_file(create_task(f"file:{scoring}"), row)[0].flexible.value == verdict


def test_a_pattern_that_takes_for_ever_is_a_failed_comparison(monkeypatch):
    monkeypatch.setattr(patterns, "TIMEOUT_S", 0.3)
    score = create_task("file:regex").score("a" * 40 + "b", "(a+)+$")
    assert (score.value, score.reason) == ("failed", "looking for the pattern took more than 0.3 s")


def test_worked_examples_are_the_first_rows_and_are_not_asked(tmp_path):
    task = create_task("file", data=lines(tmp_path, *ROWS, {"question": "3+3?", "answer": "6"}), num_fewshot=2)
    assert [(shot.question, shot.solution) for shot in task.shots()] == [("1+1?", "Answer: 2"), ("2+2?", "Answer: 4")]
    loaded = task.load()
    assert [sample.question for sample in loaded.samples] == ["3+3?"]
    assert dict(loaded.removed) == {"few-shot example": 2}
    with pytest.raises(TaskError, match="patterns, and no worked examples"):
        create_task("file:regex", data=lines(tmp_path, *ROWS), num_fewshot=1).load()


def test_a_folder_has_a_file_for_each_split(tmp_path):
    lines(tmp_path, {"question": "train", "answer": "1", "id": "a"}, name="train.jsonl")
    lines(tmp_path, {"question": "test", "answer": "2", "id": "a"}, name="test.csv.jsonl")
    lines(tmp_path, {"question": "test", "answer": "2", "id": "a"}, name="test.jsonl")
    task = create_task("file", data=tmp_path, num_fewshot=1)
    assert (task.splits, task.split) == (("test", "train"), "test")
    assert [shot.question for shot in task.shots()] == ["train"]
    assert [sample.id for sample in task.samples()] == ["a"]
    with pytest.raises(TaskError, match="is one file and one split"):
        create_task("file", data=tmp_path / "test.jsonl", split="train")


def test_a_dataset_on_the_hub_is_read_by_the_same_mapping(tmp_path, monkeypatch):
    task = create_task("file:number", data=Path("owner/name:main"))
    assert task.hub == HubSource("owner/name", "main", "main", {s: s for s in ("test", "validation", "train", "dev")})
    lines(tmp_path, *[{"prompt": "1+1?", "gold": 2}], name="test.jsonl")
    columns = {"question": "prompt", "answer": "gold"}
    task = create_task("file:number", data=Path("owner/name"), columns=columns)
    monkeypatch.setattr(task, "_hub", HubSource(str(tmp_path)))
    (sample,) = task.load().samples
    assert (sample.question, sample.target) == ("1+1?", "2")


def test_prompts_are_those_of_the_scoring():
    assert [task_prompts(f"file:{s}") for s in ("number", "choice", "mathematics", "regex")] == [
        "gsm8k", "multiple_choice", "mathematics", "open",
    ]  # fmt: skip


def test_a_run_over_own_questions_says_how_they_were_scored(tmp_path):
    config = load_config("smoke").model_copy(update={"task": "file", "columns": {"question": "prompt"}})
    path = lines(tmp_path, *({"prompt": f"What is {n}+1*2?", "answer": n + 2} for n in range(3)))
    rows = asyncio.run(evaluate(config, out=tmp_path / "run", methods=["text"], selection=Selection(data=path)))
    assert rows[0].total == 3
    assert "task: file:number" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_json_file_of_one_row_is_one_question_and_another_object_is_refused(tmp_path):
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"question": "Capital of France?", "answer": "Paris"}), encoding="utf-8")
    (sample,) = create_task("file:text", data=path).samples()
    assert (sample.question, sample.target) == ("Capital of France?", "paris")
    path.write_text(json.dumps({"data": ROWS}), encoding="utf-8")
    with pytest.raises(TaskError, match="no column 'question': the file is one object; questions are an array of rows"):
        create_task("file:text", data=path).samples()


def test_a_question_that_no_prompt_can_hold_is_told_before_any_is_asked(cli, tmp_path):
    """Private-use characters come out of PDFs; two of them mark places in prompts."""
    rows = [{"question": "1+1?", "answer": "2"}, {"question": "2+2 \ue000?", "answer": "4"}]
    data, out = tmp_path / "q.jsonl", tmp_path / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = cli("eval", "smoke", "--task", "file", "--data", data, "--methods", "single", "--out", out)
    assert code == 2
    assert "a prompt may not hold the characters U+E000 and U+E001" in " ".join(err.split())
    assert not out.exists()
