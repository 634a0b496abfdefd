"""FTP: the decoder and its loss against float64 written out, no leak, one memory a position; the engine, measures, recipe."""

import math

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says, keep_sharpened

from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError
from agents.models.ftp import measures, training
from agents.models.ftp.decoder import UNSCORED, embeddings_ahead, future_loss, losses_by_step, targets_ahead
from agents.models.ftp.model import FTPConfig, FTPForCausalLM, choose
from agents.models.glyphs.table import character_tokenizer

SMALL = training.Recipe(
    width=16, layers=2, heads=2, horizon=4, memory=3, chosen=3, steps=3, most=4, look=2, batch=2, window=24, looked_at=2,
    probed=12, context=4, distances=(2, 3), speeches=2,
)  # fmt: skip
TOKENIZER = character_tokenizer()


def built(seed=3, kind="ftp"):
    return training.build(kind, SMALL, len(TOKENIZER), seed)


def rms(x, weight, eps=1e-6):
    return weight * x / (x.square().mean() + eps).sqrt()


def attended(layer, queries, keys, causal):
    """Attention of one position's steps, head by head and step by step; lists of [D]."""
    width = len(queries[0])
    size = width // layer.heads
    out = []
    for i, x in enumerate(queries):
        heads = []
        for h in range(layer.heads):
            part = slice(h * size, (h + 1) * size)
            q = (layer.q_proj.weight @ x)[part]
            seen = keys[: i + 1] if causal else keys
            scores = torch.stack([q @ (layer.k_proj.weight @ y)[part] / math.sqrt(size) for y in seen])
            shares = torch.softmax(scores, 0)
            heads.append(sum(s * (layer.v_proj.weight @ y)[part] for s, y in zip(shares, seen, strict=True)))
        out.append(layer.o_proj.weight @ torch.cat(heads))
    return out


def foretold(model, z, given):
    """Return the logits [n, V] of one state [D] by the definition."""
    future = model.future
    memory = list((future.memory.weight @ z + future.memory.bias).reshape(-1, len(z)))
    steps = [future.places.weight[0]]
    steps += [x + future.places.weight[i + 1] for i, x in enumerate(given)]
    for block in future.layers:
        normed = [rms(x, block.first_norm.weight) for x in steps]
        steps = [x + y for x, y in zip(steps, attended(block.self_attention, normed, normed, True), strict=True)]
        normed = [rms(x, block.second_norm.weight) for x in steps]
        steps = [x + y for x, y in zip(steps, attended(block.cross_attention, normed, memory, False), strict=True)]
        for i, x in enumerate(steps):
            y, mlp = rms(x, block.third_norm.weight), block.mlp
            gate = mlp.gate_proj.weight @ y
            steps[i] = x + mlp.down_proj.weight @ (gate * torch.sigmoid(gate) * (mlp.up_proj.weight @ y))
    table = model.get_input_embeddings().weight
    return torch.stack([table @ rms(x, future.norm.weight) for x in steps])


@torch.no_grad()
def test_the_decoder_is_its_definition():
    model = built().double()
    for weight in model.future.parameters():
        weight.normal_(std=0.3)
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(2, 3, 16, generator=draw, dtype=torch.float64)
    given = torch.randn(2, 3, 3, 16, generator=draw, dtype=torch.float64)
    want = torch.stack([foretold(model, z, g) for z, g in zip(states.flatten(0, 1), given.flatten(0, 1), strict=True)])
    # transformers' norm counts in float32.
    torch.testing.assert_close(model.foretell(states, given).flatten(0, 1), want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.foretell(states), model.foretell(states, given)[..., :1, :])


