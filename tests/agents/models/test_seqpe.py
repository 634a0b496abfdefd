"""SeqPE: encoder, scores and regularisers against their definitions, the model in the engine as any other, its recipe."""

import asyncio
import math

import pytest
import torch
from support.minds import assert_hears_alone_as_in_company, assert_says_what_a_plain_loop_says
from support.rotary import rotated

from agents.backends.transformers.model import LoadedModel
from agents.errors import ConfigError, ModelError
from agents.models.glyphs.table import character_tokenizer
from agents.models.seeded import seeded
from agents.models.seqpe import training
from agents.models.seqpe.encoder import SequentialEncoder, digits_of
from agents.models.seqpe.model import SeqPEConfig, SeqPEForCausalLM
from agents.models.seqpe.regularisers import (
    CANDIDATES,
    contrastive_loss,
    distillation_loss,
    draw_candidates,
    draw_moved,
    draw_starts,
    edited,
    nearest_of,
)
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from debate.run_folder.reader import read_method
from evals.evaluation import evaluate

KINDS = ("seqpe", "learned", "sinusoidal", "alibi", "rotary")
TOKENIZER = character_tokenizer()


def small(positions="seqpe", *, reach=400, sharp=4):
    config = SeqPEConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=reach, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        positions=positions, reach=reach, attention_bias=False,
    )  # fmt: skip
    model = seeded(lambda: SeqPEForCausalLM(config), 3).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 if weight.dim() == 1 else sharp)
    return model


def normed(x, layer):
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return x * layer.weight + layer.bias


def vector(encoder, position):
    """Return a position's vector [D] by the definition, place by place, in float64."""
    text = str(position).rjust(encoder.digits, "0")
    x = [encoder.digit.weight[int(digit)] + encoder.slot.weight[place] for place, digit in enumerate(text)]
    x = torch.stack([*x, encoder.end])
    for block in encoder.blocks:
        heads, parts = (
            block.heads,
            (normed(x, block.norm_1) @ block.projected.weight.T + block.projected.bias).chunk(3, 1),
        )
        width, heard = x.shape[1] // heads, []
        for at in range(len(x)):
            row = []
            for h in range(heads):
                query, key, value = (part[:, h * width : (h + 1) * width] for part in parts)
                shares = torch.softmax(torch.stack([query[at] @ key[i] / width**0.5 for i in range(at + 1)]), 0)
                row.append(shares @ value[: at + 1])
            heard.append(torch.cat(row))
        x = x + torch.stack(heard) @ block.out.weight.T + block.out.bias
        z = normed(x, block.norm_2) @ block.up.weight.T + block.up.bias
        z = 0.5 * z * (1 + torch.tanh((2 / math.pi) ** 0.5 * (z + 0.044715 * z**3)))
        x = x + z @ block.down.weight.T + block.down.bias
    return normed(x[-1], encoder.norm) @ encoder.out.weight.T + encoder.out.bias


def defined(model, ids):
    """Return logits [T, V] by the definitions of the five kinds, score by score, in float64."""
    model, kind, places = model.double(), model.config.positions, model.model.rotary_emb
    norm = lambda x, weight: x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight  # noqa: E731
    x = model.model.embed_tokens.weight[ids]
    if kind == "learned":
        x = x + places.rows.weight[: len(ids)]
    if kind == "sinusoidal":
        angle = [[i / 10000 ** (2 * j / 16) for j in range(8)] for i in range(len(ids))]
        x = x + torch.tensor([[f(a) for a in row for f in (math.sin, math.cos)] for row in angle], dtype=x.dtype)
    if kind == "seqpe":
        said = torch.stack([vector(places.encoder, i) for i in range(len(ids))])
        p, r = (said @ places.projected.weight.T + places.projected.bias).chunk(2, 1)
    for layer in model.model.layers:
        seen, part, heard = norm(x, layer.input_layernorm.weight), layer.self_attn, []
        for at in range(len(ids)):
            row = []
            for h in range(2):
                of = slice(8 * h, 8 * h + 8)
                query, keys, values = (seen @ each.weight.T for each in (part.q_proj, part.k_proj, part.v_proj))
                scores = []
                for i in range(at + 1):
                    q, k = query[at, of], keys[i, of]
                    if kind == "rotary":
                        q, k = rotated(q, at), rotated(k, i)
                    score = q @ k
                    if kind == "seqpe":
                        score = score + p[at, of] @ r[i, of]
                    score = score / 8**0.5
                    if kind == "alibi":
                        score = score - (2**-4, 2**-8)[h] * (at - i)
                    scores.append(score)
                row.append(torch.softmax(torch.stack(scores), 0) @ values[: at + 1, of])
            heard.append(torch.cat(row))
        x = x + torch.stack(heard) @ part.o_proj.weight.T
        x = x + layer.mlp(norm(x, layer.post_attention_layernorm.weight))
    return norm(x, model.model.norm.weight) @ model.lm_head.weight.T


