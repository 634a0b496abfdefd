"""Rows become samples: every layout, splits, worked examples, counts, and what is wrong with a file."""

import csv
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import MissingDependency, TaskError, UnknownName
from agents.prompts import Prompts
from debate.config.shipped import configs_folder, prompts_folder, task_prompts
from evals.datasets import hub
from evals.datasets.hub import HubSource, hub_rows
from evals.datasets.rows import read_rows
from evals.sample import Loaded, Sample
from evals.samples import load_selected
from evals.selection import select, without
from evals.task import create_task, task_classes

# One row of each layout, as published or as the folders of shared/data have it: (task, file name, content, target, options).
ROWS = [
    ("gsm8k", "t.jsonl", {"question": "Q", "answer": "1+1=<<1+1=2>>2\n#### 2"}, "2", 0),
    ("arithmetic", "t.jsonl", {"question": "What is the result of 1+2*3+4-5*6?", "answer": "-19"}, "-19", 0),
    ("svamp", "t.json", [{"Body": "Ann has 3 pens", "Question": "How many?", "Answer": 3.0}], "3", 0),
    ("multiarith", "t.json", [{"sQuestion": " Q ", "lSolutions": [39.0]}], "39", 0),
    ("multiarith", "t.jsonl", {"question": "Q", "final_ans": "39"}, "39", 0),
    ("addsub", "t.json", [{"sQuestion": "Q", "lSolutions": ["4.5"]}], "4.5", 0),
    ("singleeq", "t.json", [{"sQuestion": "Q", "lSolutions": [26.0]}], "26", 0),
    ("mmlu:anatomy", "t.jsonl", {"question": "Q", "subject": "anatomy", "choices": list("wxyz"), "answer": 2}, "C", 4),
    ("arc_easy", "t.jsonl", {"question": "Q", "choices": {"text": list("xyz"), "label": list("123")}, "answerKey": "3"}, "C", 3),
    ("arc_challenge", "t.json", [{"instruction": "Please choose: a: Q?\n\nAnswer1: x Answer2: y\n\nAnswer format: …",
                                  "answer": "answer2"}], "B", 2),
    ("openbookqa", "t.jsonl", {"question_stem": "Q", "choices": {"text": list("wxyz"), "label": list("ABCD")},
                               "answerKey": "D"}, "D", 4),
    ("commonsenseqa", "t.jsonl", {"answerKey": "B", "question": {"stem": "Q", "choices": [
        {"label": "A", "text": "x"}, {"label": "B", "text": "y"}]}}, "B", 2),
    ("strategyqa", "t.json", {"examples": [{"input": "Q?", "target_scores": {"Yes": 0, "No": 1}}]}, "No", 2),
    ("strategyqa", "t.jsonl", {"question": "Q?", "answer": True}, "Yes", 2),
    ("boolq", "t.json", [{"instruction": "true or false, question: is it?\n\nAnswer format: true/false",
                          "answer": "true"}], "True", 2),
    ("boolq", "t.jsonl", {"passage": "P", "question": "is it", "answer": False}, "False", 2),
    ("aqua_rat", "t.jsonl", {"question": "Q", "options": ["A)1", "B)2", "C)3", "D)4", "E)5"], "correct": "E"}, "E", 5),
    ("hellaswag", "t.jsonl", {"activity_label": "L", "ctx": "C", "endings": list("wxyz"), "label": "1"}, "B", 4),
    ("logiqa", "t.txt", "\nb\nContext.\nQuestion?\nA.w\nB.x\nC.y\nD.z\n", "B", 4),
    ("medqa", "t.json", [{"question": "Q?\nA. w\nB. x", "options": ["A. w", "B. x"], "answer": "x"}], "B", 2),
    ("medqa", "t.jsonl", {"question": "Q?", "options": {"A": "w", "B": "x"}, "answer_idx": "A"}, "A", 2),
    ("math500", "t.json", [{"prompt": [{"from": "user", "value": "Q"}], "final_answer": "\\dfrac12"}], "0.5", 0),
    ("aime:2024", "t.jsonl", {"problem": "Q", "answer": "073"}, "73", 0),
    ("bbh:navigate", "t.json", {"canary": "…", "examples": [{"input": "Q", "target": "Yes"}]}, "Yes", 2),
    ("bbh:snarks", "t.json", {"examples": [{"input": "Q\nOptions:\n(A) x\n(B) y", "target": "(B)"}]}, "B", 2),
    ("bbh:object_counting", "t.json", {"examples": [{"input": "Q", "target": "8"}]}, "8", 0),
    ("bbh:word_sorting", "t.json", {"examples": [{"input": "Q", "target": "ant bee"}]}, "ant bee", 0),
]  # fmt: skip


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "file", "content", "target", "options"), ROWS, ids=lambda value: str(value)[:14])
def test_every_layout_becomes_a_sample(tmp_path, name, file, content, target, options):
    task = create_task(name, data=written(tmp_path, file, content))
    loaded = task.load()
    (sample,) = loaded.samples
    assert (sample.target, len(sample.options), loaded.rows_in) == (target, options, 1)
    assert task.read_target(sample.target, sample.options) == target
    assert len(task.labels(sample)) == options
    if options and target in "ABCDE":
        assert all(f"({letter}) " in sample.question for letter in task.labels(sample))
    # The right answer, said in the form that the prompt asks for, is read by either reading and is correct.
    for read in (task.extract, task.extract_strict):
        assert task.score_sample(read(f"So it is. Answer: {target}", sample.options), sample).value == "correct"
        assert task.score_sample(read("", sample.options), sample).value == "no answer"


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        (
            "aqua_rat",
            {"question": "Q", "options": ["A)1", "B)2"], "rationale": "One and one.\nAnswer : B", "correct": "B"},
            "One and one.\nAnswer: B",
        ),
        ("aqua_rat", {"question": "Q", "options": ["A)1", "B)2"], "correct": "B"}, "Answer: B"),
        (
            "math500",
            {"problem": "Q", "solution": "It is $\\boxed{\\frac12}$.", "answer": "\\frac12"},
            "It is $\\boxed{\\frac12}$.\nAnswer: 0.5",
        ),
        ("aime:2024", {"problem": "Q", "solution": "Count: 73.", "answer": "073"}, "Count: 73.\nAnswer: 73"),
        ("gsm8k", {"question": "Q", "answer": "1+1=<<1+1=2>>2.\n#### 2"}, "1+1=2.\nAnswer: 2"),
    ],
)
def test_an_expert_says_the_solution_of_the_row_and_is_read_as_right(tmp_path, name, row, said):
    task = create_task(name, data=written(tmp_path, "t.jsonl", json.dumps(row)), num_fewshot=0)
    (sample,) = task.load().samples
    assert task.solution(sample) == said
    for read in (task.extract, task.extract_strict):
        assert task.score_sample(read(said, sample.options), sample).value == "correct"


