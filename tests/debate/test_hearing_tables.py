"""Two models of one tokenizer and different tables: a hearer gets the whole belief on its own table, whatever the temperature."""

import asyncio
from dataclasses import replace

import pytest
import torch

from agents.errors import ConfigError, MessageMismatch
from agents.message import Message
from agents.message_file import from_bytes, to_bytes
from agents.question import Question
from agents.rerender import rerender
from debate.build import build_debate
from debate.config.load import validate
from debate.orchestrator import play
from debate.run_folder.folder import RunFolder
from debate.run_folder.reader import read_method
from debate.run_folder.turn_record import Cost
from debate.runtime.backends import Backends

QUESTION = Question("q1", "What is the result of 4+2*5+7-3*6?")


def config(*, first=0.15, second=1.75, **more):
    raw = {
        "model": "tiny/dee", "backend": "transformers", "dtype": "float32", "prompts": "tiny", "format": "plain", "rounds": 2,
        "message": "cipher", "max_tokens": 12, "seed": 3,
        "agents": {"dee": {"temperature": first}, "eve": {"temperature": second, "model": "tiny/eve"}},
    }  # fmt: skip
    return validate({**raw, **more}, source="x")


@pytest.fixture(scope="module")
def engines():
    """Both engines, and the debate between them."""
    made = Backends(config())
    yield made
    asyncio.run(made.close())


def played(settings, engines, before=None):
    """Return the debate and its transcript."""
    debate = build_debate(settings, engines)
    return debate, asyncio.run(play(debate, QUESTION, before=before))


@torch.inference_mode()
def whole_beliefs(sender, prompt, steps, temperature, table):
    """Return the vectors [T, D'] of a message on another table: in float64, without a cache."""
    own = sender.table.weight
    x, heard = own[torch.tensor(prompt)][None], []
    for _ in range(steps):
        logits = sender.engine.model.model(inputs_embeds=x, use_cache=False).logits[0, -1]
        p = torch.softmax(logits.double() / temperature, 0)
        heard.append(p @ table.double())
        x = torch.cat([x, (p @ own.double()).to(x.dtype)[None, None]], 1)
    return torch.stack(heard)


@pytest.mark.parametrize("temperature", [0.15, 1.75])
def test_a_hearer_gets_all_probabilities_averaged_over_its_table(engines, temperature):
    debate, transcript = played(config(first=temperature, second=temperature, top_beliefs=1), engines)
    for speaker, hearer in (("dee", "eve"), ("eve", "dee")):
        message = next(turn.message for turn in transcript.turns if (turn.key.agent, turn.key.round) == (speaker, 1))
        sender, receiver = debate.agents[speaker].backend.inner, debate.agents[hearer].backend.inner
        assert sender.fingerprint.same_tokenizer(receiver.fingerprint)
        assert not sender.fingerprint.same_table(receiver.fingerprint)
        prompt = sender.tokenizer(f"{QUESTION.text}\nSolution:").input_ids
        exact = whole_beliefs(sender, prompt, message.num_tokens, temperature, receiver.table.weight)
        heard = rerender(message, receiver.table.weight, receiver.fingerprint)
        # Twelve steps feed back in float32; what the kept belief alone renders is off by a hundred times as much.
        torch.testing.assert_close(heard.double(), exact, rtol=0, atol=2e-5 * float(exact.abs().max()))


def test_what_was_heard_is_kept_so_that_a_resumed_run_is_the_same(engines, tmp_path):
    settings = config(top_beliefs=1)
    _, transcript = played(settings, engines)
    with RunFolder(tmp_path / "run", settings) as folder:
        method = folder.method("m")
        method.open(1, len(transcript.turns))
        method.begin(QUESTION)
        for turn in transcript.turns[:2]:
            method.append_turn(QUESTION, turn, Cost(0.1, "transformers", 1))
    (found,) = read_method(tmp_path / "run" / "m")
    _, again = played(settings, engines, before={turn.key: turn for turn in found.transcript.turns})
    assert again == transcript
    message = transcript.turns[0].message
    assert list(from_bytes(to_bytes(message)).cipher.rendered) == list(message.cipher.rendered) != []


def test_a_part_of_a_message_is_heard_on_the_other_table_too(engines):
    topology = {"generator": "complete", "edges": [{"from": "dee", "to": "eve", "first_tokens": 3}]}
    _, transcript = played(config(top_beliefs=1, topology=topology), engines)
    assert len(transcript.turns) == 4


def test_a_message_that_was_not_meant_for_a_table_is_rendered_from_what_it_keeps(engines):
    debate, _ = played(config(second=1.75), engines)
    eve = debate.agents["eve"].backend.inner
    settings = config(agents={"eve": {"temperature": 1.75, "model": "tiny/eve"}}, rounds=1, top_beliefs=1)
    _, alone = played(settings, engines)
    message: Message = alone.turns[0].message
    assert not message.cipher.rendered
    dee = debate.agents["dee"].backend.inner
    assert rerender(message, eve.table.weight, eve.fingerprint) is not None
    with pytest.raises(MessageMismatch, match="Send with a larger top_beliefs"):
        rerender(message, dee.table.weight, dee.fingerprint)


def test_debaters_of_one_table_are_rendered_for_once(engines):
    settings = config(agents={"a": {"temperature": 0.4}, "b": {"temperature": 0.9}})
    debate, transcript = played(settings, engines)
    assert not debate.tables
    assert not any(turn.message.cipher.rendered for turn in transcript.turns)


def test_where_an_engine_takes_no_part_in_rendering_it_is_refused(engines, monkeypatch):
    debate, _ = played(config(), engines)
    dee, eve = (debate.agents[name].backend.inner for name in ("dee", "eve"))
    with monkeypatch.context() as patch:
        patch.setattr(eve, "table", None)
        with pytest.raises(
            ConfigError,
            match="eve hears dee on another table of the same tokenizer, and eve's backend does not give it",
        ):
            build_debate(config(), engines)
        # Beliefs that are kept whole are the whole belief.
        build_debate(config(top_beliefs=dee.fingerprint.vocabulary), engines)
    with monkeypatch.context() as patch:
        patch.setattr(type(dee), "capabilities", replace(dee.capabilities, renders=False))
        with pytest.raises(
            ConfigError, match="dee's backend does not render for it: it would hear the 8 likeliest tokens"
        ):
            build_debate(config(), engines)
    build_debate(config(message="text"), engines)
