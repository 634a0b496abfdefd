"""Decisions on transcripts written by hand."""

import json
import math
from dataclasses import replace

import pytest
import torch
from support.messages import cipher, text

from agents.backend import Usage
from agents.errors import DebateError
from agents.models.fusion.log_linear import floored
from agents.models.fusion.pool import TrainedPool, save_pool
from agents.models.seeded import seeded
from agents.question import Question
from debate.config.electorate import Electorate
from debate.decision.belief_rules import stated
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule, rules
from debate.transcript import Transcript, Turn, TurnKey


def transcript(*rounds):
    """Return a transcript: one mapping of agent → message (or words) a round."""
    turns = [
        Turn(TurnKey(number, agent), text(said) if isinstance(said, str) else said, (), 0, Usage(0, 0, 1), "stop")
        for number, said_in in enumerate(rounds, start=1)
        for agent, said in said_in.items()
    ]
    return Transcript(Question("q", "?"), tuple(turns))


def extract(response):
    _, found, answer = response.rpartition("Answer: ")
    return answer.split()[0].rstrip(".,") if found and answer.split() else None


def decide(rule, *rounds, temperatures=None, decode=None):
    agents = list(dict.fromkeys(agent for said in rounds for agent in said))
    temperatures = temperatures or {agent: 0.1 + place / 10 for place, agent in enumerate(agents) if agent != "judge"}
    return decision_rule(rule, decode)(Poll(transcript(*rounds), electorate(temperatures), extract))


def electorate(temperatures):
    return Electorate(tuple(temperatures), temperatures)


A, B = "Answer: 4", "Answer: 7"


@pytest.mark.parametrize(
    ("rule", "rounds", "answer", "reason"),
    [
        ("lowest_temperature", [{"a": A, "b": B}], "4", "a has the lowest temperature"),
        ("lowest_temperature", [{"a": "?", "b": B}], None, "gave no answer"),
        ("majority", [{"a": A, "b": B, "c": B}], "7", "2 of 3 agents"),
        (
            "majority",
            [{"a": B, "b": A, "c": "?", "judge": A}],
            "7",
            "a tie of 2 answers, broken by the lowest temperature",
        ),
        ("majority", [{"a": "?", "b": "?"}], None, "nobody gave an answer"),
        ("judge", [{"a": A, "b": A, "judge": B}], "7", "judge, who judges, said so"),
        ("judge", [{"a": A, "judge": "?"}], None, "gave no answer"),
        ("judge(agent='b')", [{"a": A, "b": B}], "7", "b, who judges"),
        ("judge(agent='z')", [{"a": A}], None, "did not speak"),
        ("last_speaker", [{"a": A, "b": B}], "7", "b spoke last"),
        (
            "weighted(by='stated')",
            [{"a": f"Confidence: 80%. {A}", "b": f"Confidence: 30%. {B}", "c": B}],
            "7",
            "of 1 agents",
        ),
        ("weighted(by='stated')", [{"a": f"Confidence: 0.9 {A}", "b": f"Confidence: 30%. {B}"}], "4", "0.900"),
        ("weighted", [{"a": A, "b": B, "c": B}], "7", "a weight of 1.000"),
        ("approval", [{"a": f"Approve: 4, 7\n{A}", "b": f"Approve: 7\n{B}"}], "7", "2 approvals"),
        ("approval", [{"a": A, "b": B}, {"a": B, "b": B}], "7", "2 approvals"),
        ("cumulative", [{"a": f"Points: 4=9, 7=1\n{A}", "b": f"Points: 7=6, 4=4\n{B}"}], "4", "13.0 points"),
        # One agent is one approval, whatever it writes beside an answer; what it gives nothing it does not approve of.
        ("approval", [{"a": f"Approve: 4=100\n{A}", "b": "Approve: 7=2, 4=0", "c": "Approve: 7"}], "7", "2 approvals"),
        # Thousands are written with commas too, and nobody has endless points.
        ("approval", [{"a": f"Approve: 1,200, 7\n{A}", "b": "Approve: 1,200", "c": "Approve: 200"}], "1,200", "2 app"),
        ("cumulative", [{"a": f"Points: 4=inf, 7=1\n{A}", "b": "Points: 7=1"}], "7", "20.0 points"),
        ("cumulative", [{"a": A, "b": B}, {"a": B, "b": B}], "7", "16.7 points"),
        ("borda", [{"a": f"Ranking: 4 > 7 > 9\n{A}", "b": "Ranking: 7 > 9", "c": "Ranking: 9 > 7"}], "7", "4 Borda"),
        (
            "ranked",
            [{"a": f"Ranking: 4 > 7\n{A}", "b": "Ranking: 7 > 4", "c": "Ranking: 9 > 7"}],
            "4",
            "tie|first places",
        ),
        ("ranked", [{"a": A, "b": B, "c": B}], "7", "2 first places in run 1"),
        # Two of five are no majority: the last is struck, and its ballot goes on to its second choice.
        (
            "ranked",
            [{"a": A, "b": A, "c": B, "d": B, "e": "Ranking: 9 > 7\nAnswer: 9"}],
            "7",
            "3 first places in run 2",
        ),
        ("ranked", [{"a": "?"}], None, "nobody gave an answer"),
        ("borda", [{"a": "?"}], None, "nobody gave an answer"),
        (
            "depth",
            [{"a": "so it is 4 Answer: 4", "b": "so it is 4 Answer: 4", "c": "no idea Answer: 9"}],
            "4",
            "deepest",
        ),
        ("depth", [{"a": "?", "b": "?"}], None, "nobody"),
        ("belief_average", [{"a": A}], None, "no.*belief over the options"),
    ],
)
def test_rules(rule, rounds, answer, reason):
    import re

    decision = decide(rule, *rounds, decode=lambda model, token: None)
    assert decision.answer == answer
    assert re.search(reason, decision.reason), decision.reason