def test_digits_stand_on_the_right_and_zeros_on_the_left():
    assert digits_of(torch.tensor([7, 70, 1024]), 4).tolist() == [[0, 0, 0, 7], [0, 0, 7, 0], [1, 0, 2, 4]]
    with pytest.raises(ValueError, match="positions of 3 digits are 0 to 999; got 5 to 1000"):
        digits_of(torch.tensor([5, 1000]), 3)
    with pytest.raises(ValueError, match="got -1 to 2"):
        digits_of(torch.tensor([2, -1]), 3)


@torch.no_grad()
def test_the_encoder_is_its_definition():
    torch.manual_seed(0)
    encoder = SequentialEncoder(12, 3, 4).double().eval()
    for weight in encoder.parameters():
        weight.copy_(torch.randn_like(weight) / 2)
    positions = [0, 7, 70, 700, 6543, 9999]
    want = torch.stack([vector(encoder, position) for position in positions])
    torch.testing.assert_close(encoder(torch.tensor(positions)), want, rtol=0, atol=1e-12)
    # Slots are of digits alone, and zeros on the left are read as any digit.
    assert len(encoder.slot.weight) == 4
    encoder.digit.weight[0] += torch.randn(12, dtype=torch.float64)
    assert (encoder(torch.tensor([7, 6543])) - want[[1, 4]]).abs().amax(1).gt(1e-9).tolist() == [True, False]