def test_truthfulqa_shuffles_its_options_the_same_in_every_run(tmp_path):
    path = tmp_path / "TruthfulQA.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Question", "Best Answer", "Correct Answers", "Incorrect Answers"])
        for number in range(20):
            writer.writerow([f"Q{number}", "right", "right; so", "wrong; worse; worst"])
    one, two = (
        create_task("truthfulqa", data=data, seed=seed).load().samples for data, seed in ((path, 0), (tmp_path, 5))
    )
    assert one == two
    assert all(sample.options["ABCD".index(sample.target)] == "right" for sample in one)
    assert len({sample.target for sample in one}) == 4


def test_splits_are_named_and_found_in_a_folder(tmp_path):
    row = {"question": "Q", "answer": "#### 1"}
    for name in ("test", "train"):
        written(tmp_path, f"{name}.jsonl", json.dumps({**row, "question": name}))
    assert create_task("gsm8k", data=tmp_path).load().samples[0].question == "test"
    train = create_task("gsm8k", data=tmp_path, split="train").load()
    assert (train.samples[0].question, train.samples[0].id) == ("train", "gsm8k-train-0001")
    with pytest.raises(TaskError, match="no split 'dev'. It has: test, train, validation"):
        create_task("gsm8k", split="dev")
    with pytest.raises(TaskError, match="no file for the split 'validation'.*Looked for: validation.jsonl"):
        create_task("gsm8k", data=tmp_path, split="validation").load()


