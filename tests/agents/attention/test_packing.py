"""Packed rows: what a padded batch gives, with nothing computed over padding, for encoders and for prompts in the engine."""

import pytest
import torch
from support import zoo
from support.plain_loops import generate
from transformers import (
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

from agents.attention.packing import Packing, Run, encode_packed, packed_attention
from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers.backend import TransformersBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError

SIZES = {
    "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 40,
}  # fmt: skip
TEXTS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15]]


@pytest.mark.parametrize(
    ("config", "kind"), [(BertConfig, BertModel), (RobertaConfig, RobertaModel), (CamembertConfig, CamembertModel)]
)
def test_an_encoder_reads_a_packed_row_as_it_reads_each_text(config, kind):
    torch.manual_seed(0)
    body = kind(config(**SIZES, pad_token_id=1), add_pooling_layer=False).eval()
    own = body.config._attn_implementation
    ids = torch.tensor([[*text, *[1] * (7 - len(text))] for text in TEXTS])
    with torch.inference_mode():
        right = body(input_ids=ids, attention_mask=(ids != 1).long()).last_hidden_state
        found = encode_packed(body, TEXTS)
        alone = body(input_ids=torch.tensor([TEXTS[2]])).last_hidden_state[0]
    for row, states in enumerate(found):
        torch.testing.assert_close(states, right[row, : len(TEXTS[row])], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[2], alone, atol=1e-5, rtol=1e-5)
    assert body.config._attn_implementation == own
    with pytest.raises(ValueError, match="none of them is empty"):
        encode_packed(body, [[3], []])


def test_an_encoder_with_an_attention_of_its_own_is_refused():
    body = MPNetModel(MPNetConfig(**SIZES), add_pooling_layer=False).eval()
    with pytest.raises(NotImplementedError, match="MPNetModel does not ask for its attention by name"):
        encode_packed(body, TEXTS)


def test_gradients_are_those_of_each_text():
    torch.manual_seed(0)
    body = BertModel(BertConfig(**SIZES), add_pooling_layer=False).eval()
    weight = body.encoder.layer[0].attention.self.query.weight
    (one,) = torch.autograd.grad(sum(states.square().sum() for states in encode_packed(body, TEXTS)), weight)
    alone = sum(body(input_ids=torch.tensor([text])).last_hidden_state.square().sum() for text in TEXTS)
    (other,) = torch.autograd.grad(alone, weight)
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_no_sequence_sees_another(causal):
    draw = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, 4, 9, 8, generator=draw, dtype=torch.float64).unbind()
    k, v = k[:, :2], v[:, :2]
    packing = Packing((Run(4), Run(5)), causal)
    found = packed_attention(packing, q, k, v, None)
    for span in packing.spans:
        for head in range(4):
            scores = q[0, head, span] @ k[0, head // 2, span].T / 8**0.5
            if causal:
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
            torch.testing.assert_close(found[0, span, head], scores.softmax(-1) @ v[0, head // 2, span])
    assert packing.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4]


def requests():
    begun = "a beginning that every prompt shares, and that is longer than one block; "
    return [
        Request(
            Prompt.of((begun if n % 3 else "other ") + "abc " * n),
            Sampling(0.7, max_tokens=4 + n, seed=n),
            (None, "expectation")[n % 2],
        )
        for n in range(7)
    ]


# JetMoe takes a view of what its attention returns.
@pytest.mark.parametrize("architecture", ["llama", "jetmoe"])
def test_prompts_are_packed_in_the_engine_and_say_the_same(tmp_path, monkeypatch, architecture):
    model = LoadedModel(zoo.save(architecture, tmp_path), name=architecture, dtype="float32", device="cpu")
    assert model.packs
    packs, own = [], model.prefill_packed
    monkeypatch.setattr(
        model, "prefill_packed", lambda cache, parts, adapter=None: packs.append(parts) or own(cache, parts, adapter)
    )
    plain = generate(Engine(model, max_num_seqs=5), requests())
    assert not packs
    found = generate(Engine(model, max_num_seqs=5, packs=True), requests())
    assert [g.message.token_ids for g in plain] == [g.message.token_ids for g in found]
    torch.testing.assert_close(plain[1].message.cipher.vectors, found[1].message.cipher.vectors, atol=1e-4, rtol=1e-4)
    assert max(map(len, packs)) > 1
    # Rows that share a beginning wait for the one that computes it: nothing is computed twice.
    assert sum(g.usage.cached_tokens for g in found) == sum(g.usage.cached_tokens for g in plain) > 50
    assert any(start for parts in packs for _, start, _ in parts)


def test_what_cannot_be_packed_is_refused(tiny):
    with pytest.raises(ConfigError, match="batch_invariant: false"):
        TransformersBackend(str(tiny()), packed_prompts=True)
    with pytest.raises(ConfigError, match="leave the option out"):
        TransformersBackend(str(tiny("mistral-window")), packed_prompts=True, batch_invariant=False, dtype="float32")