def test_the_loss_is_its_definition_and_the_first_step_alone_is_the_perplexity():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, 7, generator=draw, dtype=torch.float64)
    targets = torch.randint(7, (5, 3), generator=draw)
    targets[1:, 2] = UNSCORED
    targets[0, 1] = UNSCORED
    each = []
    for n in range(3):
        scored = [row for row in range(5) if targets[row, n] != UNSCORED]
        losses = [torch.logsumexp(logits[row, n], 0) - logits[row, n, targets[row, n]] for row in scored]
        each.append(sum(losses) / len(losses))
    want = sum(0.8**n * loss for n, loss in enumerate(each)) / sum(0.8**n for n in range(3))
    torch.testing.assert_close(future_loss(logits, targets, 0.8), want)
    found, counts = losses_by_step(logits, targets)
    torch.testing.assert_close(found, torch.stack(each))
    assert counts.tolist() == [5, 4, 1]
    # A step of which nothing is scored has no weight.
    torch.testing.assert_close(
        future_loss(logits, torch.full_like(targets, UNSCORED).index_copy(1, torch.tensor([0]), targets[:, :1]), 0.8),
        each[0],
    )
    model, ids = built().eval(), torch.randint(4, 90, (2, 9), generator=draw)
    logits = model(ids).logits[:, :-1]
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(model(ids, labels=ids).loss, plain)


def test_targets_end_with_the_row_and_with_the_text():
    ids = torch.arange(10, 18)[None]
    chosen = torch.tensor([[0, 5, 7]])
    found = targets_ahead(ids, chosen, 3)
    assert found.tolist() == [[[11, 12, 13], [16, 17, UNSCORED], [UNSCORED] * 3]]
    packed = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
    found = targets_ahead(ids, torch.tensor([[2, 3, 4]]), 3, packed)
    assert found.tolist() == [[[13, UNSCORED, UNSCORED], [UNSCORED] * 3, [15, 16, 17]]]
    rows = embeddings_ahead(ids[..., None].float(), chosen, 3)[..., 0]
    assert rows.tolist() == [[[11, 12], [16, 17], [17, 17]]]


def test_nothing_of_what_comes_after_a_window_reaches_its_loss():
    """Nor what follows the scored targets: the same loss, whatever stands there."""
    draw = torch.Generator().manual_seed(0)
    model = built()
    long = torch.randint(4, 90, (2, 14), generator=draw)
    other = torch.cat([long[:, :10], torch.randint(4, 90, (2, 4), generator=draw)], 1)
    with torch.no_grad():
        chosen = torch.tensor([[2, 5], [4, 5]])
        logits = []
        for ids in (long, other):
            states = model.model(ids).last_hidden_state.gather(1, chosen[..., None].expand(-1, -1, 16))
            logits.append(model.foretell(states, embeddings_ahead(model.get_input_embeddings()(ids), chosen, 4)))
    assert torch.equal(logits[0], logits[1])


