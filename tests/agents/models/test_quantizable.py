"""Clipped softmax and gates: the model against its definition, in the engine as any other, rounded, and its recipe."""

import copy

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says
from support.rotary import rotated

from agents.backends.transformers import TransformersBackend
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError
from agents.models.glyphs.table import character_tokenizer, random_table
from agents.models.quantizable import training
from agents.models.quantizable.gate import Gate
from agents.models.quantizable.measures import drift, kurtosis, outliers
from agents.models.quantizable.model import QuantizableConfig, QuantizableForCausalLM
from agents.models.seeded import seeded
from agents.transforms.ptq.transform import quantise

TOKENIZER = character_tokenizer()
IDS = torch.randint(3, 60, (2, 24), generator=torch.Generator().manual_seed(0))


def small(**changes):
    config = QuantizableConfig(
        **{
            "vocab_size": len(TOKENIZER), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 256, "tie_word_embeddings": True, "pad_token_id": 0,
            "bos_token_id": 1, "eos_token_id": 2, "trained_length": 16,
            **changes,
        }
    )  # fmt: skip
    model = seeded(lambda: QuantizableForCausalLM(config), 3).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 if weight.dim() == 1 else 6)
    return model


def normed(x, norm):
    return (x - x.mean()) / (x.var(unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias


def mapped(x, linear):
    return linear.weight @ x + linear.bias


def gate_of(gate, x, head):
    """Return the gate of one head by the definition, of what the block reads [D]."""
    if gate is None:
        return 1.0
    own = x if gate.kind == "all" else x[8 * head : 8 * head + 8]
    if gate.enter is not None:
        own = torch.relu(gate.enter[head] @ own + gate.enter_bias[head])
    value = 1 / (1 + torch.exp(-(gate.weight[head] @ own + gate.bias[head])))
    return value / gate.start if gate.rescaled else value


def defined(model, ids):
    """Return logits [T, V] by the definition, position after position, in float64."""
    config, stream = model.config, list(model.model.embed_tokens.weight[ids])
    gamma, zeta = -config.alpha / config.trained_length, config.zeta
    for layer in model.model.layers:
        part, first, second = layer.self_attn, layer.input_layernorm, layer.post_attention_layernorm
        read = stream if config.post_norm else [normed(x, first) for x in stream]
        made = []
        for at, x in enumerate(stream):
            heads = []
            for head in range(2):
                of = slice(8 * head, 8 * head + 8)
                query = rotated(mapped(read[at], part.q_proj)[of], at)
                keys = [rotated(mapped(read[i], part.k_proj)[of], i) for i in range(at + 1)]
                powers = torch.stack([torch.exp(query @ key / 8**0.5) for key in keys])
                shares = [min(1.0, max(0.0, float((zeta - gamma) * p / powers.sum() + gamma))) for p in powers]
                heard = sum(share * mapped(read[i], part.v_proj)[of] for i, share in enumerate(shares))
                heads.append(heard * gate_of(part.gate, read[at], head))
            y = x + mapped(torch.cat(heads), part.o_proj)
            y = normed(y, first) if config.post_norm else y
            inner = y if config.post_norm else normed(y, second)
            y = y + mapped(torch.relu(mapped(inner, layer.mlp.up_proj)), layer.mlp.down_proj)
            made.append(normed(y, second) if config.post_norm else y)
        stream = made
    if not config.post_norm:
        stream = [normed(x, model.model.norm) for x in stream]
    return torch.stack(stream) @ model.lm_head.weight.T


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alpha": 2.0},
        {"zeta": 1.1, "post_norm": False},
        {"gate": "linear"},
        {"gate": "mlp", "post_norm": False},
        {"gate": "all", "alpha": 1.0, "gate_rescaled": True},
    ],
    ids=str,
)
@torch.no_grad()
def test_it_is_its_definition(changes):
    model, ids = small(**changes).double(), IDS[0, :11]
    torch.testing.assert_close(model(ids[None], use_cache=False).logits[0], defined(model, ids), rtol=0, atol=1e-5)


