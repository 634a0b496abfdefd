"""The viewer's index of a run: equal to the results file, and kept up to date from the journal alone."""

import json
import shutil

import pytest
from support.viewer_runs import made_run, write_debate, write_turn

from agents.errors import RunError
from agents.question import Question
from debate.run_folder.journal import JournalReader
from debate.transcript import TurnKey
from evals.analysis.run_record import read_run
from evals.analysis.summary import CORRECT, analyse
from evals.sample import Sample
from evals.viewer.cell import Cell, Word
from evals.viewer.index import RunIndex, by_name
from evals.viewer.run_view import RunView, run_paths


def read(path):
    index = RunIndex(path)
    while index.read_answers():
        pass
    return index


def test_counts_and_answers_are_those_of_the_results_file(played):
    results = json.loads((played / "results.json").read_text())["methods"]
    overview = read(played).overview()
    assert [method["name"] for method in overview["methods"]] == ["single", "text", "cipher"]
    for method in overview["methods"]:
        row, cells = results[method["name"]], overview["cells"][method["name"]]
        for key in ("correct", "no_answer", "failed", "total", "asked", "turns", "generated_tokens", "message_bytes"):
            assert method["counts"][key] == row[key]
        assert sum(cell["verdict"] == CORRECT for cell in cells.values()) == row["correct"]
        assert method["verdicts"].get(CORRECT, 0) == row["correct"]
        assert {question: cell["answer"] for question, cell in cells.items()} == row["answers"]
        assert sum(cell["tokens"] for cell in cells.values()) == row["generated_tokens"]


def test_changes_of_mind_and_agreement_are_those_of_the_report(tmp_path):
    with made_run(tmp_path / "run", questions=7):
        pass
    index = read(tmp_path / "run")
    (method,) = analyse(read_run(tmp_path / "run")).methods
    cells = index.overview()["cells"]["text"].values()
    assert sum(cell["won"] for cell in cells) == sum(found.wrong_to_right for found in method.rounds) == 4
    assert sum(cell["lost"] for cell in cells) == sum(found.right_to_wrong for found in method.rounds) == 0
    for place, found in enumerate(method.rounds):
        shares = [cell["agreement"][place] for cell in cells]
        assert sum(shares) / len(shares) == pytest.approx(found.agreement)


def test_a_cell_tells_who_moved_and_no_answer_agrees_with_nothing():
    cell = Cell()
    for word in (
        Word(1, 0, "a", "1", "incorrect"),
        Word(1, 1, "b", None, "no answer"),
        Word(2, 0, "a", "2", CORRECT),
        Word(2, 1, "b", None, "no answer"),
        Word(3, 0, "a", "3", "incorrect"),
        Word(3, 1, "b", "3", "incorrect"),
    ):
        cell.hear(word)
    found = cell.as_json(["a", "b"])
    assert (found["won"], found["lost"], found["changed"]) == (1, 1, 3)
    assert found["agreement"] == [0.0, 0.0, 1.0]
    assert found["agents"] == ["a", "b"]
    assert cell.agreement(["a"]) == [None, None, None]


def test_a_run_that_grows_is_followed_from_where_it_was(tmp_path):
    sample = Sample("q00009", "What is 9+9?", "18")
    with made_run(tmp_path / "run", questions=2, finish=False) as folder:
        index = read(tmp_path / "run")
        assert index.standing == "running"
        before = index.version
        assert not index.advance()
        write_debate(folder, "text", sample, 3, decided=False)
        assert index.advance()
        index.read_answers()
        change = index.overview(since=before)
        assert list(change["cells"]["text"]) == ["q00009"]
        assert [question["id"] for question in change["questions"]] == ["q00009"]
        cell = change["cells"]["text"]["q00009"]
        assert (cell["over"], cell["turns"], cell["read"]) == (False, 6, 6)
        assert index.has_turn("q00009", TurnKey(3, "ben"))
        assert not index.has_turn("q00009", TurnKey(4, "ben"))
    # The same as an index that was made afterwards.
    again = read(tmp_path / "run").overview()
    index.advance()
    now = index.overview()
    # What is right of a question that has no sample is told by its decision alone.
    assert now["cells"]["text"].keys() == again["cells"]["text"].keys()
    assert now["methods"] == again["methods"]


def test_a_record_that_is_half_written_is_read_when_it_is_whole(tmp_path):
    with made_run(tmp_path / "run", questions=1):
        pass
    path = tmp_path / "run" / "journal.log"
    whole = path.read_bytes()
    cut = whole.rindex(b"\n", 0, -1) + 20
    path.write_bytes(whole[:cut])
    reader = JournalReader(path)
    first = list(reader.more())
    assert reader.torn is not None
    assert list(reader.more()) == []
    path.write_bytes(whole)
    rest = list(reader.more())
    assert [entry.offset for entry in [*first, *rest]] == [entry.offset for entry in JournalReader(path)]
    assert len(rest) == 1


def test_a_run_that_was_begun_anew_is_read_anew_and_a_damaged_one_refused(tmp_path):
    with made_run(tmp_path / "run", questions=5):
        pass
    index = read(tmp_path / "run")
    with made_run(tmp_path / "run", questions=2):
        pass
    assert index.advance()
    assert index.questions() == ["q00000", "q00001"]
    path = tmp_path / "run" / "journal.log"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="is damaged at byte"):
        RunIndex(tmp_path / "run")


def test_a_question_without_a_right_answer_has_no_verdict(tmp_path):
    with made_run(tmp_path / "run", questions=1, finish=False) as folder:
        sample = Sample("q00008", "Who are you?", "")
        folder.method("text").begin(Question(sample.id, sample.question))
        write_turn(folder, "text", sample, TurnKey(1, "ada"), 0, right=True)
    index = read(tmp_path / "run")
    assert index.target("q00008") is None
    assert [turn["verdict"] for turn in RunView(tmp_path / "run").debate("text", "q00008")["turns"]] == [""]


def test_runs_are_named_so_that_links_tell_them_apart(tmp_path, played):
    copies = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "other"]
    for path in copies:
        path.parent.mkdir(exist_ok=True)
        shutil.copytree(played, path)
    assert list(by_name(copies)) == ["run", "b~run", "other"]
    assert set(run_paths([tmp_path])) == set(copies)
    with pytest.raises(RunError, match=r"is not a run: it has no journal\.log, nor has any folder in it"):
        run_paths([tmp_path / "a" / "run" / "messages"])
