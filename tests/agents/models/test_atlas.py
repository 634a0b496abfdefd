"""ATLAS: the memory against loops in float64, what its forms agree in, its bound, and the model in the transformers engine."""

import itertools
import math

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says
from support.plain_loops import generate

from agents.backend import Prompt, Request, Sampling
from agents.backends.transformers import TransformersBackend
from agents.backends.transformers.engine import Engine
from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError
from agents.models.atlas import training
from agents.models.atlas.features import num_features, polynomial_features
from agents.models.atlas.memory import (
    Writes,
    bounded_steps,
    empty_state,
    orthogonalised,
    read_in_chunks,
    read_step_by_step,
)
from agents.models.atlas.model import AtlasConfig, AtlasForCausalLM, MemoryMixer
from agents.models.atlas.recall import Rule, recall
from agents.models.glyphs.table import character_tokenizer
from agents.models.seeded import seeded

TOKENIZER = character_tokenizer()
WIDE = torch.float64


def drawn(length, *, features=5, values=3, momentum=True, seed=0, rate=0.2):
    torch.manual_seed(seed)
    keys, queries = torch.nn.functional.normalize(torch.randn(2, 2, length, features, dtype=WIDE), dim=-1)
    alpha, gamma, eta, theta = torch.rand(4, 2, length, dtype=WIDE)
    value = torch.randn(2, length, values, dtype=WIDE)
    return Writes(keys, queries, value, alpha, gamma, rate * eta, theta if momentum else None)


def looped(writes, window, *, muon=False, chunk=1):
    """Return y of one row by autograd on the loss as it is written; every gradient is taken where its chunk begins."""
    memory = torch.zeros(writes.values.shape[-1], writes.keys.shape[-1], dtype=WIDE)
    momentum, heard = torch.zeros_like(memory), []
    for t in range(len(writes.keys)):
        if t % chunk == 0:
            begin = memory.clone().requires_grad_()
        seen = range(max(0, t - window + 1), t + 1)
        loss = sum(writes.gamma[i] * (begin @ writes.keys[i] - writes.values[i]).square().sum() for i in seen) / 2
        (gradient,) = torch.autograd.grad(loss, begin)
        theta = 0.0 if writes.theta is None else writes.theta[t]
        momentum = theta * momentum + gradient
        step = momentum
        if muon:
            # By the singular values: the quintic acts on each by itself.
            u, sizes, v = torch.linalg.svd(momentum, full_matrices=False)
            sizes = sizes / sizes.square().sum().sqrt()
            for _ in range(5):
                sizes = 3.4445 * sizes - 4.7750 * sizes**3 + 2.0315 * sizes**5
            step = (u * sizes) @ v
        memory = writes.alpha[t] * memory - writes.eta[t] * step
        heard.append(memory @ writes.queries[t])
    return torch.stack(heard)