def test_variants():
    assert create_task("mmlu:formal_logic").name == "mmlu:formal_logic"
    with pytest.raises(UnknownName, match="variant of task 'mmlu' 'formal_logics'.*Did you mean 'formal_logic'"):
        create_task("mmlu:formal_logics")
    with pytest.raises(TaskError, match="task 'gsm8k' has no variants"):
        create_task("gsm8k:x")
    with pytest.raises(TaskError, match=r"write bbh:NAME"):
        create_task("bbh")
    assert len(create_task("mmlu").variants()) == 57
    assert len(create_task("bbh:navigate").variants()) == 27


def test_mmlu_shows_five_dev_rows_and_does_not_ask_them(tmp_path):
    for split, count in (("dev", 7), ("test", 9)):
        (tmp_path / split).mkdir()
        with (tmp_path / split / f"anatomy_{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([f"Q{number}", "w", "x", "y", "z", "C"] for number in range(count))
    task = create_task("mmlu:anatomy", data=tmp_path)
    shots = task.shots()
    assert [shot.question.splitlines()[0] for shot in shots] == ["Q0", "Q1", "Q2", "Q3", "Q4"]
    assert shots[0].solution == "Answer: C"
    loaded = task.load()
    # This file repeats its dev rows among the test rows.
    assert (loaded.rows_in, len(loaded.samples), dict(loaded.removed)) == (9, 4, {"few-shot example": 5})
    assert len(create_task("mmlu:anatomy", data=tmp_path, num_fewshot=0).load().samples) == 9
    assert len(create_task("mmlu", data=tmp_path).load().samples) == 9
    with pytest.raises(TaskError, match="examples by subject"):
        create_task("mmlu", num_fewshot=5)


def test_a_tasks_shots_stand_in_the_prompt_in_place_of_the_files(tmp_path):
    folder = prompts_folder(task_prompts("mmlu:anatomy"))
    shown = Prompts(folder, shots=(("Q {{ x }}", "Answer: C"),))
    shown.check()
    prompt = shown.initial("What?")
    assert [turn.parts[0] for turn in prompt.turns[1:3]] == ["Q {{ x }}", "Answer: C"]
    assert len(prompt.turns) == 4
    assert "Q {{ x }}" in shown.shown
    assert any("lays eggs" in question for question in Prompts(folder).shown)


def test_rows_that_a_prompt_shows_can_be_left_out_and_are_counted(tmp_path):
    rows = [{"question": f"Q {number}", "answer": f"#### {number}"} for number in range(4)]
    task = create_task("gsm8k", data=written(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows))))
    samples, loaded = load_selected(task, shown=["Q  1", "other"], limit=2)
    assert [sample.target for sample in samples] == ["0", "2"]
    assert (loaded.rows_in, len(loaded.samples), dict(loaded.removed)) == (4, 3, {"shown in the prompt": 1})
    assert without(loaded, [], "x") is loaded


@pytest.mark.parametrize("name", sorted(task_classes()))
def test_every_task_has_prompts(name):
    folder = prompts_folder(task_prompts(f"{name}:variant"))
    assert folder.is_dir(), f"add {name} to {configs_folder()}/prompts/tasks.yaml"
    Prompts(folder).check()