def test_measured_confidence_outweighs_a_majority():
    sure, unsure = cipher(B, probability=0.99, entropy=0.01), cipher(A, probability=0.3, entropy=3.0)
    for by in ("probability", "entropy"):
        assert decide(f"weighted(by='{by}')", {"a": unsure, "b": unsure, "c": sure}).answer == "7"


def test_belief_average_is_the_mean_of_whole_distributions():
    letters = {10: " A", 11: "B", 12: " C", 5: "x"}
    decode = lambda model, token: letters.get(token)  # noqa: E731
    # Two lean to A, but barely; the third is sure of B: the mean goes to B, where votes go to A.
    lean = cipher("Answer: A", steps=[{5: 1.0}, {10: 0.5, 11: 0.4, 12: 0.1}, {5: 0.9, 11: 0.1}])
    sure = cipher("Answer: B", steps=[{11: 0.95, 10: 0.05}])
    said = {"a": lean, "b": lean, "c": sure}
    assert decide("belief_average", said, decode=decode).answer == "B"
    assert decide("majority", said).answer == "A"
    mixed = decide("belief_average(options='AB')", {**said, "c": "Answer: B"}, decode=decode)
    assert mixed.answer == "B"
    # A text is a belief of 1 in its answer: (2 · 0.4/0.9 + 1) / 3.
    assert mixed.reason.startswith("a mean belief of 0.630 over 3 agents")
    thought = cipher("A ?", steps=[{10: 1.0}, {5: 1.0}])
    assert decide("belief_average", {"a": thought}, decode=decode).answer == "A"
    thought = replace(thought, text="?", thinking="A", thinking_tokens=1)
    assert decide("belief_average", {"a": thought}, decode=decode).answer is None


def test_of_ten_options_the_last_is_one():
    said = {"a": cipher("Answer: J", steps=[{10: 1.0}])}
    assert decide("belief_average", said, decode=lambda model, token: "J" if token == 10 else "x").answer == "J"