def one(writes, row):
    return Writes(*(None if x is None else x[row] for x in writes))


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize(("window", "momentum"), [(1, True), (4, True), (4, False), (30, True)])
def test_the_recurrence_is_its_definition(window, momentum, muon):
    writes = drawn(9, momentum=momentum)
    y, _ = read_step_by_step(empty_state(writes, window), writes, muon=muon)
    want = torch.stack([looped(one(writes, row), window, muon=muon) for row in range(2)])
    torch.testing.assert_close(y, want, rtol=0, atol=1e-11)


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("momentum", [False, True])
def test_chunks_of_one_are_the_recurrence_and_longer_ones_take_gradients_where_they_begin(momentum, muon):
    writes = drawn(11, momentum=momentum)
    begin = empty_state(writes, 4)
    steps, end = read_step_by_step(begin, writes, muon=muon)
    ones, other = read_in_chunks(begin, writes, chunk=1, muon=muon)
    torch.testing.assert_close(ones, steps, rtol=0, atol=1e-12)
    for a, b in zip(end, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    for chunk in (2, 4, 16):
        y, _ = read_in_chunks(begin, writes, chunk=chunk, muon=muon)
        want = torch.stack([looped(one(writes, row), 4, muon=muon, chunk=chunk) for row in range(2)])
        torch.testing.assert_close(y, want, rtol=0, atol=1e-11)
        # The first position of a text has the same place to take its gradient at; what follows has not.
        torch.testing.assert_close(y[:, 0], steps[:, 0], rtol=0, atol=1e-12)
        assert (y - steps).abs().max() > 1e-3


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_text_is_read_on_from_where_it_stood(chunk):
    writes = drawn(12)
    read = [lambda s, w: read_in_chunks(s, w, chunk=chunk), read_step_by_step][chunk == 1]
    whole, _ = read(empty_state(writes, 3), writes)
    state, heard = empty_state(writes, 3), []
    for part in writes.parts(8):
        y, state = read(state, part)
        heard.append(y)
    torch.testing.assert_close(torch.cat(heard, 1), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("chunk", [1, 4])
def test_what_comes_later_changes_nothing_before(chunk, muon):
    writes = drawn(10)
    y, _ = read_in_chunks(empty_state(writes, 3), writes, chunk=chunk, muon=muon)
    for t in range(9):
        other = drawn(10, seed=1)
        mixed = Writes(*(torch.cat([a[:, : t + 1], b[:, t + 1 :]], 1) for a, b in zip(writes, other, strict=True)))
        changed, _ = read_in_chunks(empty_state(mixed, 3), mixed, chunk=chunk, muon=muon)
        torch.testing.assert_close(changed[:, : t + 1], y[:, : t + 1], rtol=0, atol=1e-12)
        ones = torch.ones_like(mixed.eta)
        eta = [bounded_steps(ones, w.keys, w.gamma, empty_state(w, 3))[:, : t + 1] for w in (writes, mixed)]
        torch.testing.assert_close(*eta, rtol=0, atol=1e-12)


def test_with_a_window_of_one_it_is_the_delta_rule():
    writes = drawn(8, momentum=False)
    ones = torch.ones_like(writes.eta)
    writes = writes._replace(gamma=ones, alpha=ones)
    memory = torch.zeros(2, 3, 5, dtype=WIDE)
    for t in range(8):
        key, value = writes.keys[:, t, :, None], writes.values[:, t, :, None]
        memory = memory + writes.eta[:, t, None, None] * (value - memory @ key) @ key.mT
    _, state = read_step_by_step(empty_state(writes, 1), writes)
    torch.testing.assert_close(state.memory, memory, rtol=0, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_features_are_every_monomial_and_their_products_the_kernel(degree):
    torch.manual_seed(0)
    x, y = torch.randn(2, 7, 4, dtype=WIDE)
    a, b = polynomial_features(x, degree), polynomial_features(y, degree)
    assert a.shape[-1] == num_features(4, degree) == sum(math.comb(3 + p, p) for p in range(1, degree + 1))
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=-1)
    torch.testing.assert_close((a * b).sum(-1), sum(cosine**p for p in range(1, degree + 1)) / degree)
    torch.testing.assert_close(a.norm(dim=-1), torch.ones(7, dtype=WIDE))
    unit = x[0] / x[0].norm()
    plain = [
        math.prod(c) for p in range(1, degree + 1) for c in itertools.combinations_with_replacement(unit.tolist(), p)
    ]
    assert ((torch.tensor(plain) == 0) == (a[0] == 0)).all()
    assert torch.equal(polynomial_features(torch.zeros(4), 2), torch.zeros(14))
    with pytest.raises(ConfigError, match="degree 1 to 4"):
        polynomial_features(x, 5)


def test_orthogonalised_brings_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((3, 7), (7, 3), (2, 4, 4)):
        sizes = torch.linalg.svdvals(orthogonalised(torch.randn(shape, dtype=WIDE)))
        assert 0.3 < sizes.min() <= sizes.max() < 1.3
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))
    # An orthogonalised step never shrinks, however near the memory is: the pitfall of constant steps.
    small = torch.randn(3, 5, dtype=WIDE)
    torch.testing.assert_close(orthogonalised(1e-3 * small), orthogonalised(small), rtol=1e-6, atol=1e-6)