@torch.no_grad()
def test_gates_begin_where_they_are_told_to_and_rescaled_ones_leave_a_trained_model_as_it_was():
    given = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    for kind in ("linear", "mlp", "all"):
        gate = seeded(lambda kind=kind: Gate(QuantizableConfig(hidden_size=16, num_attention_heads=2, gate=kind)), 0)
        assert float(gate(0 * given).mean()) == pytest.approx(0.25, abs=0.06)
        assert gate(given).shape == (1, 5, 2, 1)
        # Of each token and head; one between whose maps nothing passes has its bias alone.
        assert len({round(float(one), 6) for one in gate(given).flatten()}) >= (3 if kind == "mlp" else 10)
    plain = small(num_hidden_layers=1)
    gated = small(num_hidden_layers=1, gate="linear", gate_rescaled=True)
    missing = gated.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert all(".gate." in name for name in missing)
    one, two = (each(IDS, use_cache=False).logits for each in (plain, gated))
    assert 0 < (one - two).abs().max() < 0.02 * one.abs().max()


@torch.no_grad()
def test_a_head_can_hear_nothing_at_small_scores_and_rows_are_not_made_to_add_up():
    """What the paper is about: at equal scores a clipped head gives exactly 0, where a softmax gives the mean."""
    plain, clipped = small(num_hidden_layers=1), small(num_hidden_layers=1, alpha=4.0)
    heard = []
    for model in (plain, clipped):
        part = model.model.layers[0].self_attn
        part.q_proj.weight.zero_()
        part.o_proj.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
        model(IDS, use_cache=False)
    assert (heard[0][:, 4:] != 0).all()
    # −γ / (1 − γ) is 1/5: behind the fifth position every share is clipped, and before it none.
    assert (heard[1][:, 5:] == 0).all()
    assert (heard[1][:, :4] != 0).all()
    assert outliers(clipped, [IDS]).zeros > 0.5
    assert outliers(plain, [IDS]).zeros == 0


def test_gamma_is_of_the_trained_length_whatever_the_text_is_long():
    model = small(alpha=2.0)
    assert model.config.gamma == -2 / 16
    with torch.no_grad():
        short, long = model(IDS[:, :8], use_cache=False).logits, model(IDS, use_cache=False).logits
    torch.testing.assert_close(long[:, :8], short, rtol=0, atol=1e-5)


def test_what_is_clipped_teaches_nothing():
    model = small(num_hidden_layers=1, alpha=4.0)
    part = model.model.layers[0].self_attn
    with torch.no_grad():
        part.q_proj.weight.zero_()
    model(IDS, use_cache=False).logits[:, 8:].square().sum().backward()
    assert float(part.v_proj.weight.grad.abs().sum()) == float(part.q_proj.weight.grad.abs().sum()) == 0


@pytest.mark.parametrize("changes", [{"alpha": 2.0, "gate": "linear"}, {"num_key_value_heads": 1, "post_norm": False}])
@torch.no_grad()
def test_pieces_and_rows_behind_padding_are_read_as_alone(changes):
    model = small(**changes)
    whole = model(IDS, use_cache=False).logits
    cache, parts = None, []
    for part in IDS.split([10, 1, 1, 12], 1):
        out = model(part, past_key_values=cache, use_cache=True)
        cache, parts = out.past_key_values, [*parts, out.logits]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-4)
    padded = torch.cat([torch.zeros(2, 5, dtype=torch.long), IDS], 1)
    mask = (torch.arange(29) >= 5).long().expand(2, -1)
    found = model(padded, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp_min(0), use_cache=False).logits
    torch.testing.assert_close(found[:, 5:], whole, rtol=0, atol=1e-4)


@torch.no_grad()
def test_outliers_are_counted_as_published():
    drawn = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
    assert kurtosis(drawn).tolist() == pytest.approx([3.0] * 3, abs=0.4)
    spiked = drawn.clone()
    spiked[:, 7] = 60.0
    assert (kurtosis(spiked) > 200).all()
    model = small()
    before = outliers(model, [IDS])
    model.model.layers[1].mlp.down_proj.bias[3] = 100.0
    after = outliers(model, [IDS])
    assert after.norm > 99 > before.norm
    assert after.kurtosis > before.kurtosis


