"""`memory: questions`: an agent reads the run's earlier questions too, which are debated one after the other."""

import pytest
from support.plain_loops import on_mock
from support.recalling_backend import ASKED

from agents.backend import ChatTurn
from debate.config.load import validate
from debate.config.shipped import configs_folder
from debate.run_folder.reader import RunReader, read_method
from debate.runtime.observer import Observer
from debate.transcript import TurnKey
from evals.analysis.report import ACCURACY, run_blocks
from evals.analysis.stats import compare_all
from evals.analysis.tables import cells
from evals.analysis.verdict import hanging
from evals.cli.progress import Progress
from evals.evaluation import Selection, evaluate
from evals.outputs import write_outputs
from evals.plan import Hypothesis, Plan
from evals.sample import Sample
from evals.viewer.run_view import RunView

BACKEND = "support.recalling_backend:RecallingBackend"
# Numbers that nobody says.
SAMPLES = [Sample(f"q{n}", f"What is {n}+2*3+4-5*6?", f"90{n}7654") for n in range(1, 5)]


def config(memory="questions", **keys):
    raw = {
        "backend": BACKEND, "model": "mock", "task": "arithmetic", "prompts": "tiny", "message": "cipher", "max_tokens": 12,
        "rounds": 2, "agents": {"ada": {"temperature": 0.2, "memory": memory}, "ben": {"temperature": 0.8}},
        "methods": {"cipher": {}},
    }  # fmt: skip
    return validate({**raw, **keys}, source="test")


@pytest.fixture(autouse=True)
def nothing_asked():
    ASKED.clear()


def said(folder, method="cipher"):
    """Return the transcript's bytes."""
    return (folder / method / "transcript.jsonl").read_bytes()


def asked_of(folder, agent, method="cipher"):
    """Return what an agent was asked, in the order of questions and rounds."""
    seeds = {request.sampling.seed: request for request in ASKED}
    return [seeds[turn.seed] for debate in read_method(folder / method) for turn in debate.transcript.turns_of(agent)]


class Stop(Observer):
    """Interrupts a run after so many turns."""

    def __init__(self, after):
        self.left = after

    def turn_said(self, question, turn):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_each_prompt_stands_behind_all_that_was_read_and_said_in_earlier_questions(tmp_path, run):
    run(evaluate(config(), out=tmp_path / "run", samples=SAMPLES))
    asked = asked_of(tmp_path / "run", "ada")
    answers = [
        turn.message for debate in read_method(tmp_path / "run/cipher") for turn in debate.transcript.turns_of("ada")
    ]
    assert [len(request.prompt.turns) for request in asked] == [1, 3, 5, 7, 9, 11, 13, 15]
    for before, after, answer in zip(asked, asked[1:], answers, strict=False):
        *head, reply = after.prompt.turns[: len(before.prompt.turns) + 1]
        assert tuple(head) == before.prompt.turns
        assert reply == ChatTurn("assistant", (answer.answer,))
    assert {len(request.prompt.turns) for request in asked_of(tmp_path / "run", "ben")} == {1}
    # What is asked last is what an agent without a memory is asked.
    run(evaluate(config(None), out=tmp_path / "plain", samples=SAMPLES[:1]))
    first = asked_of(tmp_path / "plain", "ada")[0]
    assert first.prompt == asked[0].prompt


def test_no_right_answer_is_ever_read(tmp_path, run):
    rows = run(evaluate(config(methods={"cipher": {}, "text": {}}), out=tmp_path / "run", samples=SAMPLES))
    assert [(row.total, row.correct) for row in rows] == [(4, 0), (4, 0)]
    read = "".join(str(request.prompt) for request in ASKED)
    assert "What is 4+2*3" in read
    assert not any(sample.target in read for sample in SAMPLES)


def test_how_it_is_carried_out_changes_nothing(tmp_path, run):
    methods = {"cipher": {}, "text": {}}
    run(evaluate(config(methods=methods), out=tmp_path / "run", samples=SAMPLES))
    for name, execution in {"one": {"in_flight": 1}, "rows": {"in_flight": 8, "rows_at_once": True}}.items():
        run(evaluate(config(methods=methods, execution=execution), out=tmp_path / name, samples=SAMPLES))
        assert [said(tmp_path / name, row) for row in methods] == [said(tmp_path / "run", row) for row in methods]
    # The order does: another question comes before.
    run(evaluate(config(), out=tmp_path / "turned", samples=SAMPLES[::-1]))
    before, after = (
        {debate.transcript.question.id: debate.transcript.last_of("ada").message.text for debate in read_method(path)}
        for path in (tmp_path / "run/cipher", tmp_path / "turned/cipher")
    )
    assert before.keys() == after.keys()
    assert before != after


