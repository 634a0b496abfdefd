"""Every architecture of the zoo: greedy text and CIPHER vectors as by the model's own uncached pass, or refused in a sentence."""

import re
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from support.plain_loops import generate
from support.zoo import ARCHITECTURES, save
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.survey import ROWS, line_of
from agents.backends.transformers.truth import spread_error
from agents.errors import ModelError
from agents.tokenization import segments

# One passes the windows (8 and 16) while it is answered, one the switch (64) and a block (64) of prompts.
TEXTS = ["Hi", "What is it?", "Tell me, step by step, what twelve and seven are in", "A big number, " * 6]
STEPS = 8
TOLERANCE = 1e-4
DOCS = Path(__file__).parents[4] / "docs" / "models.md"


@pytest.fixture(autouse=True)
def quiet():
    """Let transformers keep what it thinks of tiny configs to itself."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.set_verbosity(before)


@cache
def documented():
    """Return model → cells of its line in the docs."""
    lines = re.findall(r"^\| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    return {cells[0]: tuple(cells) for cells in ([cell.strip() for cell in line.split("|")] for line in lines)}


def load(folder, name):
    return LoadedModel(folder, name=name, dtype="float32", device="cpu", rows=ROWS, insist=False)


def requests(count):
    """Return requests for text and for vectors in turn."""
    found = []
    for index in range(count):
        encoder = "expectation" if index % 2 else None
        temperature = 1.0 if encoder else 0.0
        sampling = Sampling(temperature=temperature, max_tokens=STEPS, ignore_eos=True)
        found.append(Request(Prompt.of(TEXTS[index // 2 % len(TEXTS)]), sampling, encoder))
    return found


@torch.inference_mode()
def check(own, loaded, request, generation):
    """Assert that each step is the next of the model's own forward pass over what stands before it."""
    (ids,) = segments(request.prompt, loaded.tokenizer, loaded.fingerprint)
    table = own.get_input_embeddings()(torch.arange(loaded.table.num_tokens))
    said = list(generation.message.token_ids)
    assert len(said) == STEPS
    fed = table[said] if request.encoder is None else generation.message.cipher.vectors
    for step in range(STEPS):
        inputs = torch.cat([table[ids], fed[:step]])[None]
        logits = own(inputs_embeds=inputs, use_cache=False).logits[0, -1].double()
        if request.encoder is None:
            assert logits[said[step]] >= logits.max() - TOLERANCE * (logits.max() - logits.mean())
        else:
            right = torch.softmax(logits, 0)[: len(table)] @ table.double()
            assert (fed[step] - right).norm() <= TOLERANCE * right.norm(), f"step {step} after {len(ids)} positions"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_answers_as_its_own_code_does_or_is_refused(tmp_path, architecture):
    folder = save(architecture, tmp_path / architecture)
    if documented()[architecture][1] == "refused":
        with pytest.raises(ModelError, match=rf"^{architecture} [^\n]+$"):
            load(folder, architecture)
        return
    loaded = load(folder, architecture)
    assert documented()[architecture] == line_of(loaded).cells
    asked = requests(ROWS)
    alone = [generate(Engine(loaded, max_num_seqs=1, prefix_cache=False), [request])[0] for request in asked[:8]]
    four = generate(Engine(loaded, max_num_seqs=4), asked[:8])
    sixteen = generate(Engine(loaded, max_num_seqs=ROWS), asked)
    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for request, generation in zip(asked[:8], alone, strict=True):
        check(own, loaded, request, generation)
    for together in (four, sixteen[:8], sixteen[8:]):
        for request, one, other in zip(asked, alone, together, strict=False):
            if loaded.rows is not None:
                assert other.message.digest == one.message.digest
            elif other.message.token_ids != one.message.token_ids or request.encoder is not None:
                check(own, loaded, request, other)


def test_the_zoo_is_wide_enough():
    assert len(ARCHITECTURES) >= 60


def test_what_is_measured_is_the_spread_of_the_right_logits():
    right = torch.tensor([[0.0, 2.0]]) + 100
    assert spread_error(right + torch.tensor([[0.0, 0.1]]), right) == pytest.approx(0.1 / 2**0.5, rel=1e-3)
    assert spread_error(right * torch.nan, right) == float("inf")
