"""Controls on edges: the hearer gets another thing, the speaker is left alone, and the journal says which."""

import asyncio
import json

import pytest
import torch

from agents.errors import ConfigError
from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.contents import controlled_edges
from debate.orchestrator import play
from debate.run_folder.folder import RunFolder
from debate.run_folder.reader import read_method
from debate.run_folder.turn_record import Cost
from debate.runtime.backends import Backends
from debate.transcript import TurnKey
from kernels.content import CONTENTS, RENDERED_CONTENTS

QUESTIONS = [Question(f"q{n}", f"What is the result of {n}+2*5+7-3*6?") for n in (4, 8, 9)]
FIRST, OTHER = QUESTIONS[:2]


def config(**more):
    raw = {
        "model": "tiny/dee", "backend": "transformers", "dtype": "float32", "prompts": "tiny", "format": "plain", "rounds": 2,
        "message": "cipher", "max_tokens": 16, "seed": 3, "topology": "complete",
        "agents": {"ada": {"temperature": 0.3}, "ben": {"temperature": 1.5}},
    }  # fmt: skip
    return validate({**raw, **more}, source="x")


@pytest.fixture(scope="module")
def engines():
    made = Backends(config())
    yield made
    asyncio.run(made.close())


@pytest.fixture(scope="module")
def intact(engines):
    """The transcripts of the debates without controls, by question."""
    debate = build_debate(config(), engines)
    return {question.id: asyncio.run(play(debate, question)) for question in QUESTIONS}


def played(engines, question=FIRST, before=None, **more):
    debate = build_debate(config(**more), engines, questions=QUESTIONS)
    return asyncio.run(play(debate, question, before=before))


def said(transcript, round, agent):
    return next(turn for turn in transcript.turns if turn.key == TurnKey(round, agent))


def test_intact_is_no_control_byte_for_byte(engines, intact, tmp_path):
    assert played(engines, content="intact") == intact[FIRST.id]
    assert config(content="intact").model_dump() == config().model_dump()
    assert "content" not in config().model_dump()


@pytest.mark.parametrize("content", [name for name in CONTENTS if name != "intact"])
def test_a_control_changes_what_is_heard_and_nothing_that_is_said_before(content, engines, intact):
    transcript = played(engines, content=content)
    for agent, other in (("ada", "ben"), ("ben", "ada")):
        before, without = said(transcript, 1, agent), said(intact[FIRST.id], 1, agent)
        assert torch.equal(before.message.cipher.vectors, without.message.cipher.vectors)
        assert not before.controls
        ((heard, control),) = said(transcript, 2, agent).controls
        assert (heard, control.content) == (TurnKey(1, other), content)
        assert control.question == (OTHER.id if content == "swapped" else "")
        names = [f"{content}:{before.message.model.table}"] if content in RENDERED_CONTENTS else []
        assert list(before.message.cipher.rendered) == names
    if content not in ("top1", "shuffled-tail"):
        # These two differ little from the message; the others must tell.
        assert any(
            said(transcript, 2, agent).message.text != said(intact[FIRST.id], 2, agent).message.text
            or not torch.equal(
                said(transcript, 2, agent).message.cipher.vectors,
                said(intact[FIRST.id], 2, agent).message.cipher.vectors,
            )
            for agent in ("ada", "ben")
        )


def heard_by(engines, agent, **more):
    """Return what an agent hears in round 2."""
    debate = build_debate(config(**more), engines, questions=QUESTIONS)

    async def look():
        transcript = await play(debate, FIRST)
        turns = {turn.key: turn for turn in transcript.turns}
        inbox = debate.protocol.inbox(TurnKey(2, agent))
        return debate.heard(inbox, debate.agents[agent], turns, await debate.donated(FIRST, inbox))

    (one,) = asyncio.run(look())
    return one.content


def test_what_stands_in_the_messages_place(engines, intact):
    message = said(intact[FIRST.id], 1, "ben").message
    table = build_debate(config(), engines).agents["ada"].backend.table.weight
    top1 = heard_by(engines, "ada", content="top1")
    # At the steps where the nearest token is the likeliest, which text would say.
    agreed = message.cipher.nearest == message.cipher.top_ids[:, 0]
    assert torch.equal(top1.cipher.vectors[agreed], table[message.cipher.nearest][agreed])
    assert torch.equal(top1.cipher.vectors, table[message.cipher.top_ids[:, 0]])
    assert heard_by(engines, "ada", content="silence") == ""
    assert heard_by(engines, "ada", content="echo") == said(intact[FIRST.id], 1, "ada").message
    assert heard_by(engines, "ada", content="swapped") == said(intact[OTHER.id], 1, "ben").message
    noise = heard_by(engines, "ada", content="noise").cipher.vectors
    torch.testing.assert_close(noise.norm(dim=1), message.cipher.vectors.norm(dim=1), rtol=1e-5, atol=0)


