"""Every architecture of the zoo: greedy text and CIPHER vectors as by the model's own uncached pass, or refused in a sentence."""

import re
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from support.held_against import check, requests
from support.plain_loops import generate
from support.zoo import ARCHITECTURES, save
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.survey import ROWS, line_of
from agents.backends.transformers.truth import spread_error
from agents.errors import ModelError

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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_answers_as_its_own_code_does_or_is_refused(tmp_path, architecture):
    folder = save(architecture, tmp_path / architecture)
    if documented()[architecture][1] == "refused":
        with pytest.raises(ModelError, match=rf"^{architecture} [^\n]+$"):
            load(folder, architecture)
        return
    loaded = load(folder, architecture)
    *cells, _, notes = documented()[architecture]
    assert (*cells, notes) == line_of(loaded).cells
    asked = requests(ROWS)
    alone = [generate(Engine(loaded, max_num_seqs=1, prefix_cache=False), [request])[0] for request in asked[:8]]
    four = generate(Engine(loaded, max_num_seqs=4), asked[:8])
    sixteen = generate(Engine(loaded, max_num_seqs=ROWS), asked)
    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for request, generation in zip(asked[:8], alone, strict=True):
        check(own, loaded.tokenizer, loaded.fingerprint, request, generation)
    for together in (four, sixteen[:8], sixteen[8:]):
        for request, one, other in zip(asked, alone, together, strict=False):
            if loaded.rows is not None:
                assert other.message.digest == one.message.digest
            elif other.message.token_ids != one.message.token_ids or request.encoder is not None:
                check(own, loaded.tokenizer, loaded.fingerprint, request, other)


def test_the_zoo_is_wide_enough():
    assert len(ARCHITECTURES) >= 60


def test_what_is_measured_is_the_spread_of_the_right_logits():
    right = torch.tensor([[0.0, 2.0]]) + 100
    assert spread_error(right + torch.tensor([[0.0, 0.1]]), right) == pytest.approx(0.1 / 2**0.5, rel=1e-3)
    assert spread_error(right * torch.nan, right) == float("inf")