def test_questions_are_debated_one_after_the_other_where_they_are_remembered_and_only_there(tmp_path, run):
    class Begun(Observer):
        def __init__(self):
            self.open, self.most = set(), 0

        def debate_started(self, question):
            self.open.add(question.id)
            self.most = max(self.most, len(self.open))

        def debate_decided(self, question, decision, score):
            self.open.discard(question.id)

    most = {}
    for memory in ("questions", "debate"):
        watch = Begun()
        run(evaluate(config(memory), out=tmp_path / memory, samples=SAMPLES, observer=watch))
        most[memory] = watch.most
    assert most == {"questions": 1, "debate": 4}


@pytest.mark.parametrize("after", [1, 3, 4, 6, 9])
def test_an_interrupted_run_remembers_the_same(tmp_path, run, after):
    run(evaluate(config(), out=tmp_path / "whole", samples=SAMPLES))
    with pytest.raises(KeyboardInterrupt):
        run(evaluate(config(), out=tmp_path / "run", samples=SAMPLES, observer=Stop(after)))
    run(evaluate(config(), out=tmp_path / "run", samples=SAMPLES))
    assert said(tmp_path / "run") == said(tmp_path / "whole")


def test_more_questions_remember_those_before(tmp_path, run):
    chosen = Selection(limit=5, shuffle=True)
    run(evaluate(config(), out=tmp_path / "whole", selection=chosen))
    run(evaluate(config(), out=tmp_path / "run", selection=Selection(limit=5, sample_ids=()), overwrite=True))
    run(evaluate(config(), out=tmp_path / "grown", limit=2))
    run(evaluate(config(), out=tmp_path / "grown", limit=5))
    assert said(tmp_path / "grown") == said(tmp_path / "run")
    assert said(tmp_path / "whole") != said(tmp_path / "run")


def test_nothing_is_remembered_of_a_question_that_was_given_up(tmp_path, run):
    poisoned = config(
        backend="support.faulty_backend:FaultyBackend", options={"poison": "2+2*3"}, execution={"tries": 1}
    )
    (row,) = run(evaluate(poisoned, out=tmp_path / "run", samples=SAMPLES))
    # Whoever remembered it would ask for it again.
    assert (row.total, row.failed) == (4, 1)
    plain = config(backend="mock")
    run(evaluate(plain, out=tmp_path / "plain", samples=[SAMPLES[0], *SAMPLES[2:]]))
    left = [debate.transcript for debate in read_method(tmp_path / "run/cipher") if debate.failure is None]
    whole = [debate.transcript for debate in read_method(tmp_path / "plain/cipher")]
    assert [[turn.message.digest for turn in one.turns] for one in left] == [
        [turn.message.digest for turn in one.turns] for one in whole
    ]
    assert [turn.usage.prompt_tokens for one in left for turn in one.turns] == [
        turn.usage.prompt_tokens for one in whole for turn in one.turns
    ]


def test_a_memory_that_is_too_long_fails_the_question_or_forgets_its_oldest_turns(tmp_path, run):
    run(evaluate(config(), out=tmp_path / "whole", samples=SAMPLES))
    turns = [turn for debate in read_method(tmp_path / "whole/cipher") for turn in debate.transcript.turns_of("ada")]
    tight = {"context": turns[3].usage.prompt_tokens + 12}
    (row,) = run(evaluate(config(options=tight), out=tmp_path / "fails", samples=SAMPLES))
    assert (row.total, row.failed) == (4, 2)
    ASKED.clear()
    shortened = config(options=tight, overflow="truncate-oldest")
    (row,) = run(evaluate(shortened, out=tmp_path / "forgets", samples=SAMPLES))
    assert row.failed == 0
    found = [turn for debate in read_method(tmp_path / "forgets/cipher") for turn in debate.transcript.turns_of("ada")]
    assert [turn.message.digest for turn in found[:4]] == [turn.message.digest for turn in turns[:4]]
    forgotten = [turn.forgotten for turn in found]
    assert forgotten[:5] == [0, 0, 0, 0, 1]
    assert forgotten == sorted(forgotten)
    assert all(turn.left_out == () for turn in found)
    # What is kept are the turns after those: nothing that was forgotten comes back.
    asked = asked_of(tmp_path / "forgets", "ada")
    assert [len(request.prompt.turns) for request in asked] == [2 * (n - f) + 1 for n, f in enumerate(forgotten)]
    for place, request in enumerate(asked[4:], start=4):
        assert request.prompt.turns[0] == asked[forgotten[place]].prompt.turns[-1]
    for after in (9, 12, 14):
        folder = tmp_path / f"stopped-{after}"
        with pytest.raises(KeyboardInterrupt):
            run(evaluate(shortened, out=folder, samples=SAMPLES, observer=Stop(after)))
        run(evaluate(shortened, out=folder, samples=SAMPLES))
        assert said(folder) == said(tmp_path / "forgets")