def test_an_attention_head_weighs_beliefs_and_says_how(tmp_path):
    letters = {10: " A", 11: "B", 12: " C", 5: "x"}
    decode = lambda model, token: letters.get(token)  # noqa: E731
    weights = [[4.0, 0.0, 0.0], [0.0, 12.0, 0.0], [0.0, 0.0, 4.0]]
    (tmp_path / "head.json").write_text(json.dumps({"options": ["A", "B", "C"], "weights": weights}))
    said = {
        "ada": cipher("Answer: A", steps=[{10: 0.6, 11: 0.4}]),
        "ben": cipher("Answer: B", steps=[{5: 1.0}, {11: 0.9, 12: 0.1}]),
        "cy": "Answer: A",
        "dee": "?",
    }
    x = [[0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [1.0, 0.0, 0.0]]
    z = [sum(row[k] for row in x) / 3 for k in range(3)]
    scores = [sum(row[k] * weights[k][k] * z[k] for k in range(3)) for row in x]
    total = sum(map(math.exp, scores))
    attended = [math.exp(score) / total for score in scores]
    mean = [sum(a * row[k] for a, row in zip(attended, x, strict=True)) for k in range(3)]
    found = decide(f"attended(head={str(tmp_path)!r})", said, decode=decode)
    assert found.answer == "ABC"[mean.index(max(mean))]
    best = sorted(scores)[-2:]
    margin = (best[1] - best[0]) / math.sqrt(4**2 + 12**2 + 4**2)
    heard = ", ".join(f"{name} {a:.2f}" for name, a in zip(("ada", "ben", "cy"), attended, strict=True))
    assert found.reason == f"a belief of {max(mean):.3f}, attended to: {heard}; ben selected, margin {margin:.3f}"
    # The plain mean goes to A: the head is what decides.
    assert sum(row[0] for row in x) > sum(row[1] for row in x)
    assert found.answer == "B"
    # Names change nothing, and nothing is attended where nothing is believed.
    assert decide(f"attended(head={str(tmp_path)!r})", dict(reversed(said.items())), decode=decode).answer == "B"
    assert decide(f"attended(head={str(tmp_path)!r})", {"ada": "?"}, decode=decode).reason.startswith(
        "nobody's message"
    )


def trained_pool(folder):
    """Write a pool of two channels over three options, whose weights are not those of the start; return it."""
    pool = TrainedPool(("ada", "ben"), "ABC")
    for part in (pool.of_beliefs, pool.of_labels):
        part.level.data = torch.tensor([1.0, 0.2], dtype=torch.float64)
        part.sureness.data = torch.tensor([-0.5, 0.7], dtype=torch.float64)
        part.dissent.data = torch.tensor([-2.0, -0.3], dtype=torch.float64)
    meant = [[[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]], [[0.5, 0.4, 0.1], [0.1, 0.9, 0.0], [0.1, 0.1, 0.8]]]
    pool.meant.copy_(torch.tensor(meant, dtype=torch.float64))
    save_pool(folder, pool)
    return pool


def test_a_trained_pool_decides_and_says_what_each_added(tmp_path):
    letters = {10: " A", 11: "B", 12: " C", 5: "x"}
    decode = lambda model, token: letters.get(token)  # noqa: E731
    pool = trained_pool(tmp_path)
    rule = f"fused(weights={str(tmp_path)!r})"
    ada = cipher("Answer: A", steps=[{10: 0.6, 11: 0.4}])
    ben = cipher("Answer: B", steps=[{5: 1.0}, {11: 0.9, 12: 0.1}])
    rows = torch.tensor([[[0.6, 0.4, 0.0], [0.0, 0.9, 0.1]]], dtype=torch.float64)
    with torch.no_grad():
        both, one = (pool(rows, torch.tensor([heard]))[0].exp().tolist() for heard in ((True, True), (True, False)))
        said = pool.from_labels(torch.tensor([[0, 1]]), torch.ones(1, 2).bool())[0].exp().tolist()
    # Names of agents are its channels, whoever speaks first.
    for spoken in ({"ada": ada, "ben": ben}, {"ben": ben, "ada": ada}):
        found = decide(rule, spoken, decode=decode)
        assert found.answer == "ABC"[both.index(max(both))]
        assert found.reason.startswith(f"a belief of {max(both):.3f}; nats added: ada ")
        assert found.reason.endswith(". Not for clinical use.")
        nats = [float(part.split()[-1]) for part in found.reason.split("added: ")[1].split(". Not")[0].split(", ")]
        assert sum(nats) == pytest.approx(math.log(max(both)) - math.log(1 / 3), abs=0.011)
    # Who is silent is missing, and not uniform.
    found = decide(rule, {"ada": ada, "ben": "?"}, decode=decode)
    assert found.reason.startswith(f"a belief of {max(one):.3f}; ")
    assert "ben missing" in found.reason
    assert decide(rule, {"ada": ada}, decode=decode).answer == found.answer
    # Words alone are pooled by what they meant in training; beside a belief a label is that meaning.
    found = decide(rule, {"ada": "Answer: A", "ben": "Answer: B"}, decode=decode)
    assert found.answer == "ABC"[said.index(max(said))]
    assert found.reason.startswith(f"a belief of {max(said):.3f}; ")
    with torch.no_grad():
        rows[0, 1] = pool.meant[1, 1]
        mixed = pool(rows, torch.ones(1, 2).bool())[0].exp().tolist()
    found = decide(rule, {"ada": ada, "ben": "Answer: B"}, decode=decode)
    assert found.reason.startswith(f"a belief of {max(mixed):.3f}; ")
    assert decide(rule, {"ada": "?"}, decode=decode).reason.startswith("nobody's message holds a belief")
    with pytest.raises(DebateError, match="has weights for ada, ben, and none for cy: name agents as its channels"):
        decide(rule, {"ada": ada, "cy": "Answer: A"}, decode=decode)
    # Before anything is said, where the voters are known.
    decision_rule(rule, decode, voters=("ada", "ben"))
    with pytest.raises(DebateError, match="and none for cy: name agents as its channels"):
        decision_rule(rule, decode, voters=("ada", "cy"))


def test_a_layer_over_agents_decides_as_well(tmp_path):
    """What ben says changes how much ada counts: the same pool, weights of the channels alone, elects another."""
    decode = lambda model, token: {10: " A", 11: "B", 12: " C"}.get(token)  # noqa: E731
    pool = seeded(lambda: TrainedPool(("ada", "ben"), "ABC", relation="batchformer"), 0)
    rows = torch.tensor([[[0.6, 0.4, 0.0], [0.0, 0.55, 0.45]]], dtype=torch.float64)
    everyone = torch.ones(1, 2).bool()
    with torch.no_grad():
        before = pool(rows, everyone)[0].exp()
        states = pool.of_beliefs.layer(
            (pool.of_beliefs.read(floored(rows).log() - pool.of_beliefs.log_prior) + pool.of_beliefs.own).transpose(
                0, 1
            )
        )
        # Ada counts for more, and ben for less, at these two beliefs.
        pool.of_beliefs.weigh += 0.5 * (states[0, 0] - states[1, 0])
        both = pool(rows, everyone)[0].exp()
    assert int(before.argmax()) == 1
    assert int(both.argmax()) == 0
    save_pool(tmp_path, pool)
    spoken = {
        "ada": cipher("Answer: A", steps=[{10: 0.6, 11: 0.4}]),
        "ben": cipher("Answer: B", steps=[{11: 0.55, 12: 0.45}]),
    }
    found = decide(f"fused(weights={str(tmp_path)!r})", spoken, decode=decode)
    assert found.answer == "A"
    assert found.reason.startswith(f"a belief of {float(both.max()):.3f}; nats added: ada ")


def test_a_damaged_pool_is_refused(tmp_path):
    pool = trained_pool(tmp_path)
    pool.of_labels.level.data[0] = float("nan")
    save_pool(tmp_path, pool)
    with pytest.raises(DebateError, match=r"no trained pool in .*: its tensor of_labels.level holds what is no number"):
        decision_rule(f"fused(weights={str(tmp_path)!r})", lambda model, token: None)


def test_options_are_decided_as_the_task_reads_them(tmp_path):
    trained_pool(tmp_path)
    words = {"A": "alpha", "B": "beta", "C": "gamma"}
    said = transcript({"ada": "Answer: B"})
    poll = Poll(said, electorate({"ada": 0.1}), lambda text: words.get(extract(text) or ""))
    found = decision_rule(f"fused(weights={str(tmp_path)!r})", lambda model, token: None)(poll)
    assert found.answer == "beta"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("attended", "needs a trained head"),
        ("attended(head='nowhere')", "no attention head in nowhere"),
        ("fused", "needs trained weights"),
        ("fused(weights='nowhere')", "no trained pool in nowhere"),
    ],
)
def test_a_head_that_is_not_there_is_a_sentence(rule, sentence):
    with pytest.raises(DebateError, match=sentence):
        decision_rule(rule, lambda model, token: None)


