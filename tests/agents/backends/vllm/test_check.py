"""Models that vLLM answers with otherwise than their own code does, or not at all, are refused when they are loaded."""

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support.held_against import STEPS, TEXTS, asked, check, requests
from support.plain_loops import say
from support.zoo import ARCHITECTURES, WIDE, save

from agents.backend import Prompt
from agents.backends.vllm.check import first_difference, windows_of
from agents.backends.vllm.last_words import Heard, in_a_sentence, written

DOCS = Path(__file__).parents[4] / "docs" / "models.md"
TOLERANCE = 2e-3
# vLLM's kernels for these depend on the processor: each that was tried refused them, with a reason of its own.
REFUSED_BY_PROCESSOR = {"deepseek_v2", "deepseek_v3"}


def documented():
    """Return architecture → the docs' cell of vLLM."""
    lines = [line.strip("| \n").split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    return {cells[0].strip(): cells[4].strip() for cells in lines if len(cells) >= 5}


@pytest.mark.long
def test_the_command_says_what_vllm_makes_of_models(tmp_path):
    """One that answers as its own code, one whose windows end one position later, and one that computes something else."""
    folders = [save(name, tmp_path / name, wide=WIDE) for name in ("llama", "cohere2", "gpt_neox")]
    # Heads of a size that vLLM has no attention for are refused before anything is started.
    narrow = save("llama", tmp_path / "narrow")
    command = [sys.executable, "-m", "debate", "model", "check", *map(str, [*folders, narrow]), "--vllm", "--markdown"]
    environment = {**os.environ, "CIPHER_DEBATE_HOME": str(tmp_path / "home"), "COLUMNS": "400"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[4]
        for line in done.stdout.splitlines()
        if line.startswith("| ")
    }
    assert cells["llama"] == "yes"
    assert cells["cohere2"] == "up to 16 positions"
    assert re.match(r"refused: its beliefs are off by \d\S* of the logits' spread$", cells["gpt_neox"])
    assert cells["narrow"].startswith(
        "refused: has attention heads of 8 numbers, and vLLM on CPUs has attention for 32,"
    )
    # A check that was passed is not made again; one that was not is.
    assert len(list((tmp_path / "home" / "verdicts").glob("vllm-*.json"))) == 2


@pytest.mark.long
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_as_its_own_code_does_or_is_refused(tmp_path, architecture, monkeypatch):
    from transformers import AutoModelForCausalLM

    from agents.backends.vllm.in_process import within
    from agents.backends.vllm.survey import OPTIONS, cell
    from agents.registry import create_backend

    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path / "home"))
    folder = save(architecture, tmp_path / architecture, wide=WIDE)
    # By how much it is off differs between machines.
    number = r"off by \S+" if architecture not in REFUSED_BY_PROCESSOR else "(?<=^refused): .*"
    assert re.sub(number, "", cell(str(folder))) == re.sub(number, "", documented()[architecture])
    if documented()[architecture].startswith("refused"):
        return
    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with within():
        backend = create_backend("vllm", model=str(folder), dtype="float32", **OPTIONS)
    try:
        several, alone, together = answers(backend)
    finally:
        # One that is left open would be in the next one's way.
        asyncio.run(backend.close())
    for module in own.modules():
        # vLLM may have taken the class for its own.
        module.do_not_compile = True
    for request, one, other in zip(several, alone, together, strict=True):
        for generation in (one, other):
            check(own, backend.tokenizer, backend.fingerprint, request, generation, TOLERANCE)


def answers(backend):
    """Return requests that fit into a model's context, and what it says to them alone and together."""
    # What is held to few positions is asked no more than it may read; the cue is part of a prompt.
    room = backend.capabilities.context - STEPS
    texts = [text for text in TEXTS if len(f"{text}\nAnswer:") <= room]
    several = requests(2 * len(texts), texts)
    if not texts:
        several = [asked(replace(Prompt.of("H"), cue=""), vectors=vectors) for vectors in (False, True)]
    alone = [say(backend, [request])[0] for request in several]
    together = say(backend, several)
    if len(texts) == len(TEXTS):
        hearing = [asked(Prompt.of("a", alone[1].message, "b"), vectors=vectors) for vectors in (False, True)]
        several, alone, together = several + hearing, alone + say(backend, hearing), together + say(backend, hearing)
    return several, alone, together


def config(**values):
    made = SimpleNamespace(num_hidden_layers=3, **values)
    made.get_text_config = lambda: made
    return made


def test_windows_are_those_of_the_layers_that_forget():
    mixed = ["sliding_attention", "full_attention", "chunked_attention"]
    assert windows_of(config(layer_types=mixed, sliding_window=8, attention_chunk_size=4)) == [8, None, 4]
    assert windows_of(config(layer_types=["linear_attention", "mamba", "full_attention"])) == [None, None]
    assert windows_of(config(sliding_window=8)) == [8, 8, 8]
    assert windows_of(config(sliding_window=8, use_sliding_window=False)) == [None] * 3
    assert first_difference([8, None], [None, 8]) is None
    assert first_difference([8, None], [9, None]) == 8
    assert first_difference([None, None], [4, None]) == 4
    assert first_difference([16, 16], [16, None]) == 16


def test_a_workers_last_words_are_heard_and_said_in_a_sentence():
    heard = Heard()
    assert heard.words() == ""
    with heard.by_new_workers(), pytest.raises(RuntimeError), written():
        raise RuntimeError("outer") from ValueError("It cannot be. Please open an issue.")
    assert heard.words() == "It cannot be"
    with heard.by_new_workers():
        assert heard.words() == ""
    heard.close()
    with pytest.raises(AssertionError) as caught:
        raise AssertionError
    assert in_a_sentence(caught.value) == "raise AssertionError"