def test_the_donors_are_a_derangement_of_the_run(engines):
    from debate.donors import donors

    found = donors(QUESTIONS).of
    assert {name: other.id for name, other in found.items()} == {"q4": "q8", "q8": "q9", "q9": "q4"}
    twice = [QUESTIONS[0], Question("again", QUESTIONS[0].text), QUESTIONS[1]]
    assert all(other.text != question.text for question in twice for other in [donors(twice).of[question.id]])


def test_one_edge_alone(engines, intact):
    edge = {"from": "ada", "to": "ben", "content": "silence"}
    transcript = played(engines, topology={"generator": "complete", "edges": [edge]})
    assert said(transcript, 2, "ada") == said(intact[FIRST.id], 2, "ada")
    assert [control.content for _, control in said(transcript, 2, "ben").controls] == ["silence"]


def test_controls_of_texts(engines):
    text = {"message": "text", "rounds": 2}
    plain = played(engines, **text)
    for content in ("swapped", "silence", "echo"):
        transcript = played(engines, **text, content=content)
        assert transcript.turns[0] == plain.turns[0]
        assert said(transcript, 2, "ada").usage.prompt_tokens <= said(plain, 2, "ada").usage.prompt_tokens + 16
    assert (
        said(played(engines, **text, content="silence"), 2, "ada").usage.prompt_tokens
        < said(plain, 2, "ada").usage.prompt_tokens
    )


def test_the_same_whatever_shares_the_batch(engines):
    debate = build_debate(config(content="shuffled-tail"), engines, questions=QUESTIONS)

    async def together():
        return await asyncio.gather(*(play(debate, question) for question in QUESTIONS))

    assert asyncio.run(together())[0] == played(engines, content="shuffled-tail")


@pytest.mark.parametrize("content", ["hull-noise", "swapped"])
def test_a_run_keeps_its_controls_and_goes_on(content, engines, tmp_path):
    settings = config(content=content)
    transcript = played(engines, content=content)
    with RunFolder(tmp_path / "run", settings) as folder:
        method = folder.method("m")
        method.open(1, len(transcript.turns))
        method.begin(FIRST)
        for turn in transcript.turns[:3]:
            method.append_turn(FIRST, turn, Cost(0.1, "transformers", 1))
    (found,) = read_method(tmp_path / "run" / "m")
    assert found.transcript.turns == transcript.turns[:3]
    assert found.transcript.turns[2].controls == transcript.turns[2].controls
    records = [
        json.loads(line.split(b" ", 1)[1]) for line in (tmp_path / "run" / "journal.log").read_bytes().splitlines()
    ]
    kept = [record.get("controls") for record in records if record["kind"] == "turn"]
    other = [OTHER.id] if content == "swapped" else []
    assert kept == [None, None, [[1, "ben", content, *other]]]
    assert played(engines, content=content, before={turn.key: turn for turn in transcript.turns[:3]}) == transcript


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"content": "top1", "message": "text"},
            "top1 on ben to ada: it is made of beliefs, and a text has none; take swapped",
        ),
        ({"content": "tail", "agents": {"ada": {"temperature": 0}, "ben": {}}}, "tail on ada to ben: at temperature 0"),
        (
            {"topology": {"generator": "complete", "message": "both"}, "content": "noise"},
            "noise on ben to ada: the message is read beside its vectors",
        ),
        ({"content": "echo", "protocol": "one_by_one"}, "echo on ada to ben: ben has said nothing yet"),
        ({"content": "top1", "encoder": "partial-max(published=true)"}, "are no distribution; take another encoder"),
        (
            {"content": "top1", "agents": {"ada": {}, "eve": {"role": "random"}}},
            "top1 on eve to ada: .* and eve is none",
        ),
        (
            {"content": "silence", "topology": {"edges": [{"from": "ada", "to": "ben", "seen": "answers"}]}},
            "silence on ada to ben: the edge shows answers only",
        ),
    ],
)
def test_what_cannot_be_a_control_is_refused_in_a_sentence(more, sentence, engines):
    with pytest.raises(ConfigError, match=sentence):
        build_debate(config(**more), engines, questions=QUESTIONS)


def test_swapping_needs_two_questions(engines):
    with pytest.raises(ConfigError, match="swapped hears what was said about another question, and the run has one"):
        build_debate(config(content="swapped"), engines, questions=QUESTIONS[:1])
    assert not list(controlled_edges(_exchange(config())))


def _exchange(settings):
    from debate.protocol.exchange import build_exchange

    return build_exchange(settings)
