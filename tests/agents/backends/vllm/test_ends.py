"""Every end token that a model's folder names ends a message, in text and in vectors, as in the transformers engine."""

import asyncio
import json
import shutil

import pytest
from support.plain_loops import say

from agents.backend import Prompt, Request, Sampling
from agents.backends.vllm.in_process import within
from agents.backends.vllm.survey import OPTIONS
from agents.registry import create_backend

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
TOKENS = 8


def requests(**sampling):
    """Return greedy requests for text and for vectors after the same prompts."""
    return [
        Request(Prompt.of(text), Sampling(temperature=0.0, max_tokens=TOKENS, **sampling), encoder)
        for text in ("Hi", "What is it?")
        for encoder in (None, "expectation")
    ]


def test_each_token_of_a_list_ends_a_message(tiny, tmp_path, expected):
    whole = [generation.message.token_ids for generation in expected(requests(ignore_eos=True))]
    # The third token of the first answer, one of the second, and one that nobody says.
    unsaid = next(token for token in range(258) if not any(token in ids for ids in whole))
    ends = [unsaid, whole[2][4], whole[0][2]]
    folder = shutil.copytree(tiny("llama-wide"), tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    with within():
        backend = create_backend("vllm", model=str(folder), dtype="float32", **OPTIONS)
    try:
        found, unended = say(backend, requests()), say(backend, requests(ignore_eos=True))
    finally:
        asyncio.run(backend.close())
    own = expected(requests(), folder)
    assert [generation.message.token_ids for generation in unended] == whole
    for one, other, ids in zip(found, own, whole, strict=True):
        place = min((ids.index(end) for end in ends if end in ids), default=TOKENS)
        assert one.message.token_ids == other.message.token_ids == ids[:place]
        assert one.finish_reason == other.finish_reason == ("stop" if place < TOKENS else "length")
    assert {len(generation.message.token_ids) for generation in found} < set(range(TOKENS))