def test_without_tokenizers_no_head_is_asked():
    with pytest.raises(DebateError, match="attended reads tokens, and needs the engines' tokenizers"):
        decision_rule("attended(head='nowhere')")
    with pytest.raises(DebateError, match="fused reads tokens, and needs the engines' tokenizers"):
        decision_rule("fused(weights='nowhere')")


@pytest.mark.parametrize(
    ("said", "confidence"),
    [
        ("Confidence: 80%", 0.8),
        ("confidence 0.8", 0.8),
        ("Confidence: 1", 1.0),
        ("Confidence: 1%", 0.01),
        ("Confidence is 100", 1.0),
        ("Confidence: 0.2. No, confidence = 60 %", 0.6),
        ("Confidence: 150%", None),
        ("Confidence: 8/10", 0.8),
        ("Confidence: 8.5 out of 10.", 0.85),
        ("My confidence is 90/100", 0.9),
        ("Confidence: 9/8", None),
        ("Confidence: 9/0", None),
        ("Confidence: 0,8", 0.8),
        ("Confidence: 80, as I said", 0.8),
        ("I am confident.", None),
    ],
)
def test_a_stated_confidence_is_a_share_however_it_is_written(said, confidence):
    assert stated(text(said)) == confidence


def test_depth_tells_drift_and_outliers_of_many():
    same, other = "it is so and so Answer: 4", "quite another thing Answer: 7"
    first = {f"a{n}": same + f" w{n}" for n in range(12)}
    last = {f"a{n}": other + f" w{n}" for n in range(11)} | {"a11": "zzz Answer: 9"}
    decision = decide("depth", first, last)
    assert decision.answer == "7"
    assert "outliers: a11" in decision.reason
    assert "p = 0.000" in decision.reason
    assert "drift" not in decide("depth", {"a": same, "b": other}).reason