def test_the_shipped_debates_over_related_questions_are_played(tmp_path, run):
    shipped = on_mock(configs_folder() / "minds" / "related.yaml")
    rows = run(evaluate(shipped, out=tmp_path / "run", limit=3))
    assert [(row.method, row.total, row.failed) for row in rows] == [(name, 3, 0) for name in shipped.methods]
    count = {name: len(next(iter(read_method(tmp_path / "run" / name))).transcript.turns) for name in shipped.methods}
    assert count["single"] == 1
    # What is remembered is read: the last question's prompts are the longest.
    for name in ("single-memory", "memory"):
        read = [
            debate.transcript.last_of("atlas").usage.prompt_tokens for debate in read_method(tmp_path / "run" / name)
        ]
        assert read == sorted(read)
        assert read[2] > 2 * read[0]


def test_each_sample_of_a_vote_remembers_what_it_said_itself(tmp_path, run):
    row = "self-consistency(k=3)"
    run(evaluate(config(), out=tmp_path / "run", methods=[row], samples=SAMPLES))
    for name in ("ada-1", "ada-2", "ada-3"):
        last = asked_of(tmp_path / "run", name, row)[-1].prompt
        own = [debate.transcript.last_of(name).message for debate in RunReader(tmp_path / "run").debates(row)]
        assert [turn.parts[0] for turn in last.turns if turn.role == "assistant"] == own[:-1]


def test_no_interval_and_no_test_is_made_of_questions_that_depend_on_each_other(tmp_path, run):
    methods = {"plain": {"agents": {"ada": {"memory": None}}}, "single": {}, "cipher": {}}
    plan = Plan(
        hypotheses=(Hypothesis(claim="it helps", first="cipher", second="plain", expect="greater"),),
        questions=4,
        methods=tuple(methods),
    )
    folder = tmp_path / "run"
    run(evaluate(config(methods=methods), out=folder, samples=SAMPLES, plan=plan))
    (found,) = write_outputs(folder)
    hang = {summary.name: summary.is_dependent for summary in found.methods}
    # One agent alone remembers as well.
    assert hang == {"plain": False, "single": True, "cipher": True}
    assert len(found.comparisons) > 1
    for one in found.comparisons:
        assert "4 paired questions: no interval and no test, as questions depend on those before them" in one.sentence
        assert not one.is_distinguishable
    assert "not tested: questions depend on those before them" in str(run_blocks(found))
    assert "single, cipher: questions depend on those before them" in hanging(found.methods)
    assert {row[2] for row in cells(ACCURACY, found.methods).rows[1:]} == {"–"}
    (paths,) = (path for path in folder.glob("lm_eval/cipher/*/results_*.json"))
    assert '"exact_match_stderr,flexible-extract": "N/A"' in paths.read_text()


@pytest.mark.parametrize("dependent", [False, True])
def test_no_interval_is_told_while_such_questions_are_played(dependent):
    progress = Progress()
    progress.expect("cipher", 2, 1, dependent=dependent)
    progress.said("cipher", "q1", 5)
    progress.ended("cipher", "q1", True)
    assert "accuracy so far 1/1" in progress.line()
    assert ("%" in progress.line()) is not dependent


def test_a_comparison_that_is_no_test_corrects_no_other():
    outcomes = {
        "first": {f"q{n}": [1.0] for n in range(20)},
        "second": {f"q{n}": [float(n < 12)] for n in range(20)},
        "third": {f"q{n}": [0.0] for n in range(20)},
    }
    pairs = [("first", "second"), ("third", "second")]
    one, other = compare_all(outcomes, pairs, dependent={"third"})
    assert one.adjusted == one.p_value == compare_all(outcomes, pairs[:1])[0].p_value
    assert one.is_distinguishable
    assert (other.is_dependent, other.adjusted, other.is_distinguishable) == (True, 1.0, False)


def test_the_viewer_says_how_much_a_turn_read_of_earlier_questions(tmp_path, run):
    run(evaluate(config(), out=tmp_path / "run", samples=SAMPLES))
    view = RunView(tmp_path / "run")
    first, third = (view.message("cipher", f"q{n}", TurnKey(2, "ada"))["prompt"]["turns"] for n in (1, 3))
    assert len(third) == len(first) + 1
    assert third[0]["parts"] == [
        {"text": "⟦4 earlier turns of its own, prompts and answers, in questions before this one⟧"}
    ]
    assert [turn["role"] for turn in third[1:]] == [turn["role"] for turn in first]
    tight = {"context": 260}
    run(evaluate(config(options=tight, overflow="truncate-oldest"), out=tmp_path / "tight", samples=SAMPLES))
    view = RunView(tmp_path / "tight")
    ASKED.clear()
    for number in (1, 2, 3, 4):
        (debate,) = (
            one for one in read_method(tmp_path / "tight/cipher") if one.transcript.question.id == f"q{number}"
        )
        for place, turn in enumerate(debate.transcript.turns_of("ada")):
            shown = view.message("cipher", f"q{number}", turn.key)["prompt"]["turns"]
            earlier = [part["text"] for one in shown for part in one["parts"] if part.get("text", "").startswith("⟦")]
            others = int(earlier[0][1:].split()[0]) if earlier else 0
            own = (len(shown) - len(earlier) - 1) // 2
            assert others + own == 2 * (number - 1) + place - turn.forgotten
    assert turn.forgotten > 2
