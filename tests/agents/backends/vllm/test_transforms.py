"""A transformed copy on vLLM: in float32 it says what it says on the transformers backend, and ends where its folder says.

One engine, of one copy by a chain of removed heads, factors and rounded maps, serves the quick tests of this file.
"""

import asyncio
import json
import shutil
from types import SimpleNamespace

import pytest
from support.plain_loops import say
from support.vllm_engine import engine

from agents.backend import Prompt, Request, Sampling
from agents.backends.vllm.in_process import within
from agents.backends.vllm.survey import OPTIONS
from agents.pretrained import locate
from agents.prompts import Prompts
from agents.registry import create_backend
from agents.transforms.folder import transform_folder
from agents.transforms.recipe import parse_recipe
from debate.config.shipped import prompts_folder
from evals.task import create_task

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
PRUNED = "tiny/dee | optin(macs=0.5, uniform=True, rows=4, tokens=64, group=64, calibration='sums')"
CHAIN = (
    # A budget that two of two heads do not fit into.
    "optin(macs=0.4, uniform=True, group=8, rows=2, length=12)",
    "dsformer(ratio=1.5, rounds=1)",
    "repquant(bits=8, rows=2, length=12)",
)
TOKENS = 8


def requests(**sampling):
    """Return greedy requests for text and for vectors after the same prompts."""
    return [
        Request(Prompt.of(text), Sampling(temperature=0.0, max_tokens=TOKENS, **sampling), encoder)
        for text in ("Hi", "What is it?")
        for encoder in (None, "expectation")
    ]


@pytest.fixture(scope="module")
def copied(tiny, tmp_path_factory, expected):
    """A copy whose base's folder names three end tokens, what it says without them, and a vLLM engine of it."""
    home = tmp_path_factory.mktemp("copies")
    base = shutil.copytree(tiny("llama-wide"), home / "base")
    recipe = parse_recipe(CHAIN)
    transform_folder(base, "wide", recipe, home / "unended")
    whole = [one.message.token_ids for one in expected(requests(ignore_eos=True), home / "unended")]
    # The third token of the first answer, one of the second, and one that nobody says.
    unsaid = next(token for token in range(258) if not any(token in ids for ids in whole))
    ends = [unsaid, whole[2][4], whole[0][2]]
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    record = transform_folder(base, "wide", recipe, home / "copy")
    with within():
        backend = create_backend("vllm", model=str(home / "copy"), dtype="float32", **OPTIONS)
    yield SimpleNamespace(backend=backend, folder=home / "copy", base=base, record=record, whole=whole, ends=ends)
    asyncio.run(backend.close())


def test_a_copy_says_the_same_on_both_engines_and_hears_its_base(copied, expected):
    config = json.loads((copied.folder / "config.json").read_text())
    assert (config["num_key_value_heads"], config["model_type"]) == (1, "llama")
    assert config["intermediate_size"] < 192
    assert len(copied.record["steps"]) == 3
    said = expected(requests(ignore_eos=True), copied.base)[1].message
    asked = [
        Request(prompt, Sampling(temperature=temperature, max_tokens=12, seed=1, ignore_eos=True), encoder)
        for prompt in (Prompt.of("Tell me. "), Prompt.of("It said: ", said, " And you?"))
        for temperature, encoder in ((0.0, None), (0.7, None), (0.0, "expectation"), (0.7, "expectation"))
    ]
    found, wanted = say(copied.backend, asked), expected(asked, copied.folder)
    assert copied.backend.fingerprint.origin.startswith("wide (weights ")
    for one, other in zip(found, wanted, strict=True):
        assert one.message.token_ids == other.message.token_ids
        if one.message.cipher is not None:
            a, b = one.message.cipher.vectors, other.message.cipher.vectors
            assert float(((a - b).norm(dim=1) / b.norm(dim=1)).max()) <= 1e-4


def test_each_token_of_a_list_ends_a_message(copied, expected):
    found, unended = say(copied.backend, requests()), say(copied.backend, requests(ignore_eos=True))
    own = expected(requests(), copied.folder)
    assert [generation.message.token_ids for generation in unended] == copied.whole
    for one, other, ids in zip(found, own, copied.whole, strict=True):
        place = min((ids.index(end) for end in copied.ends if end in ids), default=TOKENS)
        assert one.message.token_ids == other.message.token_ids == ids[:place]
        assert one.finish_reason == other.finish_reason == ("stop" if place < TOKENS else "length")
    assert {len(generation.message.token_ids) for generation in found} < set(range(TOKENS))


@pytest.mark.long
def test_a_pruned_copy_of_dee_says_the_same_on_both_engines(expected):
    folder = locate(PRUNED)
    prompts = Prompts(prompts_folder("tiny"), "plain")
    questions = [sample.question for sample in create_task("arithmetic:held_out").samples(4)]
    asked = [
        Request(prompts.initial(question), Sampling(temperature=temperature, max_tokens=40), encoder)
        for question in questions
        for temperature, encoder in ((0.0, None), (0.15, "expectation"))
    ]
    with engine(folder, enforce_eager=True) as backend:
        found = say(backend, asked)
        assert backend.fingerprint.origin.startswith("tiny/dee (weights ")
    wanted = expected(asked, folder)
    assert [one.message.token_ids for one in found[::2]] == [other.message.token_ids for other in wanted[::2]]
    for one, other in zip(found[1::2], wanted[1::2], strict=True):
        assert one.message.text == other.message.text