@pytest.mark.parametrize(("agents", "is_tested"), [(9, False), (10, True)])
def test_drift_is_tested_where_there_are_messages_enough(agents, is_tested):
    rounds = [{f"a{n}": f"{said} w{n} Answer: 4" for n in range(agents)} for said in ("it is so", "quite another")]
    assert ("drift since the first round" in decide("depth", *rounds).reason) == is_tested


def shortest(question, response):
    return -len(response)


def test_a_verifier_scores_messages(monkeypatch):
    import sys
    import types

    module = types.ModuleType("own_verifiers")
    module.shortest = shortest
    monkeypatch.setitem(sys.modules, "own_verifiers", module)
    said = {"a": f"because of this and that {A}", "b": B}
    assert decide("verifier(score='own_verifiers.shortest')", said).answer == "7"


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_verifier_gives_a_finite_number(monkeypatch, score):
    import sys
    import types

    module = types.ModuleType("own_verifiers")
    module.odd = lambda question, response: score
    monkeypatch.setitem(sys.modules, "own_verifiers", module)
    with pytest.raises(DebateError, match=f"scored the message of a as {score}: a finite number"):
        decide("verifier(score='own_verifiers.odd')", {"a": A, "b": B})


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("mayority", "Did you mean 'majority'"),
        ("weighted(by='luck')", "unknown confidence 'luck'. Known: entropy, probability, stated"),
        ("verifier", "score"),
        ("belief_average", "tokenizers"),
        ("judge(who='a')", "It takes: agent"),
        ("cumulative(points=0)", "at least 1 point to share out; got points=0"),
        ("cumulative(points=-5)", "at least 1 point"),
    ],
)
def test_mistakes_are_sentences(rule, said):
    with pytest.raises(DebateError, match=said):
        decision_rule(rule)


# Three need a model beside them.
@pytest.mark.parametrize("rule", sorted(set(rules()) - {"verifier", "attended", "fused"}))
def test_every_rule_is_pure_and_blind_to_names(rule):
    def outcome(names):
        said = [dict(zip(names, round, strict=True)) for round in ([A, B, B, A], [A, A, B, "?"])]
        temperatures = {name: 0.1 + place / 10 for place, name in enumerate(names)}
        found = decision_rule(rule, lambda model, token: None)
        first, again = (found(Poll(transcript(*said), electorate(temperatures), extract)) for _ in range(2))
        assert first == again
        return first.answer

    assert outcome(["a", "b", "c", "d"]) == outcome(["z", "Y", "m", "b"])