def test_a_state_has_one_memory_and_sees_no_other():
    model = built().eval()
    ids = torch.randint(4, 90, (1, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = model.model(ids).last_hidden_state
    states.requires_grad_()
    given = model.get_input_embeddings()(ids)[:, None, 1:4].expand(1, 9, 3, 16)
    model.foretell(states, given)[0, 4].sum().backward()
    touched = states.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert touched == [4]


def test_a_step_sees_the_steps_before_it_alone():
    model = built().eval()
    given = torch.randn(3, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    # Of the sum of all logits, which a norm keeps from vanishing, one is taken.
    model.foretell(torch.ones(16)[None], given[None])[0, 2, 5].backward()
    assert given.grad.abs().sum(1).nonzero().flatten().tolist() == [0, 1]


def test_positions_are_drawn_from_what_is_scored_first():
    labels = torch.full((2, 9), UNSCORED)
    labels[:, 4:7] = 1
    torch.manual_seed(0)
    chosen = choose(labels, 3)
    assert chosen.sort(1).values.tolist() == [[3, 4, 5]] * 2
    assert choose(labels, 0).tolist() == [list(range(9))] * 2
    assert len({tuple(sorted(choose(labels[:1], 2)[0].tolist())) for _ in range(30)}) == 3


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="a discount above 0 and at most 1"):
        FTPConfig(discount=0.0)
    with pytest.raises(ConfigError, match="a horizon, memory and decoder_layers of at least 1"):
        FTPConfig(horizon=0)
    with pytest.raises(ConfigError, match="hidden_size is a multiple of its heads"):
        FTPConfig(hidden_size=20, num_attention_heads=3, head_dim=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ftp")
    keep_sharpened(built(), TOKENIZER, path)
    return path


def load(folder, dtype="float32", rows=None):
    return LoadedModel(folder, name="ftp", dtype=dtype, device="cpu", rows=rows)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_engine_runs_it_row_by_row_and_batch_invariant(folder, dtype):
    model = load(folder, dtype, rows=4)
    assert type(model.model) is FTPForCausalLM
    assert (model.verdict.way, model.verdict.invariant) == ("by_row", True)
    assert model.horizon == 4


def test_cipher_equals_a_plain_loop_and_a_one_hot_belief_is_its_token(folder):
    assert len(assert_says_what_a_plain_loop_says(load(folder), max_tokens=20))


def test_vectors_are_heard_alone_and_in_company_to_the_same_bytes(folder):
    assert_hears_alone_as_in_company(load(folder, rows=4))


def test_what_states_have_in_common_looks_like_smoothness_until_it_is_taken_away():
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(20, 30, 8, generator=draw)
    assert measures.adjacent_cosine(noise + 5, centred=False) > 0.9
    assert abs(measures.adjacent_cosine(noise + 5)) < 0.05
    z = noise.double() - noise.double().mean((0, 1))
    pairs = [z[w, t] @ z[w, t + 1] / z[w, t].norm() / z[w, t + 1].norm() for w in range(20) for t in range(29)]
    assert measures.adjacent_cosine(noise) == pytest.approx(float(sum(pairs) / len(pairs)))


def test_a_probe_finds_what_is_linear_and_no_more():
    draw = torch.Generator().manual_seed(0)
    states, labels = torch.randn(900, 6, generator=draw), torch.randint(3, (900,), generator=draw)
    told = states.clone()
    told[:, :3] += 4 * torch.nn.functional.one_hot(labels, 3)
    scores = [
        measures.fit_probe(x[:600], labels[:600], 3).accuracy(x[600:], labels[600:]) for x in (told * 7 + 3, states)
    ]
    assert scores[0] > 0.95
    assert scores[1] == pytest.approx(1 / 3, abs=0.08)


def test_who_speaks():
    text = "ADA:\nWell?\n\nOLD MAN:\nNo.\n\nADA:\nAh"
    names, who, begins = measures.speakers(text)
    assert names == ["ADA", "OLD MAN"]
    assert [text[i] for i in range(len(text)) if who[i] == 1] == list("No.")
    assert "".join(text[i] for i in range(len(text)) if who[i] == 0) == "Well?Ah"
    assert text[int(begins[-1]) :] == "ADA:\nAh"
    assert measures.frequent(who, 6) == [0]


def test_the_recipe_matches_losses_keeps_models_and_does_not_train_them_again(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Recipe", lambda: SMALL)
    text = "ADA:\nWhat?\n\nBEN:\nSpeak, my lord.\n\n" * 60
    monkeypatch.setattr(training, "read_text", lambda data: text)
    claims = training.claims(tmp_path, seeds=2)
    assert [len(claim.ours) for claim in claims] == [2] * 4
    assert all(math.isfinite(one) for claim in claims for one in (*claim.ours, *claim.baseline))
    monkeypatch.setattr(training, "train", None)
    again = training.claims(tmp_path, seeds=1)
    assert [claim.ours for claim in again] == [pytest.approx(claim.ours[:1], abs=1e-5) for claim in claims]


def test_the_plain_model_is_taken_where_its_loss_is_nearest():
    stream = torch.randint(4, 90, (300,), generator=torch.Generator().manual_seed(0))
    losses = iter([5.0, 4.0, 3.0])
    before = training.loss_on
    try:
        training.loss_on = lambda *args: next(losses)
        recipe = training.Recipe(**{**vars(SMALL), "most": 6})
        _, steps = training.train(built(0, "gpt"), stream, recipe, stream, 4.1, 0)
    finally:
        training.loss_on = before
    assert steps == 4