def alike(length):
    """Return writes of one key again and again: the steepest loss that there is."""
    writes = drawn(length, momentum=False)
    ones = torch.ones_like(writes.eta)
    keys = writes.keys[:, :1].expand(-1, length, -1)
    return writes._replace(keys=keys, queries=keys, gamma=ones, alpha=ones, values=torch.ones_like(writes.values))


def test_steps_are_stable_by_construction_and_not_without():
    writes = alike(60)
    ones, begin = torch.ones_like(writes.eta), empty_state(writes, 8)
    eta = bounded_steps(1.9 * ones, writes.keys, writes.gamma, begin)
    # From the eighth position on the window is full of one unit key: the curvature is c.
    torch.testing.assert_close(eta[:, 7:], 1.9 / 8 * ones[:, 7:])
    y, _ = read_step_by_step(begin, writes._replace(eta=eta))
    assert (y[:, -1] - 1).abs().max() < 0.05
    y, _ = read_step_by_step(begin, writes._replace(eta=2.6 / 8 * ones))
    assert (y[:, -1] - 1).abs().max() > 50
    # Of random keys it never steps beyond 2 over the largest eigenvalue.
    other = drawn(30)
    eta = bounded_steps(1.9 * ones[:, :30], other.keys, other.gamma, empty_state(other, 8))
    for t in range(30):
        seen = slice(max(0, t - 7), t + 1)
        weighed = other.gamma[:, seen, None].sqrt() * other.keys[:, seen]
        assert (eta[:, t] * torch.linalg.eigvalsh(weighed @ weighed.mT)[:, -1] < 2).all()


def test_a_chunk_adds_its_steps_up_so_that_its_rate_is_bounded_by_its_length():
    writes = alike(96)
    ones, begin = torch.ones_like(writes.eta), empty_state(writes, 8)
    ends = {}
    for rate in (1.9 / 4, 2.6 / 4):
        eta = bounded_steps(rate * ones, writes.keys, writes.gamma, begin)
        y, _ = read_in_chunks(begin, writes._replace(eta=eta), chunk=4)
        ends[rate] = float((y[:, -1] - 1).abs().max())
    assert ends[1.9 / 4] < 0.1
    assert ends[2.6 / 4] > 100
    with pytest.raises(ConfigError, match=r"at most 1 / chunk.*got 0.3 with chunks of 4"):
        AtlasConfig(rate=0.3, chunk=4)


def test_what_is_forgotten_leaves_less_room_for_steps():
    """The pitfall of a bound that knows no α: a memory that is wiped and corrected at once overshoots."""
    writes = alike(60)
    none, ones = torch.zeros_like(writes.eta), torch.ones_like(writes.eta)
    for chunk in (1, 4):
        writes = writes._replace(alpha=torch.where(torch.arange(60) % chunk == 0, none, ones))
        begin, ends = empty_state(writes, 8), {}
        for rate in (1.0, 1.9):
            eta = bounded_steps(rate / chunk * ones, writes.keys, writes.gamma, begin)
            y, _ = read_in_chunks(begin, writes._replace(eta=eta), chunk=chunk)
            ends[rate] = float(y[:, -1].abs().max())
        assert ends[1.0] < 3
        assert ends[1.9] > 1e3


def test_settings_that_do_not_fit_are_refused():
    for wrong, match in (
        ({"rule": "titans"}, "omega or atlas"),
        ({"degree": 0}, "degree is 1 to 4"),
        ({"omega": 0}, "omega at least 1"),
        ({"chunk": 5, "rate": 0.1}, "divides 64"),
        ({"rate": 1.1}, "at most 1 / chunk"),
        ({"rate": math.inf, "rule": "atlas"}, "above 0"),
    ):
        with pytest.raises(ConfigError, match=match):
            AtlasConfig(**wrong)
    with pytest.raises(ConfigError, match="window of 1 position or more"):
        empty_state(drawn(2), 0)
    with pytest.raises(ConfigError, match="keys of their own"):
        AtlasForCausalLM(AtlasConfig(hidden_size=16, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=1))


