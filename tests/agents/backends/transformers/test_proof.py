"""What is proven at load: the way a model is decoded, what is kept of it, what is said, and rotary scales that change."""

import json

import pytest
import torch
from support.plain_loops import generate
from support.zoo import build, save
from transformers import AutoModelForCausalLM

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers import TransformersBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.miniature import SWITCH, WINDOW, miniature
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError
from agents.tokenization import segments
from agents.tokenizers import byte_tokenizer


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def load(folder, dtype="float32", rows=4, insist=False):
    return LoadedModel(folder, name=folder.name, dtype=dtype, device="cpu", rows=rows, insist=insist)


def test_the_verdict_is_kept_for_the_model_its_dtype_and_its_rows(home, tmp_path):
    folder = save("llama", tmp_path / "llama")
    found = load(folder).verdict
    (file,) = (home / "verdicts").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "layers": 99}))
    assert load(folder).verdict.layers == 99
    assert load(folder, dtype="bfloat16").verdict.layers == load(folder, rows=8).verdict.layers == found.layers
    file.write_text("half a")
    assert load(folder).verdict == found


def test_a_small_version_has_every_kind_of_layer_and_comes_soon_to_its_window():
    model = build("gemma3")
    small = miniature(model, torch.float32)
    assert small.layers == 2
    assert small.model.config.layer_types == ["sliding_attention", "full_attention"]
    assert (small.windows, small.model.config.sliding_window) == ({16}, WINDOW)
    assert (model.config.num_hidden_layers, model.config.sliding_window) == (4, 16)
    assert torch.equal(small.model.model.layers[1].mlp.up_proj.weight, model.model.layers[1].mlp.up_proj.weight)
    far = miniature(build("phi3-longrope"), torch.float32)
    assert (far.switches, far.model.config.rope_parameters["original_max_position_embeddings"]) == ({64}, SWITCH)


def test_experts_are_not_called_batch_invariant(tmp_path):
    folder = save("mixtral", tmp_path / "mixtral")
    said = []
    backend = TransformersBackend(str(folder), dtype="float32", device="cpu", progress=said.append)
    mode = dict(backend.decoding)
    why = mode.pop("why")
    assert "as in a mixture of experts" in why
    assert mode == {"way": "by_row", "batch_invariant": False, "rows": None}
    assert [sentence for sentence in said if sentence == f"warning: {why}"]
    with pytest.raises(ConfigError, match="mixture of experts; set batch_invariant: false"):
        TransformersBackend(str(folder), dtype="float32", device="cpu", batch_invariant=True)
    # Alone in every step, it has no company to depend on.
    alone = TransformersBackend(str(folder), dtype="float32", device="cpu", max_num_seqs=1)
    assert alone.decoding == {"way": "by_row", "batch_invariant": True, "rows": 1}


def test_what_holds_only_up_to_a_window_is_held_to_it(tmp_path):
    model = build("doge")
    # Of equal weights the window keeps whichever: from there on the uncached pass itself is not determined.
    model.config.keep_window_size = 64
    for name, weight in model.named_parameters():
        if name.endswith(".A"):
            weight.data.zero_()
    model.save_pretrained(tmp_path / "doge")
    byte_tokenizer(model.config.vocab_size).save_pretrained(tmp_path / "doge")
    loaded = load(tmp_path / "doge")
    assert loaded.context == 64
    assert loaded.caveat.startswith("doge is held to its first 64 positions, since after them it reads")


def ask(text, encoder, **settings):
    return Request(Prompt.of(text), Sampling(temperature=1.0, max_tokens=12, ignore_eos=True, **settings), encoder)


def test_rotary_scales_change_for_each_row_at_its_own_length(tmp_path):
    """Rows before, across and past the switch share batches; each has the bits that it has alone."""
    loaded = load(save("phi3-longrope", tmp_path / "phi3-longrope"))
    assert loaded.mode.switch == 64
    texts = ["a", "b" * 40, "c" * 50, "c" * 50 + "d", "e" * 70, "f" * 52, "c" * 51]
    requests = [ask(text, encoder) for text in texts for encoder in ("expectation", None)]
    alone = [generate(Engine(loaded, max_num_seqs=1, prefix_cache=False), [request])[0] for request in requests]
    together = generate(Engine(loaded, max_num_seqs=4), requests)
    again = generate(Engine(loaded, max_num_seqs=4), requests[::-1])[::-1]
    digests = [generation.message.digest for generation in alone]
    assert digests == [g.message.digest for g in together] == [g.message.digest for g in again]


@torch.inference_mode()
@pytest.mark.parametrize("length", [20, 52, 54, 55, 56, 57, 70])
def test_choices_are_weighed_as_whole_texts_across_the_switch(tmp_path_factory, length):
    folder = tmp_path_factory.getbasetemp() / "phi3-longrope-choices"
    loaded = load(folder if folder.is_dir() else save("phi3-longrope", folder))
    own = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    choices = ("yes", "perhaps", "n")
    request = Request(Prompt.of("x" * length), Sampling(), choices=choices)
    (generation,) = generate(Engine(loaded), [request])
    (ids,) = segments(request.prompt, loaded.tokenizer, loaded.fingerprint)
    for choice, found in zip(choices, generation.log_likelihoods, strict=True):
        said = loaded.tokenizer(choice, add_special_tokens=False).input_ids
        whole = own(torch.tensor([ids + said[:-1]])).logits[0, len(ids) - 1 :].double()
        first = own(torch.tensor([ids])).logits[0, -1:].double()
        likely = torch.log_softmax(torch.cat([first, whole[1:]]), 1)
        assert found == pytest.approx(float(likely[torch.arange(len(said)), said].sum()), abs=1e-3)


def test_the_command_prints_the_verdict(cli, tmp_path):
    code, out, _ = cli("model", "check", save("gptj", tmp_path / "gptj"), tmp_path / "none", "--markdown")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "| model | decoded | batch invariant | window | notes |"
    assert lines[2].startswith("| gptj | in one batch | no |  | its attention is of its own kind")
    assert lines[3].startswith("| none | refused |  |  | unknown model")
