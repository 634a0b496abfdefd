"""`reduce:` in a debate: what is heard, what the journal says of it, and what cannot be."""

import pytest

from agents.errors import ConfigError, UnknownName
from agents.message import Message
from agents.reduction import reduced
from debate.build import build_debate
from debate.preview.facts import facts
from debate.preview.heard import most_heard
from debate.protocol.exchange import build_exchange
from debate.run_folder.reader import read_method
from debate.run_folder.turn_record import Cost, read_turn, turn_record
from debate.runtime.backends import Backends
from debate.transcript import turn_fields
from evals.evaluation import Selection, evaluate
from evals.methods import method_config

AGENTS = {"ada": {"temperature": 0.4}, "ben": {"temperature": 0.9}}
HALF = "drop(keep=0.5, by=entropy)"


def heard_messages(requests):
    """Return the CIPHER messages of others in each prompt, by request."""
    return [
        [part for turn in request.prompt.turns for part in turn.parts if isinstance(part, Message)]
        for request in requests
    ]


def test_fewer_positions_stand_in_the_prompt_and_ones_own_message_whole(config, played):
    _, transcript, requests = played(config(agents=AGENTS, reduce=HALF, rounds=2))
    said = {(turn.key.round, turn.key.agent): turn for turn in transcript.turns}
    prompts = {request.sampling.seed: heard for request, heard in zip(requests, heard_messages(requests), strict=True)}
    for turn in transcript.turns[2:]:
        heard = prompts[turn.seed]
        ((key, told),) = turn.reduced
        other, own = said[key.round, key.agent].message, said[1, turn.key.agent].message
        assert (told.rule, told.before) == ("drop(keep=0.5, by='entropy')", other.num_tokens)
        assert told.after == (other.num_tokens + 1) // 2
        lengths = [message.num_tokens for message in heard]
        assert lengths == [told.after, own.num_tokens]
        assert heard[1] == own
        # What was heard can be made again of what was said and of what the journal says.
        assert heard[0].digest == told.digest
        assert reduced(other, told.groups).cipher.vectors.equal(heard[0].cipher.vectors)


@pytest.mark.parametrize("rule", ["merge(keep=1)", "drop(keep=1, by=random)"])
def test_all_positions_are_the_same_debate(config, played, rule):
    _, plain, asked = played(config(agents=AGENTS))
    _, whole, also_asked = played(config(agents=AGENTS, reduce=rule))
    assert [turn.message.digest for turn in whole.turns] == [turn.message.digest for turn in plain.turns]
    assert [r.prompt for r in asked] == [r.prompt for r in also_asked]
    assert all(told.before == told.after for turn in whole.turns for _, told in turn.reduced)
    assert [len(turn.reduced) for turn in whole.turns] == [0, 0, 1, 1, 1, 1]
    assert not any(turn.reduced for turn in plain.turns)


def test_an_edge_wins_over_the_debate_and_none_is_none(config, played):
    edges = [{"from": "ada", "to": "ben", "reduce": "merge(keep=0.25)"}, {"from": "cy", "to": "ben", "reduce": "none"}]
    agents = {**AGENTS, "cy": {}}
    settings = config(agents=agents, reduce=HALF, rounds=2, topology={"generator": "complete", "edges": edges})
    _, transcript, _ = played(settings)
    found = {(turn.key.agent, key.agent): told.rule for turn in transcript.turns for key, told in turn.reduced}
    half = "drop(keep=0.5, by='entropy')"
    assert found == {
        ("ada", "ben"): half, ("ada", "cy"): half, ("ben", "ada"): "merge(keep=0.25)", ("cy", "ada"): half, ("cy", "ben"): half,
    }  # fmt: skip


def test_a_journal_says_what_was_heard_and_is_read_back(config, tmp_path, run):
    rows = {"half": {"reduce": HALF}, "merged": {"reduce": "merge(keep=0.3)"}}
    settings = config(agents=AGENTS, rounds=3, methods=rows, task="arithmetic")
    run(evaluate(settings, out=tmp_path / "run", methods=["half", "merged"], selection=Selection(limit=2)))
    for name in rows:
        for debate in read_method(tmp_path / "run" / name):
            said = {turn.key: turn for turn in debate.transcript.turns}
            told = [(turn, key, one) for turn in debate.transcript.turns for key, one in turn.reduced]
            assert len(told) == 4
            for turn, key, one in told:
                assert key in turn.heard
                assert reduced(said[key].message, one.groups).num_tokens == one.after
                assert turn_fields(turn)["reduced"] == [f"{key.round}/{key.agent}: {one.before} to {one.after}"]