def test_features_and_windows_hold_more_pairs():
    shares = [recall(rule, 32, seed=0, width=8, texts=4) for rule in (Rule(), Rule(2), Rule(2, 0))]
    assert shares[0] < shares[1] - 0.2
    assert shares[1] < shares[2]
    assert recall(Rule(2, 0, 0.3, muon=True), 32, seed=0, width=8, texts=4) > shares[1]
    assert recall(Rule(2, 8, 0.3, muon=True, decays=True), 4, seed=0, width=8, texts=4) > 0.5


def small(rule="omega", chunk=1, layers=2):
    config = AtlasConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, rule=rule, chunk=chunk, rate=1.0 / chunk,
    )  # fmt: skip
    model = seeded(lambda: AtlasForCausalLM(config), 3).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(20)
    return model


def test_a_state_in_use_is_forgotten_last(monkeypatch):
    mixer, asked = small(chunk=8, layers=1).model.layers[0].self_attn, []
    # A memory of two heads, each [8, 44], and the seven positions before of its window.
    one = 4 * 2 * (8 * 44 + 7 * (44 + 8 + 1))
    monkeypatch.setattr(mixer._states, "most", 2 * one)
    segment = mixer._segment
    monkeypatch.setattr(mixer, "_segment", lambda *given: asked.append(given[2]) or segment(*given))
    rows = [
        torch.randn(1, 1, 70, mixer.config.hidden_size, generator=torch.Generator().manual_seed(n))[0] for n in range(4)
    ]
    with torch.no_grad():
        first = mixer(rows[0])[0]
        mixer._read(*kept_of(mixer, rows[0]), 1)
        asked.clear()
        for other in rows[1:]:
            keys, values = kept_of(mixer, rows[0])
            again = mixer._read(keys, values, 1)
            mixer._read(*kept_of(mixer, other), 1)
    assert (
        mixer._states.held
        == sum(x.untyped_storage().nbytes() for state in mixer._states._states.values() for x in state)
        == 2 * one
    )
    # The row's own first segment is read no second time, whichever rows come and go.
    assert asked == [64, 0, 64] * 3
    torch.testing.assert_close(mixer.o_proj(mixer.norm(again.transpose(1, 2)).flatten(2)), first[:, -1:])


def kept_of(mixer, x):
    parts = [
        layer(x).view(*x.shape[:-1], mixer.heads, -1).transpose(1, 2)
        for layer in (mixer.q_proj, mixer.k_proj, mixer.v_proj, mixer.gates)
    ]
    query, key, value, gates = parts
    return torch.cat([key, query], -1), torch.cat([value, gates], -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas")
    small(chunk=8).save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return LoadedModel(folder, name="atlas", dtype="float32", device="cpu", rows=4)


@pytest.mark.parametrize(("rule", "chunk"), [("omega", 1), ("omega", 4), ("atlas", 8)])
def test_a_text_read_in_pieces_is_the_text_read_whole(rule, chunk):
    model, ids = (
        small(rule, chunk, layers=1),
        torch.randint(3, 60, (1, 140), generator=torch.Generator().manual_seed(0)),
    )
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits
        for sizes in ((70, 1, 1, 63, 5), (3, 137)):
            cache, parts = None, []
            for part in ids.split(list(sizes), 1):
                out = model(part, past_key_values=cache, use_cache=True)
                cache, parts = out.past_key_values, [*parts, out.logits]
            # Orthogonalised steps magnify rounding, up to 485-fold where a momentum is small in some direction.
            tolerance = 2e-2 if rule == "atlas" else 1e-3
            torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=tolerance)
        # Without what it heard it says something else, and no later token reaches back.
        assert (model(ids[:, 100:], use_cache=False).logits - whole[:, 100:]).abs().max() > 1e-2
        torch.testing.assert_close(model(ids[:, :100], use_cache=False).logits, whole[:, :100], rtol=0, atol=tolerance)


