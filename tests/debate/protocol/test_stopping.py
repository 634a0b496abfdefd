"""When a debate ends, and that stopping never changes what was said before."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from support.messages import cipher, text

from agents.backend import Usage
from agents.errors import DebateError
from debate.protocol.rules import PROTOCOLS, find_protocol
from debate.protocol.stopping import RULES, StoppingContext, stopping_rule
from debate.transcript import SpokenTurns, Turn, TurnKey
from kernels import registry

AGREE, SPLIT = {"options": {"skill": 1.0}}, {"options": {"skill": 0.0}}


def rounds(transcript):
    return max(turn.key.round for turn in transcript.turns)


@pytest.mark.parametrize(
    ("stopping", "options", "last"),
    [
        ("fixed", AGREE, 4),
        ("unanimity", AGREE, 1),
        ("unanimity(first_round=2)", AGREE, 2),
        ("unanimity", SPLIT, 4),
        ("gate", AGREE, 1),
        ("gate", SPLIT, 4),
        ("stable", AGREE, 2),
        ("stable(rounds=2)", AGREE, 3),
        ("belief(distance=0.0001)", AGREE, 2),
        ("margin(votes=4)", AGREE, 1),
        ("share", AGREE, 1),
        ("budget(tokens=1)", AGREE, 1),
        ("budget(tokens=200)", AGREE, 2),
        ("budget(seconds=0.000001)", AGREE, 1),
        ("budget(seconds=1000.0)", AGREE, 4),
    ],
)
@pytest.mark.parametrize("message", ["text", "cipher"])
def test_rules_end_after_the_round_that_meets_them(config, played, stopping, options, last, message):
    made = config(stopping=stopping, rounds=4, message=message, **options)
    debate, transcript, _ = played(made)
    assert rounds(transcript) == last
    assert len(transcript.turns) == 4 * last
    assert debate.protocol.num_turns == 16


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("stopping", ["unanimity", "budget(tokens=250)"])
def test_stopping_only_leaves_turns_out(config, played, protocol, stopping):
    keys = {"protocol": protocol, "rounds": 4, "seed": 5}
    _, whole, _ = played(config(**keys))
    _, short, _ = played(config(**keys, stopping=stopping))
    said = {turn.key: turn.message.digest for turn in whole.turns}
    assert all(said[turn.key] == turn.message.digest for turn in short.turns)
    assert len(short.turns) % 4 == 0


def test_a_judge_speaks_on_the_round_that_was_last(config, played):
    agents = {"a": {"count": 3}, "judge": {"role": "judge"}}
    _, transcript, _ = played(config(agents=agents, stopping="gate", decision="judge", rounds=3, **AGREE))
    assert [(turn.key.round, turn.key.agent) for turn in transcript.turns][-1] == (1, "judge")
    assert [key.round for key in transcript.turns[-1].heard] == [1, 1, 1]


def test_a_moderator_ends_it(config, played):
    agents = {"angel": {}, "devil": {}, "moderator": {"role": "moderator"}}
    keys = {"agents": agents, "protocol": "angel_devil_judge", "stopping": "moderator"}
    script = {"": "I say. Answer: 7", "moderator of a debate": "Go on.", "You said before": "Answer: 3"}
    _, transcript, _ = played(config(**keys, rounds=5, options={"script": script}))
    assert rounds(transcript) == 2


@pytest.mark.parametrize(
    ("stopping", "said"),
    [
        ("unanimous", "unknown stopping rule 'unanimous'. Known: .*Did you mean 'unanimity'"),
        ("margin(vote=1)", "It takes: votes"),
        ("margin(votes=True)", "must be of type int"),
        ("budget", "needs tokens or seconds above 0"),
    ],
)
def test_mistakes_are_sentences(config, played, stopping, said):
    with pytest.raises(DebateError, match=said):
        played(config(stopping=stopping))


def test_every_rule_is_documented():
    assert all(rule.__doc__ for rule in RULES.values())


def test_the_saving_is_reported(tmp_path):
    import asyncio

    from debate.config.load import validate
    from evals.evaluation import evaluate

    raw = {"backend": "mock", "model": "mock", "agents": {"a": {"count": 2}}, "stopping": "gate", "rounds": 3}
    found = validate({**raw, **AGREE}, source="test")
    (row,) = asyncio.run(evaluate(found, out=tmp_path / "run", methods=["text"], limit=5))
    assert (row.turns, row.planned_turns) == (10, 30)


def said_in_round(*answers):
    """Return the turns of a first round of agents a, b, c, … and what their rules look at."""
    turns = {}
    for name, answer in zip("abcdef", answers, strict=False):
        key = TurnKey(1, name)
        turns[key] = Turn(key, text(answer), (), 0, Usage(0, 0, 1), "stop")
    names = [key.agent for key in turns]
    return turns, StoppingContext(names, names[-2:], lambda response, options: None if response == "?" else response)


@pytest.mark.parametrize(
    ("answers", "lead"),
    [("xxxy", 2), ("xxyy", 0), ("xxx", 3), ("xx??", 2), ("xxyz", 1), ("??", 0), ("xxxxyz", 3)],
)
def test_a_margin_is_between_the_first_answer_and_the_next(answers, lead):
    turns, watch = said_in_round(*answers)
    assert RULES["margin"](watch, votes=lead + 1)(turns, 1) is None
    found = RULES["margin"](watch, votes=lead)(turns, 1)
    assert found == f"an answer leads by {lead} votes in round 1"


@pytest.mark.parametrize(
    ("answers", "ends"), [("xxy", True), ("xxyz", False), ("xx??", False), ("xxx?", True), ("??", False), ("?", False)]
)
def test_a_share_is_of_all_agents_with_an_answer_or_without(answers, ends):
    turns, watch = said_in_round(*answers)
    found = RULES["share"](watch, of=0.6)(turns, 1)
    assert found == (f"{answers.count('x')} of {len(answers)} answers agree in round 1" if ends else None)


@pytest.mark.parametrize(("answers", "ends"), [("x??", False), ("x?y", True), ("xy?", True), ("xyz", True)])
def test_one_moderator_with_an_answer_is_enough(answers, ends):
    turns, watch = said_in_round(*answers)
    assert (RULES["moderator"](watch)(turns, 1) is not None) == ends


def test_it_ends_when_everyone_is_sure():
    """By the least sure step of each voter's message; words alone are not sure."""
    one, other = (cipher("Answer: 4", probability=probability) for probability in (0.95, 0.8))
    rule = RULES["sure"](StoppingContext(["a", "b"]), least=0.9)

    def end(*messages):
        turns = {key: Turn(key, message, (), 0, Usage(0, 0, 1), "stop") for key, message in messages}
        return rule(turns, 1)

    a, b, judge = (TurnKey(1, name) for name in ("a", "b", "judge"))
    assert end((a, one), (b, one)) == "everyone is sure, by 0.950 at least"
    assert end((a, one), (b, one), (judge, other)) is not None
    assert end((a, one), (b, other)) is None
    assert end((a, one), (b, text("Answer: 4"))) is None
    assert end() is None