def test_a_record_of_a_reduction_that_cannot_be_is_refused(config, played):
    from agents.errors import RunError

    class Kept:
        def get(self, digest):
            return transcript.turns[-1].message

    _, transcript, _ = played(config(agents=AGENTS, reduce="merge(keep=0.5)"))
    record = turn_record(transcript.turns[-1], Cost(0.1))
    assert read_turn(record, Kept()) == transcript.turns[-1]
    (told,) = record["reduced"]
    places, last = told["positions"], told["before"] - 1
    for change in (
        {"after": told["after"] + 1}, {"positions": [-1]}, {"before": "x"}, {"of": [1]}, {"positions": 3},
        {"before": last}, {"positions": [*places[:-1], last + 1]}, {"positions": [*places[:-1], []]},
        {"positions": places[::-1]}, {"positions": [places[1], *places[1:]]}, {"positions": [[1, 0], *places[1:]]},
        {"positions": [[0, 0], *places[1:]]},
        {"positions": [], "after": 0}, {"rule": "shrink(keep=0.5)"}, {"rule": "merge"}, {"rule": "none"}, {"rule": "("},
        {"digest": told["digest"][:-1]}, {"digest": told["digest"].upper()}, {"digest": "g" * 64}, {"digest": 3},
    ):  # fmt: skip
        with pytest.raises(RunError, match="a turn in the journal is none that a run writes"):
            read_turn({**record, "reduced": [{**told, **change}]}, Kept())


@pytest.mark.parametrize("control", ["swapped", "silence", "echo", "tail"])
def test_a_control_is_not_reduced(config, control):
    edge = {"from": "ada", "to": "ben"}
    generated = {"generator": "complete"}
    for keys, where in (
        ({"reduce": HALF, "content": control}, "reduce"),
        (
            {"reduce": HALF, "topology": {**generated, "edges": [{**edge, "content": control}]}},
            "topology.edges.0.reduce",
        ),
        (
            {"content": control, "topology": {**generated, "edges": [{**edge, "reduce": HALF}]}},
            "topology.edges.0.reduce",
        ),
    ):
        with pytest.raises(ConfigError, match=f"^{where}: drop.* and content: {control} on one edge"):
            build_exchange(config(agents=AGENTS, **keys))
    # One of them left out, by the edge or by a row.
    for keys in (
        {"reduce": HALF, "topology": {**generated, "edges": [{**edge, "content": control, "reduce": "none"}]}},
        {"content": control, "topology": {**generated, "edges": [{**edge, "content": "intact", "reduce": HALF}]}},
        {"reduce": "none", "content": control},
    ):
        build_exchange(config(agents=AGENTS, **keys))
    rows = config(agents=AGENTS, reduce=HALF, methods={"row": {"content": control, "reduce": "none"}})
    build_exchange(method_config(rows, "row"))