@torch.no_grad()
def test_the_encoder_says_what_the_published_one_says():
    """Numbers of ghrua/seqpe @ 4c4b908, `SequentialPE(16, 2, 2, 4, use_last_layernorm=True, mask_padding=False)`."""
    encoder = SequentialEncoder(16, 2, 4).eval()
    for number, weight in enumerate(encoder.parameters()):
        each = torch.arange(weight.numel(), dtype=torch.float64)
        weight.copy_((0.4 * torch.sin(each * (number + 1) + number)).view(weight.shape))
    published = [
        [-0.847901, -0.116636, -0.284176],
        [-0.883044, -0.066073, -0.328694],
        [-0.900724, -0.046036, -0.342582],
        [-0.844092, -0.100386, -0.313586],
    ]
    found = encoder(torch.tensor([0, 7, 907, 1023]))[:, :3]
    torch.testing.assert_close(found, torch.tensor(published), rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_model_is_its_definition(kind):
    model, ids = small(kind), torch.randint(3, 60, (11,), generator=torch.Generator().manual_seed(0))
    want = defined(model, ids)
    torch.testing.assert_close(model(ids[None], use_cache=False).logits[0], want, rtol=0, atol=2e-6)
    elsewhere = model(ids[None], position_ids=torch.arange(11)[None] + 50, use_cache=False).logits[0]
    # What is said of distances alone does not change with the place; the rest does.
    assert torch.allclose(elsewhere, want, atol=1e-5) == (kind in ("alibi", "rotary"))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_text_read_in_pieces_is_the_text_read_whole(kind):
    model, ids = small(kind), torch.randint(3, 60, (2, 90), generator=torch.Generator().manual_seed(0))
    whole = model(ids, use_cache=False).logits
    cache, parts = None, []
    for part in ids.split([70, 1, 1, 18], 1):
        out = model(part, past_key_values=cache, use_cache=True)
        cache, parts = out.past_key_values, [*parts, out.logits]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_position_has_the_same_bits_in_any_company_and_new_ones_with_new_weights():
    model, x = small(), torch.zeros(1, 1, 16)
    many = model.model.rotary_emb(x, torch.arange(300)[None])
    model.eval()
    for position in (3, 64, 299):
        one = model.model.rotary_emb(x, torch.tensor([[position]]))
        assert torch.equal(one.query[0, 0], many.query[0, position])
        assert torch.equal(one.key[0, 0], many.key[0, position])
    learning = model.train().model.rotary_emb.encoder.requires_grad_(True)
    learning.slot.weight += 1
    assert not torch.equal(model.eval().model.rotary_emb(x, torch.tensor([[3]])).key[0, 0], many.key[0, 3])


def test_where_it_learns_the_encoder_is_reached():
    model = small()
    for train in (True, False):
        model.train(train).zero_grad()
        model(torch.tensor([[5, 6, 7]]), use_cache=False).logits.square().sum().backward()
        assert model.model.rotary_emb.encoder.slot.weight.grad.abs().sum() > 0


def test_what_is_heard_has_a_gradient_behind_positions_that_were_kept():
    model, vectors = small().requires_grad_(False), torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        kept = model(inputs_embeds=vectors, use_cache=False).logits
    vectors.requires_grad_()
    again = model(inputs_embeds=vectors, use_cache=False).logits
    assert torch.equal(again, kept)
    again.square().sum().backward()
    assert (vectors.grad.abs().sum(-1) > 0).all()


def test_regularisers_are_their_definitions_and_the_teacher_learns_nothing():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    pivots, candidates, nearest = draw(3, 4), draw(3, 5, 4), torch.tensor([4, 0, 2])
    losses = []
    for pivot, those, right in zip(pivots, candidates, nearest, strict=True):
        products = [float(pivot @ one) for one in those]
        losses.append(math.log(sum(map(math.exp, products))) - products[right])
    torch.testing.assert_close(float(contrastive_loss(pivots, candidates, nearest)), sum(losses) / 3)
    teacher, student = draw(2, 5, 6).requires_grad_(), draw(2, 5, 6).requires_grad_()
    total = 0.0
    for one, two in zip(teacher, student, strict=True):
        for h in range(3):
            part = slice(2 * h, 2 * h + 2)
            p, q = (torch.softmax(each[:, part] @ each[:, part].T, 1) for each in (one, two))
            total += float((p * (p / q).log() + q * (q / p).log()).sum().detach())
    loss = distillation_loss(teacher, student, 3)
    # Over all entries: heads, rows and columns.
    torch.testing.assert_close(float(loss.detach()), total / (2 * 3 * 5 * 5))
    loss.backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_candidates_are_others_and_the_nearest_is_the_right_one():
    generator = torch.Generator().manual_seed(0)
    pivots = torch.randint(1000, (200,), generator=generator)
    candidates = draw_candidates(pivots.tolist(), 1000, 160, generator)
    assert candidates.shape == (200, CANDIDATES)
    assert candidates.min() >= 0
    assert candidates.max() < 1000
    stretches = 0
    for pivot, row, right in zip(
        pivots.tolist(), candidates.tolist(), nearest_of(pivots, candidates).tolist(), strict=True
    ):
        assert pivot not in row
        assert len(set(row)) == CANDIDATES
        assert abs(row[right] - pivot) == min(abs(one - pivot) for one in row)
        stretches += max(row) - min(row) < 170
    assert 90 <= stretches <= 150, "some 60 % are of one stretch"
    assert {edited(7, 10, generator) for _ in range(200)} == set(range(10)) - {7}


def test_texts_are_moved_now_and_then_and_distilled_positions_are_ones_that_they_never_have():
    generator = torch.Generator().manual_seed(0)
    starts = [draw_starts(4, 64, 1024, generator) for _ in range(2000)]
    moved = [where for where, is_moved in starts if is_moved]
    assert 150 < len(moved) < 250
    assert all((where == 0).all() for where, is_moved in starts if not is_moved)
    reached = torch.cat(moved)
    assert reached.min() < 20
    assert 940 < reached.max() <= 1024 - 64
    assert any(len(where.unique()) == 4 for where in moved)
    places, away = draw_moved(64, 1024, 500, generator)
    assert places.max() < 64 <= away.min()
    assert away.max() < 1024
    assert all(len(row.unique()) == 32 for row in places)
    assert (away - places == (away - places)[:, :1]).all()


def test_a_step_reads_moved_texts_and_leaves_their_distillation_out(monkeypatch):
    recipe = training.Recipe(width=16, heads=2, window=8, reach=100, batch=2, regularised=2)
    model, texts = training.build("seqpe", recipe, 60, 0), torch.randint(3, 60, (2, 9))
    read, distilled = [], []
    monkeypatch.setattr(training, "distillation_loss", lambda *parts: distilled.append(parts) or torch.zeros(()))
    places = model.model.rotary_emb.forward
    monkeypatch.setattr(
        model.model.rotary_emb, "forward", lambda x, position_ids: read.append(position_ids) or places(x, position_ids)
    )
    for moved in (False, True):
        at = torch.tensor([[30], [70]]) if moved else torch.zeros(2, 1, dtype=torch.long)
        monkeypatch.setattr(training, "draw_starts", lambda *_, at=at, moved=moved: (at, moved))
        training.step_loss(model, texts, recipe, torch.Generator())
    assert read[0][0].tolist() == list(range(8))
    assert read[1][:, 0].tolist() == [30, 70]
    assert len(distilled) == 1


@torch.no_grad()
def test_learned_rows_are_stretched_to_a_longer_text():
    model = small("learned", reach=8)
    rows = model.model.rotary_emb
    with pytest.raises(ValueError, match="there are 8 learned positions; got position 8"):
        model(torch.tensor([[5] * 9]), use_cache=False)
    rows.stretched = 16
    added = rows(torch.zeros(1, 16, 16), torch.arange(16)[None]).added[0]
    # Centres of the new places among those of the old ones: place 5 of 16 is at 2.25 of 8.
    torch.testing.assert_close(added[5], 0.75 * rows.rows.weight[2] + 0.25 * rows.rows.weight[3])


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="one of seqpe, learned, sinusoidal, alibi, rotary; got 'nope'"):
        SeqPEConfig(positions="nope")
    with pytest.raises(
        ConfigError, match="positions seqpe with reach 99 are 100; max_position_embeddings is no more, but 101"
    ):
        SeqPEConfig(reach=99, max_position_embeddings=101)
    with pytest.raises(ConfigError, match="positions learned with reach 99 are 99"):
        SeqPEConfig(positions="learned", reach=99, max_position_embeddings=100)
    with pytest.raises(ConfigError, match="encoder_dropout is 0 or more and below 1"):
        SeqPEConfig(encoder_dropout=1.0, max_position_embeddings=1024)
    with pytest.raises(ModelError, match="alibi are exact in float32 and above, and the model is in bfloat16"):
        small("alibi").bfloat16()(torch.tensor([[5, 6]]))
    with pytest.raises(ConfigError, match="keys of their own"):
        SeqPEForCausalLM(
            SeqPEConfig(hidden_size=16, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64)
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("seqpe")
    small().save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return LoadedModel(folder, name="seqpe", dtype="float32", device="cpu", rows=4)


def test_the_engine_runs_it_row_by_row_and_batch_invariant(loaded):
    assert type(loaded.model) is SeqPEForCausalLM
    assert (loaded.verdict.way, loaded.verdict.invariant) == ("by_row", True)


def test_cipher_equals_a_plain_loop_and_a_one_hot_belief_is_its_token(loaded):
    assert_says_what_a_plain_loop_says(loaded, max_tokens=12)


def test_vectors_are_heard_alone_and_in_company_to_the_same_bytes(loaded):
    long = "An old tale that is told at the beginning of every prompt, and shared, "
    assert_hears_alone_as_in_company(loaded, count=5, before=long, max_tokens=lambda n: 3 + 5 * n)


def test_what_is_saved_is_loaded(folder):
    again, first = SeqPEForCausalLM.from_pretrained(folder), small()
    for (name, one), (other, two) in zip(first.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(one, two), name


def test_the_recipe_trains_and_keeps(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    (data / "input.txt").write_text("So it is said, and so it was.\n" * 60)
    tiny = training.Recipe(
        width=16, heads=2, window=8, longest=32, reach=100, steps=2, batch=2, regularised=2, measured=4
    )
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    told = []
    claims = training.claims(tmp_path / "out", seeds=2, data=data, progress=told.append)
    assert all(len(claim.ours) == 2 and all(map(math.isfinite, claim.ours)) for claim in claims)
    assert len(told) == 2 * len(training.KINDS)
    assert "at 8" in told[0]
    assert "at 32; ratio" in told[0]
    again = training.claims(tmp_path / "out", seeds=2, data=data)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]


def test_its_debate_is_played_in_prompts_longer_than_it_was_trained_on(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    lines = (f"And then came number {n} to the king," for n in range(2000))
    (data / "input.txt").write_text("\n".join(lines))
    rows = ("single", "cipher", "sinusoidal")
    for kind in ("seqpe", "sinusoidal"):
        small(kind, reach=900).save_pretrained(tmp_path / kind)
        TOKENIZER.save_pretrained(tmp_path / kind)
    models = {"model": "seqpe", "agents.bob.model": "seqpe"}
    models |= {f"methods.sinusoidal.agents.{name}.model": "sinusoidal" for name in ("ann", "bob")}
    shipped = configs_folder() / "minds" / "seqpe.yaml"
    config = load_config(shipped, [f"{key}={tmp_path / kind}" for key, kind in models.items()])
    asyncio.run(evaluate(config, out=tmp_path / "run", limit=2, methods=rows, data=data))
    played = list(read_method(tmp_path / "run" / "cipher"))
    assert len(played) == 2
    for debate in played:
        said = debate.transcript.last_of("ann")
        assert said.usage.prompt_tokens > 150
        assert said.message.cipher is not None
