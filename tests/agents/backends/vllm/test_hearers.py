"""A message for one with another table of the same tokenizer: vLLM's worker renders it as the transformers engine does."""

import asyncio
from dataclasses import replace

import pytest
import torch
from support.plain_loops import say
from support.vllm_engine import Lent

from agents.backend import Prompt, Request, Sampling
from agents.hearing_table import HearingTable
from agents.question import Question
from agents.registry import create_backend
from agents.rerender import rerender
from debate.build import build_debate
from debate.config.load import validate
from debate.orchestrator import play
from debate.runtime.backends import Backends
from kernels import EmbeddingTable
from kernels.content import RENDERED_CONTENTS

# vLLM and what it imports warn of their own affairs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
SETTINGS = {"dtype": "float32"}


@pytest.fixture(scope="module")
def other(tiny):
    """The transformers engine of another model with the same tokenizer, which hears."""
    backend = create_backend("transformers", model=str(tiny("llama-wide", seed=1)), **SETTINGS)
    yield backend
    asyncio.run(backend.close())


@pytest.fixture(scope="module")
def same(tiny):
    """The transformers engine of the model that vLLM holds."""
    backend = create_backend("transformers", model=str(tiny("llama-wide")), **SETTINGS)
    yield backend
    asyncio.run(backend.close())


def requests(hearer, count=3):
    table = (HearingTable(hearer.fingerprint, hearer.table),)
    for encoder in ("expectation", "topk(k=5)", "gumbel(tau=0.5)"):
        for number in range(count):
            sampling = Sampling(temperature=1.75, max_tokens=9 + number, seed=number, top_beliefs=1, ignore_eos=True)
            yield Request(Prompt.of(f"A sum, number {number}: "), sampling, encoder=encoder, hearers=table)


def test_vllm_renders_for_a_hearer_as_the_transformers_engine_does(cramped, same, other):
    asked = list(requests(other))
    # Beside one that nobody on another table hears, in the same steps.
    alone = Request(asked[0].prompt, asked[0].sampling, encoder="expectation")
    *said, unheard = say(cramped, [*asked, alone])
    name = other.fingerprint.table
    for one, two in zip(said, say(same, asked), strict=True):
        assert list(one.message.cipher.rendered) == [name]
        mine, theirs = one.message.cipher.rendered[name], two.message.cipher.rendered[name]
        assert mine.shape == theirs.shape == (len(one.message.token_ids), other.fingerprint.width)
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))
        assert torch.equal(rerender(one.message, other.table.weight, other.fingerprint), mine)
    # Kept beliefs of one token would have rendered to something else, and are refused.
    assert not unheard.message.cipher.rendered
    assert cramped.state()["blocks"] == 0


def test_vllm_renders_controls_as_the_transformers_engine_does(cramped, same, other):
    def asked():
        for number, content in enumerate(RENDERED_CONTENTS):
            tables = tuple(HearingTable(one.fingerprint, one.table, content) for one in (cramped, other))
            sampling = Sampling(temperature=1.75, max_tokens=9 + number, seed=number, top_beliefs=1, ignore_eos=True)
            yield Request(Prompt.of(f"A sum, number {number}: "), sampling, encoder="expectation", hearers=tables)

    wanted = list(asked())
    plain = replace(wanted[0], hearers=())
    *said, intact = say(cramped, [*wanted, plain])
    for content, one, two in zip(RENDERED_CONTENTS, said, say(same, wanted), strict=True):
        names = [f"{content}:{backend.fingerprint.table}" for backend in (cramped, other)]
        assert list(one.message.cipher.rendered) == names
        for name in names:
            mine, theirs = one.message.cipher.rendered[name], two.message.cipher.rendered[name]
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))
    # What is said is not touched.
    first = replace(said[0].message.cipher, rendered={})
    assert {name: tensor.tolist() for name, tensor in first.tensors().items()} == {
        name: tensor.tolist() for name, tensor in intact.message.cipher.tensors().items()
    }
    assert cramped.state()["blocks"] == 0


def test_the_table_that_others_speak_on_is_the_models(cramped, same):
    assert torch.equal(cramped.table.weight, same.table.weight)
    # The transformers engine renders for a hearer on vLLM.
    asked = list(requests(cramped, count=1))
    assert {len(one.message.cipher.rendered) for one in say(same, asked)} == {1}


def test_a_request_whose_table_the_worker_was_not_given_says_so():
    from agents.backends.vllm.directive import Directive
    from agents.backends.vllm.speaker import Speaker, WholeTable
    from agents.errors import BackendFailed

    speaker = Speaker(WholeTable(EmbeddingTable(torch.eye(6))), torch.device("cpu"), num_tokens=6)
    speaker.begin("r", Directive("expectation", "k", hearers=("abcdef012",)), temperature=1.0, seed=0, prompt_length=1)
    speaker.say(torch.randn(1, 6), ["r"], [0])
    with pytest.raises(BackendFailed, match="was not given the table abcdef01 of one who hears it"):
        speaker.take("k", 1)


def test_two_models_debate_on_vllm_and_transformers(cramped, other, tiny):
    raw = {
        "model": str(tiny("llama-wide")), "backend": "vllm", "dtype": "float32", "prompts": "open", "format": "plain",
        "rounds": 2, "message": "cipher", "max_tokens": 6, "top_beliefs": 1,
        "agents": {
            "ada": {"temperature": 0.6},
            "ben": {"temperature": 1.5, "backend": "transformers", "model": str(tiny("llama-wide", seed=1))},
        },
    }  # fmt: skip
    warned = []
    engines = Backends(validate(raw, source="x"), warned.append)
    engines._engines = lambda name, model, options: Lent(cramped) if name == "vllm" else other
    debate = build_debate(validate(raw, source="x"), engines)
    transcript = asyncio.run(play(debate, Question("q", "Say something.")))
    assert len(transcript.turns) == 4
    for turn in transcript.turns[:2]:
        hearer = {"ada": other, "ben": cramped}[turn.key.agent]
        assert list(turn.message.cipher.rendered) == [hearer.fingerprint.table]
    assert not any("do not render" in sentence for sentence in warned)