@given(st.integers(0, 30), st.one_of(st.none(), st.integers(0, 40)), st.booleans(), st.integers(0, 5))
def test_selection_takes_each_sample_once(count, limit, shuffle, seed):
    samples = [Sample(f"s-{number}", "Q", "1") for number in range(count)]
    chosen = select(samples, limit=limit, shuffle=shuffle, seed=seed)
    assert chosen == select(samples, limit=limit, shuffle=shuffle, seed=seed)
    assert len(chosen) == len({sample.id for sample in chosen}) == (count if limit is None else min(limit, count))
    assert shuffle or list(chosen) == samples[:limit]
    if count:
        assert [s.id for s in select(samples, sample_ids=["s-0"])] == ["s-0"]
        with pytest.raises(UnknownName, match="unknown sample id 's-99'. Known: "):
            select(samples, sample_ids=["s-99"])


def test_counts_in_are_counts_out():
    with pytest.raises(AssertionError, match="3 rows in, 2 accounted for"):
        Loaded((Sample("a", "Q", "1"),), 3, {"odd": 1}, source="f")


GOOD = json.dumps({"question": "Q", "answer": "#### 1"})


@pytest.mark.parametrize(
    ("name", "file", "content", "sentence"),
    [
        ("svamp", "t.jsonl", '{"Body": "b", "Question": "q"}', r"t\.jsonl:1: no column Answer. It has: Body, Question"),
        ("svamp", "t.jsonl", '\n{"Body": "b", "Question": "q", "Answer": ""}', r"t\.jsonl:2: Answer is empty"),
        ("svamp", "t.jsonl", '{"Body": "b", "Question": "q", "Answer": "x"}', r"t\.jsonl:1: the target is no number: 'x'"),
        ("svamp", "t.jsonl", "[1]", r"t\.jsonl:1: a row is an object with Answer; this is a list"),
        ("gsm8k", "t.jsonl", GOOD + '\n{"question": "", "answer": "#### 1"}', r"t\.jsonl:2: question is empty"),
        ("gsm8k", "t.jsonl", "", r"t\.jsonl: no questions in it"),
        ("gsm8k", "t.json", "[]", r"t\.json: no questions in it"),
        ("gsm8k", "t.json", "[1", r"t\.json: not JSON"),
        ("gsm8k", "t.json", "[" * 100_000, r"t\.json: not JSON"),
        ("gsm8k", "t.pdf", "", r"t\.pdf: cannot tell what this is. Readable: \.jsonl"),
        ("mmlu:anatomy", "t.csv", "Q,w,x,y,C\n", r"t\.csv:1: a row has 6 columns; this one has 5"),
        ("mmlu:anatomy", "t.csv", "Q,w,x,y,z,E\n", r"t\.csv:1: the answer 'E' is none of the 4 options"),
        ("mmlu:anatomy", "t.csv", "Q,w,,y,z,A\n", r"t\.csv:1: option B is empty"),
        ("mmlu:anatomy", "t.csv", "Q,w,x,y,z,\n", r"t\.csv:1: no answer; the split 'test' may be published without"),
        ("mmlu:anatomy", "t.csv", 'Q,"w,x\n', r"t\.csv:\d: not CSV"),
        ("truthfulqa", "t.csv", "Question,Best Answer\nQ\n", r"t\.csv:2: 1 values for 2 columns"),
        ("commonsenseqa", "t.jsonl", '{"question": {"stem": "Q"}}', r"t\.jsonl:1: no column answerKey"),
        ("logiqa", "t.txt", "\nb\nContext.\n", r"t\.txt:1: a record is an empty line, a letter, context"),
        ("addsub", "t.json", '[{"sQuestion": "Q", "lSolutions": []}]', r"t\.json: row 1: lSolutions has 0 numbers"),
        ("hellaswag", "t.jsonl", '{"endings": [], "label": ""}', r"t\.jsonl:1: label is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path, name, file, content, sentence):
    with pytest.raises(TaskError, match=sentence):
        create_task(name, data=written(tmp_path, file, content)).load()


def test_encodings(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(GOOD.encode() + b'\n{"question": "caf\xe9", "answer": "#### 1"}')
    with pytest.raises(TaskError, match=r"t\.jsonl:2: not UTF-8 \(byte 0xe9\). Convert it to UTF-8"):
        create_task("gsm8k", data=path).load()
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\n" + GOOD.replace("Q", "a\u2028b").encode())
    assert len(create_task("gsm8k", data=path).load().samples) == 2
    packed = tmp_path / "t.json.gz"
    packed.write_bytes(gzip.compress(f"[{GOOD}]".encode()))
    assert len(create_task("gsm8k", data=packed).load().samples) == 1
    packed.write_bytes(b"no gzip")
    with pytest.raises(TaskError, match="cannot read .*t.json.gz: Not a gzipped file"):
        create_task("gsm8k", data=packed).load()


def test_repeated_questions_are_kept_and_named(tmp_path):
    rows = [
        {"question": text, "answer": f"#### {number}"} for text, number in (("Q", 1), ("R", 2), ("Q ", 1), ("Q", 3))
    ]
    loaded = create_task("gsm8k", data=written(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)))).load()
    assert (len(loaded.samples), loaded.duplicates) == (4, 2)
    assert "t.jsonl:3: the question of " in loaded.notes[0]
    assert "t.jsonl:1 again; kept" in loaded.notes[0]
    assert "with another answer (3, 1); kept" in loaded.notes[1]


def test_rows_known_to_be_broken_are_counted_and_named(tmp_path):
    content = {"examples": [{"input": "Q\n(A) x\n(B) y", "target": t} for t in ("(A)", "z", "y")]}
    loaded = create_task("bbh:ruin_names", data=written(tmp_path, "t.json", content)).load()
    assert [sample.target for sample in loaded.samples] == ["A", "B"]
    assert dict(loaded.removed) == {"its target is none of its options": 1}
    assert "t.json: row 2: its target is none of its options; left out" in loaded.notes[0]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    path = tmp_path / "t.parquet"
    write_table(pyarrow.table({"question": ["Q"], "answer": ["#### 1"]}), path)
    assert create_task("gsm8k", data=path).load().samples[0].target == "1"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(TaskError, match=r"t\.parquet"):
        list(read_rows(path))


def test_a_parquet_file_that_unpacks_to_any_size_is_refused_within_a_bound(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import ParquetFile, write_table

    monkeypatch.setattr("evals.datasets.rows.LARGEST_UNZIPPED", 10_000_000)
    monkeypatch.setattr("evals.datasets.rows.LARGEST_BATCH", 5_000_000)
    # One text of a megabyte, which stands in every row and once in the file.
    texts = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 40, pyarrow.int32()), pyarrow.array(["x" * 1_000_000])
    )
    path = tmp_path / "t.parquet"
    write_table(pyarrow.table({"question": texts}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 10_000
    seen, own = [], ParquetFile.iter_batches
    monkeypatch.setattr(
        ParquetFile,
        "iter_batches",
        lambda *given, **named: (seen.append(b.num_rows) or b for b in own(*given, **named)),
    )
    with pytest.raises(TaskError, match=r"more than 10,000,000 bytes when unpacked"):
        list(read_rows(path))
    assert max(seen) <= 5
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(TaskError, match="no ordinary file"):
        list(read_rows(path))


def test_a_dataset_in_the_hubs_layout(tmp_path, monkeypatch):
    """A local folder in place of the repository: there is no hub in tests."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", "test.jsonl", "\n".join([GOOD, GOOD.replace("Q", "R")]))
    source = HubSource(str(tmp_path / "data"), None, "main", {"test": "test"})
    label, rows = hub_rows(source, "test")
    assert [row.values["question"] for row in rows] == ["Q", "R"]
    assert label == str(tmp_path / "data")
    task = create_task("gsm8k")
    monkeypatch.setattr(type(task), "hub", source)
    assert [sample.question for sample in task.load().samples] == ["Q", "R"]
    with pytest.raises(TaskError, match=r"cannot get .*Give a local file or folder with --data"):
        hub_rows(HubSource(str(tmp_path / "data"), None, "main", {"dev": "none"}), "dev")


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingDependency, match=r"needs the package 'datasets'.*cipher-debate\[evals\]"):
        create_task("gsm8k").load()
    assert hub._COMMIT.fullmatch(create_task("gsm8k").hub.revision)


FILES = [
    ("gsm8k", "gsm8k", None), ("gsm8k", "cipher_splits", "validation"), ("arithmetic", "cipher_splits", "validation"),
    ("mmlu", "mmlu", None), ("mmlu:formal_logic", "mmlu", None), ("mmlu:professional_psychology", "cipher_splits", None),
    ("mmlu:professional_psychology", "cipher_splits", "validation"), ("arc_easy", "arc", None), ("arc_challenge", "arc", "train"),
    ("openbookqa", "commonsense_extra", None), ("commonsenseqa", "commonsenseqa", None), ("strategyqa", "strategyqa", None),
    ("aqua_rat", "aqua_rat", None), ("multiarith", "mawps_family", None), ("addsub", "mawps_family", None),
    ("singleeq", "mawps_family", None), ("math500", "math500", None), ("aime:2024", "aime_amc", None),
    ("aime:2025", "aime_amc", None), ("truthfulqa", "truthfulqa", None), ("boolq", "boolq", None),
    ("hellaswag", "hellaswag_1k", None), ("logiqa", "logiqa", None), ("logiqa", "logiqa", "validation"),
    ("medqa", "medqa_300", None), ("biographies", "biographies", None), ("bbh:ruin_names", "bbh", None),
    ("bbh:movie_recommendation", "bbh", None), ("bbh:word_sorting", "bbh", None), ("bbh:web_of_lies", "bbh", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "folder", "split"), FILES)
def test_published_files(benchmark, name, folder, split):
    task = create_task(name, data=benchmark(folder), split=split)
    loaded = task.load()
    assert len(loaded.samples) + sum(loaded.removed.values()) == loaded.rows_in > 0
    # Defects of the published files: 12 of 651 in LogiQA are the most.
    assert sum(loaded.removed.values()) <= 0.02 * loaded.rows_in
    assert len({sample.id for sample in loaded.samples}) == len(loaded.samples)
    assert loaded == task.load()
    for sample in loaded.samples:
        assert sample.question
        assert task.read_target(sample.target, sample.options) == sample.target
        assert not sample.options or sample.target in task.labels(sample)


def test_the_counts_of_the_papers_subjects(benchmark):
    counts = {"formal_logic": 126, "high_school_mathematics": 270, "professional_psychology": 612}
    for subject, count in counts.items():
        task = create_task(f"mmlu:{subject}", data=benchmark("mmlu"))
        assert (len(task.load().samples), len(task.shots())) == (count, 5)


def test_biographies_by_the_string_criterion(tmp_path):
    facts = "- Ada Lovelace worked with Charles Babbage in 1843\n- She wrote Note G\n- liked horses"
    task = create_task("biographies", data=written(tmp_path, "article.json", {"Ada Lovelace": facts}))
    (sample,) = task.load().samples
    assert "bullet point biography of Ada Lovelace" in sample.question
    half = task.score_sample(task.extract("- Ada Lovelace met Babbage, in 1843."), sample)
    assert (half.value, half.credit, half.reason) == ("correct", 0.5, "1 of 2 facts mentioned")
    none = task.score_sample(task.extract("- Ada Lovelace was a computer scientist."), sample)
    assert (none.value, none.credit) == ("incorrect", 0.0)
    assert task.score_sample(task.extract(" "), sample).value == "no answer"


def test_the_documentation_lists_every_task():
    table = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for name, made in task_classes().items():
        (row,) = [line for line in table.splitlines() if line.startswith((f"| `{name}`", f"| `{name}:"))]
        assert made.info.kind in row
        assert ", ".join(made.info.splits) in row
        assert made.info.source in row