def test_what_is_heard_as_text_is_left_whole(config, played):
    judged = {**AGENTS, "judge": {"role": "judge"}}
    topology = {"generator": "complete", "edges": [{"from": ["ada", "ben"], "to": "judge", "message": "text"}]}
    _, transcript, _ = played(config(agents=judged, reduce=HALF, topology=topology, rounds=2, decision="judge"))
    assert [len(turn.reduced) for turn in transcript.turns] == [0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"reduce": "drop(keep=2)"}, "keep is a share above 0 and at most 1; got 2"),
        ({"reduce": "shrink(keep=0.5)"}, "unknown reduction 'shrink'"),
        (
            {"topology": {"edges": [{"from": "ada", "to": "ben", "reduce": HALF, "message": "text"}]}},
            r"topology.edges.0.reduce: drop\(keep=0.5, by=entropy\) drops or merges positions .* heard as text",
        ),
        (
            {"topology": {"edges": [{"from": "ada", "to": "ben", "reduce": HALF, "message": "both"}]}},
            "this edge is heard as both",
        ),
        (
            {"topology": {"edges": [{"from": "ada", "to": "ben", "reduce": HALF, "seen": "answers"}]}},
            r"topology.edges.0.reduce: .* shows answers only \(seen: answers\)",
        ),
        (
            {"reduce": HALF, "topology": {"generator": "complete", "message": "both"}},
            r"the message is read beside its vectors \(message: both\)",
        ),
        ({"topology": {"edges": [{"from": "ada", "to": "ben", "reduce": "halve"}]}}, "topology.edges.0.reduce"),
    ],
)
def test_what_cannot_be_reduced_is_a_sentence_before_anything_is_said(config, keys, sentence):
    made = config(agents=AGENTS, **keys)
    with pytest.raises((ConfigError, UnknownName), match=sentence):
        build_debate(made, Backends(made))


def test_a_debate_in_text_is_heard_whole_and_says_so(config, played, monkeypatch):
    told = []
    monkeypatch.setattr(Backends, "warn", lambda self, sentence: told.append(sentence))
    _, transcript, _ = played(config(agents=AGENTS, message="text", reduce=HALF))
    assert not any(turn.reduced for turn in transcript.turns)
    assert ["nobody here hears vectors: all is heard whole" in sentence for sentence in told] == [True]
    played(config(agents=AGENTS, reduce=HALF))
    assert len(told) == 1


def test_a_row_may_reduce_and_a_single_answer_hears_nothing(config):
    made = config(agents=AGENTS, methods={"half": {"reduce": HALF}}, reduce="merge(keep=0.75)")
    assert method_config(made, "half").reduce == HALF
    single = method_config(made, "single")
    build_debate(single, Backends(single))


def test_what_is_heard_is_counted_beforehand(config):
    plain, half = (config(agents=AGENTS, max_tokens=41, **keys) for keys in ({}, {"reduce": HALF}))
    heard = [facts(one, build_exchange(one)).heard_tokens for one in (plain, half)]
    # Four messages of others, each of at most 41 tokens, of which 21 are heard; four of one's own.
    assert heard == [4 * 41 + 4 * 41, 4 * 21 + 4 * 41]


def test_what_is_heard_whole_is_counted_whole(config):
    """Ben speaks text, cy hears no vectors: of the six deliveries of a second round one is reduced."""
    agents = {"ada": {}, "ben": {"encoder": "none"}, "cy": {"backend": "openai", "model": "gpt", "encoder": "none"}}
    made = config(agents=agents, max_tokens=41, rounds=2, reduce=HALF)
    exchange = build_exchange(made)
    # Ada is heard by ben in vectors and by cy in text; ben and cy say text, which ada, ben and cy hear whole.
    assert facts(made, exchange).heard_tokens == 21 + 5 * 41 + 3 * 41
    two = {turn.agent: most_heard(made, exchange, turn, inbox) for turn, inbox in exchange.planned.plan.items()}
    assert two == {"ada": 2 * 41, "ben": 21 + 41, "cy": 2 * 41}


def test_what_may_not_map_is_counted_whole(config, tmp_path):
    """Between two tokenizers too little of a message may map, and then its whole text is heard."""
    for name, content in (("one", "{}"), ("same", "{}"), ("other", '{"model": {}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "tokenizer.json").write_text(content)

    def heard(one, other):
        agents = {"ada": one, "ben": other}
        made = config(backend="transformers", agents=agents, max_tokens=40, rounds=2, reduce=HALF)
        return facts(made, build_exchange(made)).heard_tokens - 2 * 40

    one, same, other = ({"model": str(tmp_path / name)} for name in ("one", "same", "other"))
    assert heard(one, one) == heard(one, same) == 2 * 20
    assert heard(one, other) == heard(other, one) == 2 * 40
    # Of a mock, and of one that is not here yet, nothing tells that it is the same.
    assert heard(one, {"backend": "mock"}) == heard(one, {"model": "somebody/elses"}) == 2 * 40
    assert heard({"backend": "mock"}, {"backend": "mock", "options": {"seed": 3}}) == 2 * 20