@pytest.mark.parametrize("rule", sorted(set(rules()) - {"verifier", "attended", "fused"}))
def test_where_nobody_spoke_whose_answer_counts_there_is_a_sentence(rule):
    found = decision_rule(rule, lambda model, token: None)
    temperatures = {"a": 0.1, "b": 0.2, "host": 0.3}
    decision = found(Poll(transcript({"host": A}), Electorate(("a", "b"), temperatures), extract))
    assert decision.reason
    assert decision.answers == {"host": "4"}


def test_the_likeliest_text_is_so_by_its_own_model():
    def turn(agent, said, nats, tokens):
        return Turn(TurnKey(1, agent), text(said), (), 0, Usage(0, 0, tokens), "stop", log_likelihood=nats)

    # A token: −0.5, −0.4, −0.1; in all: −1, −4, −0.1. The likeliest of all has no answer.
    said = Transcript(Question("q", "?"), (turn("a", A, -1.0, 2), turn("b", B, -4.0, 10), turn("c", "?", -0.1, 1)))
    poll = Poll(said, electorate({"a": 0.1, "b": 0.2, "c": 0.3}), extract)
    assert decision_rule("likeliest")(poll).answer == "7"
    assert decision_rule("likeliest")(poll).reason == "b's text is the likeliest, -0.4 nats a token"
    assert decision_rule("likeliest(by='sum')")(poll).answer == "4"
    short = Transcript(Question("q", "?"), (turn("a", A, -0.7, 1), turn("b", B, -1.0, 2)))
    assert decision_rule("likeliest")(replace(poll, transcript=short)).reason.startswith(
        "b's text is the likeliest, -0.5"
    )
    sums = decision_rule("likeliest(by='sum')")(replace(poll, transcript=short))
    assert sums.reason == "a's text is the likeliest, -0.7 nats"
    silent = Transcript(Question("q", "?"), (turn("a", A, 0.0, 0), turn("b", B, -1.0, 2)))
    assert decision_rule("likeliest")(replace(poll, transcript=silent)).answer == "4"
    assert decide("likeliest", {"a": A}).reason == "no text has an answer and a likelihood"
    with pytest.raises(DebateError, match="by is 'max'; known: mean, sum"):
        decision_rule("likeliest(by='max')")


def test_whose_answers_count_is_said_and_not_guessed_from_temperatures():
    """Everyone has a temperature; only voters vote, and break ties."""
    temperatures = {"ada": 0.9, "ben": 0.5, "judge": 0.1}
    said = transcript({"ada": A, "ben": B, "judge": B})
    poll = Poll(said, Electorate(("ada", "ben"), temperatures), extract)
    assert (poll.voters, poll.by_temperature) == (("ada", "ben"), ("ben", "ada"))
    assert poll.answers == {"ada": "4", "ben": "7", "judge": "7"}
    assert decision_rule("majority")(poll).reason == "a tie of 2 answers, broken by the lowest temperature (ben)"
    assert decision_rule("lowest_temperature")(poll).reason == "ben has the lowest temperature, 0.5"
    assert decision_rule("judge")(poll).reason == "judge, who judges, said so"
    everyone = Poll(said, Electorate(("ada", "ben", "judge"), temperatures), extract)
    assert decision_rule("majority")(everyone).reason == "2 of 3 agents"


def test_rules_of_ones_own_take_a_poll_or_what_rules_took_before(monkeypatch, tmp_path):
    (tmp_path / "own_rules.py").write_text(
        "from debate.decision.decision import Decision\n"
        "def first(*, of=1):\n    return lambda poll: poll.decide(poll.answers[poll.voters[of - 1]], 'of a poll')\n"
        "def before():\n    def rule(transcript, temperatures, extract):\n"
        "        return Decision(extract(transcript.turns[0].message.text), ' '.join(temperatures), {})\n    return rule\n"
        "def neither():\n    return lambda transcript, extract: None\n"
        "def nothing():\n    return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    said = {"ada": A, "ben": B, "judge": A}
    assert decide("own_rules:first(of=2)", said).answer == "7"
    assert decide("own_rules:before", said).answer == "4"
    assert decide("own_rules:before", said).reason == "ada ben"
    for name in ("neither", "nothing"):
        with pytest.raises(
            DebateError, match=f"decision 'own_rules:{name}' makes no rule: a rule is a function of one arg"
        ):
            decision_rule(f"own_rules:{name}")
