"""A search or an adaptation goes on step by step: others go on beside it, and whoever is cancelled is through within a step."""

import asyncio
import threading
from collections import deque
from types import SimpleNamespace

import pytest
import torch

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers import heard
from agents.backends.transformers.backend import TransformersBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.row import Row, take_ended
from agents.message import Message

BEAM, HSO = "acbs(width=3)", "hso(steps=40, rate=0.01)"
PLAIN = Request(Prompt.of("Two and three?"), Sampling(temperature=0.9, max_tokens=6, seed=3, ignore_eos=True))


@pytest.fixture(scope="module")
def model(tiny) -> LoadedModel:
    return LoadedModel(tiny("llama"), name="tiny", dtype="float32", device="cpu", rows=4)


@pytest.fixture(scope="module")
def message(model) -> Message:
    """Return a CIPHER message of the model."""
    engine = Engine(model, max_num_seqs=4)
    row = engine.prepare(Request(Prompt.of("one"), Sampling(max_tokens=5, ignore_eos=True), "expectation"))
    finish(engine, row)
    return row.generation(model.fingerprint, model.tokenizer).message


def test_a_row_that_is_queued_while_ended_ones_are_taken_out_is_not_lost():
    """Requests come in on another thread than the engine's."""
    waiting, taken, count = deque(), [], 20_000
    rows = [SimpleNamespace(finish="cancelled" if place % 2 else None) for place in range(count)]

    def submit():
        for row in rows:
            waiting.append(row)

    thread = threading.Thread(target=submit)
    thread.start()
    while thread.is_alive():
        taken += take_ended(waiting)
    taken += take_ended(waiting)
    assert [id(row) for row in taken] == [id(row) for row in rows if row.finish]
    assert [id(row) for row in waiting] == [id(row) for row in rows if not row.finish]


def asked(decoding: str, message: Message) -> Request:
    return Request(Prompt.of("So: ", message, " and?"), Sampling(max_tokens=30, ignore_eos=True), decoding=decoding)


def finish(engine: Engine, *rows: Row) -> None:
    for row in rows:
        engine.add(row)
    while not engine.is_idle:
        engine.step()


@pytest.fixture
def pieces(model, monkeypatch) -> list[str]:
    """Return a list that grows with each step of a search and of an adaptation."""
    found: list[str] = []
    uncached, decode = heard.uncached, model.decode

    def read(*given):
        found.append("hso")
        return uncached(*given)

    def decoded(cache, inputs, positions, adapters=(), slots=None):
        if slots is not None:
            found.append("acbs")
        return decode(cache, inputs, positions, adapters, slots)

    monkeypatch.setattr(heard, "uncached", read)
    monkeypatch.setattr(model, "decode", decoded)
    return found


@pytest.mark.parametrize("decoding", [BEAM, HSO])
def test_one_that_is_cancelled_is_through_within_a_step_and_others_went_on_beside_it(model, message, pieces, decoding):
    engine = Engine(model, max_num_seqs=4)
    alone = engine.prepare(PLAIN)
    finish(engine, alone)
    slow, plain = engine.prepare(asked(decoding, message)), engine.prepare(PLAIN)
    engine.add(slow)
    engine.add(plain)
    for count in range(1, 4):
        assert engine.step() == []
        assert (plain.step, len(pieces)) == (count + 1, count), "a token more, and a piece more, each step"
    engine.cancel(slow)
    assert engine.step() == [slow]
    assert (slow.finish, len(pieces)) == ("cancelled", 3)
    finish(engine)
    assert len(pieces) == 3
    assert plain.ids == alone.ids
    generation = slow.generation(model.fingerprint, model.tokenizer)
    assert (generation.finish_reason, generation.message.text) == ("cancelled", "")


def test_what_waits_for_another_s_search_is_cancelled_too_and_the_next_is_taken_up(model, message, pieces):
    engine = Engine(model, max_num_seqs=4)
    rows = [engine.prepare(asked(decoding, message)) for decoding in (BEAM, HSO, BEAM)]
    whole = engine.prepare(asked(BEAM, message))
    finish(engine, whole)
    for row in rows:
        engine.add(row)
    engine.step()
    engine.cancel(rows[1])
    assert engine.step() == [rows[1]]
    engine.cancel(rows[0])
    assert engine.step() == [rows[0]]
    finish(engine)
    assert "hso" not in pieces
    assert (rows[2].ids, rows[2].finish, rows[2].decoded) == (whole.ids, "length", whole.decoded)


def test_the_model_is_as_it_was_between_two_steps_of_an_adaptation(model, message):
    engine = Engine(model, max_num_seqs=4)
    engine.add(engine.prepare(asked("hso(steps=3)", message)))
    engine.step()
    assert model.model.config._attn_implementation == model.mode.attention
    assert not torch.is_inference_mode_enabled()
    assert engine.apart.row is not None
    finish(engine)


@pytest.mark.parametrize("decoding", [BEAM, HSO])
def test_a_client_that_goes_away_frees_the_engine(tiny, model, message, monkeypatch, decoding):
    """Through the backend: the request ends as cancelled, the other as if it had been alone, and closing waits for no search."""
    monkeypatch.setattr("agents.backends.transformers.backend.LoadedModel", lambda *_, **__: model)

    async def play():
        backend = TransformersBackend(str(tiny("llama")), dtype="float32", max_num_seqs=4)
        alone = await backend.submit(PLAIN)
        slow, plain = backend.submit(asked(decoding, message)), backend.submit(PLAIN)
        async for _ in plain:
            slow.cancel()
        found = await slow, await plain, alone, backend.load.running
        left = backend.submit(asked(decoding, message))
        await asyncio.sleep(0)
        await backend.close()
        return *found, await left

    slow, plain, alone, running, left = asyncio.run(play())
    assert (slow.finish_reason, left.finish_reason, running) == ("cancelled", "cancelled", 0)
    assert plain.message.digest == alone.message.digest