@torch.no_grad()
def test_one_outlier_costs_a_rounded_model_its_other_numbers():
    """The pitfall: with a scale for each channel nothing of this would be seen."""
    plain = small()
    plain.model.layers[0].mlp.down_proj.weight[:, 3] = 0
    wild = copy.deepcopy(plain)
    # A unit that is large and read by nobody: unrounded the two are one.
    wild.model.layers[0].mlp.up_proj.bias[3] = 1000.0
    assert drift(plain, wild, IDS).beliefs < 1e-9
    lost = []
    for each in (plain, wild):
        rounded = copy.deepcopy(each)
        quantise(rounded, [IDS], weights=8, activations=8)
        lost.append(drift(each, rounded, IDS))
    assert lost[1].beliefs > 10 * lost[0].beliefs > 0
    assert lost[1].messages > 10 * lost[0].messages > 0


@pytest.fixture(scope="module", params=["clipped", "gated", "rounded"])
def loaded(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    model = small(
        alpha=2.0 if request.param != "gated" else 0.0, gate="none" if request.param == "clipped" else "linear"
    )
    with torch.no_grad():
        # Large enough that its beliefs are no longer flat.
        model.get_input_embeddings().weight.mul_(4)
    if request.param == "rounded":
        quantise(model, [IDS], weights=8, activations=8)
    model.save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return LoadedModel(path, name=request.param, dtype="float32", device="cpu", rows=4)


def test_the_engine_runs_it_row_by_row_and_batch_invariant(loaded):
    assert type(loaded.model) is QuantizableForCausalLM
    assert (loaded.verdict.way, loaded.verdict.invariant) == ("by_row", True)
    assert not loaded.packs


@pytest.mark.parametrize("loaded", ["clipped", "gated"], indirect=True)
def test_cipher_equals_a_plain_loop_and_a_one_hot_belief_is_its_token(loaded):
    assert_says_what_a_plain_loop_says(loaded, max_tokens=10)


def test_vectors_are_heard_alone_and_in_company_to_the_same_bytes(loaded):
    assert_hears_alone_as_in_company(loaded, count=5)


def test_what_it_cannot_do_is_refused(loaded, tmp_path):
    small().save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="neither `attention` nor `cache` can be exchanged"):
        TransformersBackend(str(tmp_path), dtype="float32", device="cpu", attention="clipped(gamma=-0.01)")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"alpha": -1.0}, "alpha is at least 0"),
        ({"trained_length": 0}, "trained_length at least 1; got 0 and 0"),
        ({"zeta": 0.9}, "zeta at least 1"),
        ({"gate": "some"}, "gate is one of none, linear, mlp, all; got 'some'"),
        ({"gate_start": 1.0}, "gate_start is between 0 and 1; got 1"),
        ({"weight_bits": 8}, "both weight_bits and activation_bits, or neither"),
        ({"weight_bits": 8, "activation_bits": 1}, "activations are in 2 to 16 bits; got 1"),
        ({"hidden_size": 18, "num_attention_heads": 4, "head_dim": 4}, "a multiple of its heads"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong, match):
    with pytest.raises(ConfigError, match=match):
        QuantizableForCausalLM(QuantizableConfig(**{"num_hidden_layers": 0, "vocab_size": 8, **wrong}))


def test_the_recipe_trains_and_keeps(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    (data / "input.txt").write_text("So it is said, and so it was.\n" * 60)
    tiny = training.Recipe(width=16, layers=1, heads=2, window=12, steps=2, batch=2, batches=2, measured=4)
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    monkeypatch.setattr(training, "glyph_table", lambda width: random_table(width, len(TOKENIZER)))
    claims = training.claims(tmp_path / "out", seeds=2, data=data)
    assert all(len(claim.ours) == 2 for claim in claims)
    zeros = next(claim for claim in claims if "exactly 0" in claim.text)
    assert min(zeros.ours) > 0 == max(zeros.baseline)
    again = training.claims(tmp_path / "out", seeds=2, data=data)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]
    kept = QuantizableForCausalLM.from_pretrained(tmp_path / "out" / "gated-0-int8")
    assert (kept.config.weight_bits, kept.config.activation_bits) == (8, 8)