def test_rows_behind_padding_are_refused():
    model, ids = small(layers=1), torch.randint(3, 60, (2, 6))
    with pytest.raises(NotImplementedError, match="behind padding"):
        model(ids, attention_mask=torch.tensor([[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]))
    both = model(ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(both[:1], model(ids[:1]).logits, rtol=1e-4, atol=1e-4)


def test_the_engine_runs_it_row_by_row_and_batch_invariant(loaded):
    assert type(loaded.model) is AtlasForCausalLM
    assert (loaded.verdict.way, loaded.verdict.invariant) == ("by_row", True)
    assert not loaded.packs


def test_attention_and_cache_cannot_be_exchanged(folder):
    with pytest.raises(ConfigError, match="neither `attention` nor `cache` can be exchanged"):
        TransformersBackend(str(folder), dtype="float32", device="cpu", cache="staircase(bits=(8, 4, 2), chunk=32)")
    with pytest.raises(ConfigError, match="packed_prompts: .* leave the option out"):
        TransformersBackend(str(folder), dtype="float32", device="cpu", batch_invariant=False, packed_prompts=True)


def test_what_is_saved_is_loaded(folder):
    again = AtlasForCausalLM.from_pretrained(folder)
    for (name, first), (other, second) in zip(small(chunk=8).named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(first, second), name


def test_cipher_equals_a_plain_loop_and_a_one_hot_belief_is_its_token(loaded):
    assert_says_what_a_plain_loop_says(loaded, max_tokens=12)


def test_vectors_are_heard_alone_and_in_company_to_the_same_bytes(loaded):
    long = "An old tale that is told at the beginning of every prompt, and shared, "
    requests, together = assert_hears_alone_as_in_company(loaded, count=5, before=long, max_tokens=lambda n: 3 + n)
    # What was remembered of earlier texts, and whose prefix was copied, changes no bit.
    for module in loaded.model.modules():
        if isinstance(module, MemoryMixer):
            module._states.clear()
    again = generate(Engine(loaded, max_num_seqs=4, prefix_cache=False), requests)
    assert [one.message.digest for one in again] == together


SMALL = training.Recipe(
    width=16, layers=1, heads=2, head=8, pairs=4, asked=2, symbols=8, window=4, steps=2, batch=2, texts=4
)


def test_the_recipes_train_and_keep(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Recipe", lambda: SMALL)
    told = []
    claims = training.claims(tmp_path, seeds=2, progress=told.append)
    assert all(len(claim.ours) == 2 and min(claim.ours) >= 0 for claim in claims)
    again = training.claims(tmp_path, seeds=2, progress=lambda sentence: None)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]
    monkeypatch.setattr(training, "recall", lambda rule, pairs, *, seed: pairs + rule.degree + seed)
    monkeypatch.setattr(training, "PAIRS", (64, 128))
    capacity = training.capacity_claims(tmp_path, seeds=3)
    assert {claim.verdict for claim in capacity} == {"pass", "null"}
    assert (tmp_path / "recall.json").is_file()


def test_attention_with_a_window_has_as_many_numbers_as_a_memory():
    recipe = training.Recipe()
    model = training.build("omega", recipe, 0)
    mixer = model.model.layers[0].self_attn
    held = mixer.heads * mixer.width * num_features(mixer.width, mixer.config.degree)
    assert held == recipe.window * 2 * recipe.heads * recipe.head == 1408


def test_choices_are_weighed_as_the_model_finds_them(loaded):
    prompt, choices = Prompt.of("Is it so?"), (" yes", " no, my lord", " perhaps")
    (found,) = generate(Engine(loaded), [Request(prompt, Sampling(), choices=choices)])
    before = loaded.tokenizer("Is it so?\nAnswer:").input_ids
    for choice, ours in zip(choices, found.log_likelihoods, strict=True):
        ids = loaded.tokenizer(choice).input_ids
        with torch.no_grad():
            likely = loaded.model(torch.tensor([before + ids]), use_cache=False).logits[0].double().log_softmax(-1)
        want = sum(float(likely[len(before) - 1 + place, token]) for place, token in enumerate(ids))
        assert ours == pytest.approx(want, abs=1e-3)


def test_texts_ask_for_what_they_said():
    text, asked = next(training.texts(SMALL, 0))
    assert text.shape == (2, 12)
    for row in text:
        pairs = dict(zip(row[:8:2].tolist(), row[1:8:2].tolist(), strict=True))
        assert len(pairs) == 4
        assert max(pairs) < 8 <= min(pairs.values())
        for place in asked.tolist():
            assert pairs[int(row[place])] == int(row[place + 1])
