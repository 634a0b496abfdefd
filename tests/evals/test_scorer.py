"""What a task's own code makes of one answer never ends a run: the verdict is `failed`, with the reason."""

import json
import re

import pytest
from support.messages import text

from agents.backend import Usage
from agents.errors import MissingDependency
from agents.question import Question
from debate.config.electorate import Electorate
from debate.config.load import validate
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.run_folder.reader import read_method
from debate.transcript import Transcript, Turn, TurnKey
from evals.analysis.run_record import read_run
from evals.analysis.summary import analyse
from evals.evaluation import evaluate
from evals.responses import score_file, write_verdicts
from evals.sample import Sample
from evals.scorer import Reading, SafeExtract, Scorer, read_response, score_answer
from evals.task import create_task
from evals.tasks.arithmetic import Arithmetic

TASK = "support.brittle_task:BrittleTask"


def config_of(decision, **replies):
    script = {"": "Answer: 1"}
    questions = [sample.question for sample in create_task(TASK).samples(3)]
    script |= {re.escape(questions[int(place[1:])]): reply for place, reply in replies.items()}
    raw = {
        "task": TASK,
        "prompts": "arithmetic",
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        "backend": "mock",
        "model": "mock",
        "max_tokens": 64,
        "options": {"script": script},
        "methods": {"single": {}, "text": {}},
        "decision": decision,
        "stopping": "unanimity",
    }
    return validate(raw, source="x")


def decisions(folder):
    found = {record.transcript.question.id: record.decision for record in read_method(folder)}
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("decision", ["lowest_temperature", "majority"])
def test_a_run_goes_on_over_answers_that_cannot_be_read_or_scored(tmp_path, run, decision):
    config = config_of(decision, q0="this is unreadable", q1="Answer: 666")
    out = tmp_path / "run"
    rows = run(evaluate(config, out=out, limit=3))
    for row in rows:
        assert (row.total, row.failed, row.no_answer, row.correct) == (3, 2, 0, 0)
        unread, unscored, wrong = decisions(out / row.method)
        assert (unread["score"], unread["answer"]) == ("failed", None)
        assert unread["score_reason"] == "the response could not be read: ZeroDivisionError: Fraction(5, 0)"
        assert (unscored["score"], unscored["answer"]) == ("failed", "666")
        assert unscored["score_reason"] == "the answer could not be scored: ValueError: not ? today"
        assert wrong["score"] == "incorrect"
        assert "score_reason" not in wrong
    before = (out / "text" / "transcript.jsonl").read_bytes()
    again = run(evaluate(config, out=out, limit=3))
    assert [vars(row)["turns"] for row in again] == [row.turns for row in rows]
    assert (out / "text" / "transcript.jsonl").read_bytes() == before


def test_such_a_run_is_read_and_analysed(tmp_path, run):
    out = tmp_path / "run"
    run(evaluate(config_of("lowest_temperature", q0="this is unreadable", q1="Answer: 666"), out=out, limit=3))
    record = read_run(out)
    (text,) = (method for method in record.methods if method.name == "text")
    assert [(debate.verdict, debate.strict_verdict) for debate in text.debates] == [
        ("failed", "no answer"),
        ("failed", "failed"),
        ("incorrect", "incorrect"),
    ]
    assert "ZeroDivisionError" in text.debates[0].reason
    assert {turn.verdict for debate in text.debates for turn in debate.turns} == {"failed", "incorrect"}
    assert [found.failed for found in analyse(record).methods] == [2, 2]


def test_a_debate_that_others_decide_is_not_failed_by_one_unreadable_answer():
    scorer = Scorer(create_task(TASK), [Sample("q", "1+1", "2")])
    reader = scorer.reader("q")
    assert (reader("unreadable"), reader("Answer: 2")) == (None, "2")
    assert scorer.score("q", "unreadable").value == "failed"
    scorer.know(Question("r", "2+2"), "4")
    assert scorer.score("r", "Answer: 4").value == "correct"


def test_missing_dependencies_are_the_users_to_mend(monkeypatch):
    class Missing(Arithmetic):
        def extract(self, response, options=()):
            raise MissingDependency("reading", "nothing", "evals")

    with pytest.raises(MissingDependency):
        read_response(Missing(), "x")
    task = create_task(TASK)
    assert SafeExtract(task)("unreadable", ()) is None
    assert score_answer(task, Reading(None), Sample("q", "", "2")).value == "no answer"


def test_files_of_such_responses_are_scored(tmp_path):
    file = tmp_path / "r.jsonl"
    responses = [
        "unreadable",
        "Answer: 666",
        "Answer: 2",
        "Answer: 5/٠",
        "Answer: 1/0000000000000000000001",
        "\ud800 2",
    ]
    file.write_text("".join(json.dumps({"id": "²", "target": "2", "response": text}) + "\n" for text in responses))
    verdicts = score_file(create_task(TASK), file)
    assert [verdict.flexible.value for verdict in verdicts] == [
        "failed", "failed", "correct", "no answer", "incorrect", "correct",
    ]  # fmt: skip
    write_verdicts(verdicts, tmp_path / "v.jsonl")
    first = json.loads((tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["flexible"]["reason"].endswith("ZeroDivisionError: Fraction(5, 0)")


def test_a_text_that_no_file_can_hold_is_written(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"target": "Ada\nborn 1815", "response": "born \ud800 1815"}) + "\n")
    verdicts = score_file(create_task("biographies"), file)
    assert verdicts[0].flexible.value == "correct"
    write_verdicts(verdicts, tmp_path / "v.jsonl")
    assert "born ? 1815" in (tmp_path / "v.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["35", "\\$36", "36.00 dollars"], "\\$36"),
        (["35", "\\$36", "36"], "\\$36"),
        (["35", "36", "36.0", "\\$36.00"], "\\$36"),
        (["1", "0.5", "\\frac{1}{2}"], "0.5"),
        (["1", "x+1", "2 cm", "20\\text{ mm}"], "20\\text{ mm}"),
        # Of two units an answer without one joins neither.
        (["3 cm", "3 m", "3", "300\\text{ cm}"], "300\\text{ cm}"),
        (["3 cm", "3 kg", "3", "3"], "3"),
        # Other expressions go by their spelling.
        (["7", "x+1", "1+x", "1+x"], "1+x"),
    ],
)
def test_votes_of_mathematics_count_values_and_not_spellings(said, answer):
    task = create_task("math500")
    scorer = Scorer(task, [Sample("q", "?", "36")])
    turns = [
        Turn(TurnKey(1, f"a{place}"), text(f"It is \\boxed{{{one}}}."), (), 0, Usage(0, 0, 1), "stop")
        for place, one in enumerate(said)
    ]
    debate = Transcript(Question("q", "?"), tuple(turns))
    electorate = Electorate(debate.agents, {name: place / 10 for place, name in enumerate(debate.agents)})
    for same in (scorer.same, SafeExtract(task).same):
        decision = decision_rule("majority")(Poll(debate, electorate, scorer.reader("q"), same))
        assert decision.answer == answer
        assert "tie" not in decision.reason
    borda = decision_rule("borda")(Poll(debate, electorate, scorer.reader("q"), scorer.same))
    assert borda.answer == answer
    assert Scorer(create_task("arithmetic"), []).same is None
