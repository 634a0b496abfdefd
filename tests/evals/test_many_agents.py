"""A run of many agents is reported in time in proportion to their number: what they share is read once, and pairs are counted."""

from itertools import combinations

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from support.growth import growth

from agents.backend import Usage
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.question import Question
from debate.config.electorate import Electorate
from debate.config.load import load_config
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.run_folder.reader import RunReader
from debate.transcript import Transcript, Turn, TurnKey
from evals.analysis.agreement import agreement
from evals.analysis.run_record import EACH, counts, read_run
from evals.evaluation import evaluate
from evals.outputs import write_outputs
from evals.viewer import prompts
from evals.viewer.cell import Cell, Word

# In proportion to the size four times the size takes four times as long; to its square, sixteen times.
LINEAR = 8.0


def played(run, folder, count, rounds=2):
    """Play one question by many agents on the mock."""
    (folder.parent / f"{folder.name}.yaml").write_text(
        f"task: arithmetic\nbackend: mock\nmodel: mock\nrounds: {rounds}\nmessage: text\ntopology: ring\ndecision: majority\n"
        f"agents: {{one: {{count: {count}, temperature: 0.4}}}}\nmethods: {{text: {{}}}}\n"
    )
    run(evaluate(load_config(folder.parent / f"{folder.name}.yaml"), out=folder, limit=1))
    return folder


def transcript(voters, rounds=2):
    """Return a debate in which half of the agents say one thing."""
    model = ModelFingerprint("m", "", "", 0, 0)
    turns = [
        Turn(
            TurnKey(number, f"a{place}"),
            Message(f"Answer: {place % 2}", model, 0.5),
            (),
            0,
            Usage(1, 0, 1),
            "stop",
            place=place,
        )
        for number in range(1, rounds + 1)
        for place in range(voters)
    ]
    return Transcript.of(Question("q", "?"), turns)


@pytest.mark.parametrize("rule", ["majority", "likeliest", "approval", "borda", "judge", "lowest_temperature"])
def test_a_decision_takes_time_in_proportion_to_its_voters(rule):
    def deciding(voters):
        said = transcript(voters)
        names = tuple(f"a{place}" for place in range(voters))
        electorate = Electorate(names, dict.fromkeys(names, 0.5))
        return lambda: decision_rule(rule)(
            Poll(Transcript(said.question, said.turns), electorate, lambda text: text[-1])
        )

    assert growth(deciding, 8000) < LINEAR


def test_a_cell_of_the_viewer_takes_time_in_proportion_to_its_turns():
    def filled(agents):
        names = [f"a{place}" for place in range(agents)]

        def work():
            cell = Cell()
            for number in (1, 2):
                for place, name in enumerate(names):
                    cell.hear(Word(number, place, name, str(place % 3), "correct"))
            return cell.as_json(names)

        return work

    assert growth(filled, 20000) < LINEAR


def test_agreement_is_that_of_all_pairs():
    for answers in (["1", "1", None, "2", None], [None, None], ["1", "1", "1"], ["1"], []):
        pairs = list(combinations(answers, 2))
        found = sum(a is not None and a == b for a, b in pairs) / len(pairs) if pairs else None
        assert agreement(answers) == found


def test_a_vote_is_looked_at_after_each_of_few_voters_and_after_some_of_many():
    assert counts(0) == []
    assert counts(EACH) == list(range(1, EACH + 1))
    many = counts(3600)
    assert many[:EACH] == counts(EACH)
    assert (many[-1], len(many) < 200) == (3600, True)
    assert all(1 <= b - a <= a // 16 or b == 3600 for a, b in zip(many[EACH:], many[EACH + 1 :], strict=False))
    # Debates with another number of voters are looked at after the same ones, as far as they go.
    assert counts(3000)[:-1] == many[: len(counts(3000)) - 1]


def test_what_agents_share_is_read_and_compiled_once_for_a_page(tmp_path, run, monkeypatch):
    folder = played(run, tmp_path / "r", 12)
    read, compiled = [], []
    facts, from_string = prompts.read_facts, ImmutableSandboxedEnvironment.from_string
    monkeypatch.setattr(prompts, "read_facts", lambda path: read.append(path) or facts(path))
    monkeypatch.setattr(
        ImmutableSandboxedEnvironment, "from_string", lambda *given: compiled.append(given[1]) or from_string(*given)
    )
    write_outputs(folder)
    assert len(read) == 1
    assert len(compiled) == len(set(compiled)) > 0


@pytest.mark.long
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_report_takes_time_in_proportion_to_its_agents(tmp_path, run, rounds):
    folders = {count: played(run, tmp_path / f"r{count}", count, rounds) for count in (300, 1200)}

    def reported(count):
        return lambda: write_outputs(folders[count], [RunReader(folders[count])])

    assert growth(reported, 1200) < LINEAR
    assert len(read_run(folders[300]).methods[0].debates[0].turns) == 300 * rounds