def test_a_budget_of_seconds_is_up_when_they_have_passed(monkeypatch):
    rule, said = RULES["budget"](StoppingContext(["a"]), seconds=2.5), SpokenTurns()
    for passed, why in ((2.25, None), (2.5, "2.5 seconds passed, of a budget of 2.5")):
        monkeypatch.setattr("time.monotonic", lambda now=said.began + passed: now)
        assert rule(said, 1) == why


def test_a_lead_of_two_and_nine_tenths_of_a_belief_are_enough_where_nothing_is_said():
    (behind, watch), (ahead, _) = said_in_round("x", "x", "y"), said_in_round("x", "x", "x", "y")
    margin = RULES["margin"](StoppingContext(["a", "b", "c", "d"], (), watch.extract))
    assert (margin(behind, 1) is None, margin(ahead, 1) is None) == (True, False)
    sure = RULES["sure"](StoppingContext(["a"]))
    key = TurnKey(1, "a")
    for probability, ends in ((0.85, False), (0.95, True)):
        turn = Turn(key, cipher("4", probability=probability), (), 0, Usage(0, 0, 1), "stop")
        assert (sure({key: turn}, 1) is not None) == ends


def mine(watch):
    return None


@pytest.mark.parametrize(
    ("group", "find"),
    [
        ("debate.stopping_rules", lambda: stopping_rule("mine", StoppingContext([]))),
        ("debate.protocols", lambda: find_protocol("mine")),
    ],
)
def test_what_a_distribution_registers_is_found_by_its_name(monkeypatch, group, find):
    points = [SimpleNamespace(name="mine", value="own_rules:Mine")]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: points if group == asked else [])
    module = ModuleType("own_rules")
    module.Mine = mine if group == "debate.stopping_rules" else type("Mine", (PROTOCOLS["relay"],), {})
    monkeypatch.setitem(sys.modules, "own_rules", module)
    for asked in (group, "debate.others"):
        registry.registered.cache_clear()
        if asked == group:
            find()
        else:
            with pytest.raises(DebateError, match="unknown .* 'mine'"):
                find()
    registry.registered.cache_clear()


@pytest.mark.parametrize("name", ["judges", "chairs", "order", "seed"])
def test_what_a_debate_says_is_no_parameter_of_its_protocol(name):
    for protocol, takes in (("simultaneous", "It takes none"), ("gossip", "It takes: peers")):
        with pytest.raises(DebateError, match=takes):
            find_protocol(f"{protocol}({name}=1)")
