"""Recurrence beyond the window: against its definition, in pieces and in the engine as any other model, and its recipe."""

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says
from support.rotary import rotated

from agents.backends.transformers import TransformersBackend
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, RequestError
from agents.models.glyphs.table import character_tokenizer
from agents.models.recurrence import training
from agents.models.recurrence.layers import RecurrentAttention
from agents.models.recurrence.model import RecurrenceConfig, RecurrenceForCausalLM
from agents.models.seeded import seeded

TOKENIZER = character_tokenizer()


def small(inserted=1, pooled=1, *, recurrent=True, window=8, truncated=4, layers=3):
    config = RecurrenceConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
        max_position_embeddings=256, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2, window=window,
        recurrent=recurrent, inserted=inserted, pooled=pooled, truncated=truncated,
    )  # fmt: skip
    model = seeded(lambda: RecurrenceForCausalLM(config), 3).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 if weight.dim() == 1 else 4)
    return model


def defined(model, ids):
    """Return logits [T, V] by the definition: window after window, position after position, in float64."""
    model, config = model.double(), model.config
    norm = lambda x, weight: x / (x.square().mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * weight  # noqa: E731
    vector, logits = None, []
    for window in ids.split(config.window):
        x = model.model.embed_tokens.weight[window]
        for number, layer in enumerate(model.model.layers):
            part = layer.self_attn
            seen = [norm(row, layer.input_layernorm.weight) for row in x]
            places = list(range(1, len(seen) + 1))
            if number == config.inserted and vector is not None:
                seen, places = [norm(vector, layer.input_layernorm.weight), *seen], [0, *places]
            heard = []
            for at in range(len(x)):
                upto, head = len(seen) - len(x) + at + 1, []
                for h in range(2):
                    of = slice(8 * h, 8 * h + 8)
                    query = rotated((part.q_proj.weight @ seen[upto - 1])[of], places[upto - 1])
                    keys = [rotated((part.k_proj.weight @ seen[i])[of], places[i]) for i in range(upto)]
                    values = torch.stack([(part.v_proj.weight @ seen[i])[of] for i in range(upto)])
                    shares = torch.softmax(torch.stack([query @ key / 8**0.5 for key in keys]), 0)
                    head.append(shares @ values)
                heard.append(part.o_proj.weight @ torch.cat(head))
            x = x + torch.stack(heard)
            x = x + layer.mlp(norm(x, layer.post_attention_layernorm.weight))
            if number == config.pooled:
                mean = x.mean(0)
        if config.recurrent:
            vector = model.model.layers[config.inserted].self_attn.recurrence(mean)
        logits.append(norm(x, model.model.norm.weight) @ model.lm_head.weight.T)
    return torch.cat(logits)


@pytest.mark.parametrize(("inserted", "pooled", "recurrent"), [(1, 1, True), (0, 2, True), (2, 2, True), (1, 1, False)])
@torch.no_grad()
def test_it_is_its_definition(inserted, pooled, recurrent):
    model = small(inserted, pooled, recurrent=recurrent)
    ids = torch.randint(3, 60, (21,), generator=torch.Generator().manual_seed(0))
    want = defined(model, ids)
    torch.testing.assert_close(model.double()(ids[None], use_cache=False).logits[0], want, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("inserted", "pooled"), [(1, 1), (0, 2)])
@torch.no_grad()
def test_a_text_read_in_pieces_is_the_text_read_whole(inserted, pooled):
    model, ids = small(inserted, pooled), torch.randint(3, 60, (2, 45), generator=torch.Generator().manual_seed(0))
    whole = model(ids, use_cache=False).logits
    for sizes in ((20, 1, 1, 9, 14), (3, 42)):
        cache, parts = None, []
        for part in ids.split(list(sizes), 1):
            out = model(part, past_key_values=cache, use_cache=True)
            cache, parts = out.past_key_values, [*parts, out.logits]
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_vector_tells_of_every_window_before_and_of_nothing_later():
    model, ids = small(), torch.randint(3, 60, (1, 40), generator=torch.Generator().manual_seed(0))
    alone = small(recurrent=False)
    whole, without = (each(ids, use_cache=False).logits for each in (model, alone))
    for first in range(0, 40, 8):
        other = ids.clone()
        other[:, first] = (other[:, first] + 1) % 60 + 3
        changed = (model(other, use_cache=False).logits - whole).abs().amax(-1)[0]
        assert (changed[:first] == 0).all()
        # Several windows later as well, though only the next one has the vector that was made of this window.
        assert (changed[first::8] > 0).all()
        changed = (alone(other, use_cache=False).logits - without).abs().amax(-1)[0]
        assert (changed[first : first + 8] > 0).any()
        assert (changed[first + 8 :] == 0).all()


@pytest.mark.parametrize("truncated", [1, 2, 8])
def test_gradients_go_back_over_so_many_windows(truncated):
    model = small(truncated=truncated)
    inputs = torch.randn(1, 40, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    model(inputs_embeds=inputs, use_cache=False).logits[0, -1].square().sum().backward()
    reached = (inputs.grad[0].abs().sum(-1) > 0).view(5, 8).any(1).tolist()
    # Vector 4 is cut from its predecessor where its number, that of the window it was made of, is a multiple.
    cut = max(number for number in range(4) if number % truncated == 0)
    assert reached == [number >= cut for number in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recurrence")
    small(window=16).save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return LoadedModel(folder, name="recurrence", dtype="float32", device="cpu", rows=4)


def test_the_engine_runs_it_row_by_row_and_batch_invariant(loaded):
    assert type(loaded.model) is RecurrenceForCausalLM
    assert (loaded.verdict.way, loaded.verdict.invariant) == ("by_row", True)
    assert not loaded.packs


def test_cipher_equals_a_plain_loop_and_a_one_hot_belief_is_its_token(loaded):
    assert_says_what_a_plain_loop_says(loaded, max_tokens=12)


def test_vectors_are_heard_alone_and_in_company_to_the_same_bytes(loaded):
    long = "An old tale that is told at the beginning of every prompt, and shared, "
    assert_hears_alone_as_in_company(loaded, count=5, before=long, max_tokens=lambda n: 3 + 9 * n)
    # Vectors of the prompts' windows were remembered, and change no bit where they are not.
    _, first = assert_hears_alone_as_in_company(loaded, count=3, before=long)
    for module in loaded.model.modules():
        if isinstance(module, RecurrentAttention):
            assert len(module._vectors)
            module._vectors.clear()
    _, again = assert_hears_alone_as_in_company(loaded, count=3, before=long)
    assert first == again


def test_what_it_cannot_do_is_refused(folder, loaded):
    with pytest.raises(ConfigError, match="neither `attention` nor `cache` can be exchanged"):
        TransformersBackend(str(folder), dtype="float32", device="cpu", attention="combiner(segment=16)")
    with pytest.raises(RequestError, match="takes no adapters"):
        loaded.adapters.load("some/adapter")
    model, ids = small(), torch.randint(3, 60, (2, 6))
    with pytest.raises(NotImplementedError, match="behind padding"):
        model(ids, attention_mask=torch.tensor([[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"window": 0}, "are at least 1; got 0"),
        ({"truncated": 0}, "are at least 1; got 32 and 0"),
        ({"inserted": 2, "pooled": 1}, "0 <= inserted <= pooled"),
        ({"pooled": 9, "num_hidden_layers": 3}, "got 1, 9 and 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong, match):
    with pytest.raises(ConfigError, match=match):
        RecurrenceConfig(**wrong)


def test_heads_of_other_widths_are_refused():
    config = RecurrenceConfig(hidden_size=16, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2)
    with pytest.raises(ConfigError, match="keys of their own"):
        RecurrenceForCausalLM(config)


def test_what_is_saved_is_loaded_and_weights_that_change_are_read_anew(tmp_path):
    model, ids = small(), torch.randint(3, 60, (1, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.save_pretrained(tmp_path)
        again = RecurrenceForCausalLM.from_pretrained(tmp_path).eval()
        for (name, first), (other, second) in zip(model.named_parameters(), again.named_parameters(), strict=True):
            assert name == other
            assert torch.equal(first, second), name
        before = model(ids, use_cache=False).logits
        model.model.layers[1].mlp.down_proj.weight.mul_(2)
        model.eval()
        later = model(ids, use_cache=True)
        assert not torch.equal(before, later.logits)
        step = model(ids[:, :1], past_key_values=later.past_key_values).logits
        longer = model(torch.cat([ids, ids[:, :1]], 1), use_cache=False).logits[:, -1:]
        torch.testing.assert_close(step, longer, rtol=0, atol=1e-5)


def test_the_recipe_trains_and_keeps(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    (data / "input.txt").write_text("So it is said, and so it was.\n" * 60)
    tiny = training.Recipe(width=16, layers=2, heads=2, window=4, steps=2, batch=2, row=16, measured=4)
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    claims = training.claims(tmp_path / "out", seeds=2, data=data)
    assert all(len(claim.ours) == 2 for claim in claims)
    again = training.claims(tmp_path / "out", seeds=2, data=data)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]
