"""The exchange of class tokens, what it costs, and official checkpoints by their names, held against timm's scores."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from support.official_pictures import crossvit, waves
from support.random_models import generator, shaken

from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError, ModelError
from agents.models.crossvit.backend import CrossViTBackend
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT, Stage
from agents.observation import Image
from agents.question import Question

SMALL = CrossViTConfig(
    ("a", "b", "c"), sides=(16, 16), widths=(8, 12), depths=(1, 2), hidden=(8, 12), stages=2, heads=2
)
FIVE = ("a", "b", "c", "d", "e")
# Scores of timm 1.0.31's CrossVit on the weights of `official_pictures.crossvit` and its picture, without a stem and with one.
PUBLISHED = {
    False: (-0.05985, -0.63163, -0.95379, -0.39592, -1.44453),
    True: (-0.15528, -0.49101, -0.85129, -0.01226, -1.58672),
}


def tokens(config=SMALL):
    noise = generator()
    return [torch.randn(2, 1 + config.counts[i], config.widths[i], generator=noise) for i in (0, 1)]


@torch.inference_mode()
def test_only_class_tokens_look_at_the_other_branch():
    """Patches of a branch are what its own blocks make of them; the class token is another for other patches over there."""
    stage, branches = shaken(lambda: Stage(SMALL)), tokens()
    seen = [stage.blocks[i](branches[i]) for i in (0, 1)]
    found = stage(branches)
    for i in (0, 1):
        assert torch.equal(found[i][:, 1:], seen[i][:, 1:])
        assert not torch.allclose(found[i][:, 0], seen[i][:, 0], atol=1e-3)
    changed = [branches[0], branches[1].clone()]
    changed[1][:, 3] += torch.arange(12.0)
    other = stage(changed)
    assert torch.equal(other[0][:, 1:], found[0][:, 1:])
    assert not torch.allclose(other[0][:, 0], found[0][:, 0], atol=1e-5)


@torch.inference_mode()
def test_both_look_at_what_the_other_was_before_the_exchange():
    """In plain steps: to the other width, attention of one query, back; each of tokens that nothing was written to yet."""
    stage, branches = shaken(lambda: Stage(SMALL)), tokens()
    seen = [stage.blocks[i](branches[i]) for i in (0, 1)]
    for i, found in enumerate(stage(branches)):
        others = seen[1 - i][0, 1:]
        own = stage.projs[i](seen[i][0, :1])
        attention, heads = stage.fusion[i].attn, []
        x = stage.fusion[i].norm1(torch.cat([own, others]))
        size = x.shape[1] // 2
        for head in (0, 1):
            part = slice(size * head, size * (head + 1))
            q, k, v = attention.wq(x[:1])[0, part], attention.wk(x)[:, part], attention.wv(x)[:, part]
            heads.append((k @ q / size**0.5).softmax(0) @ v)
        want = stage.revert_projs[i](own + attention.proj(torch.cat(heads)))
        assert torch.allclose(found[0, 0], want[0], atol=1e-5)


@torch.inference_mode()
def test_the_exchange_costs_as_much_as_there_are_patches(monkeypatch):
    """Scores that attention makes: one a patch and head of either branch, where all to all would be the square of that."""
    made = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def counted(q, k, v):
        made.append(q.shape[-2] * k.shape[-2])
        return attend(q, k, v)

    stage, branches = shaken(lambda: Stage(SMALL)), tokens()
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    stage(branches)
    few, many = SMALL.counts[1], SMALL.counts[0]
    # One block of the first branch, two of the second, then both exchanges.
    assert made == [(1 + many) ** 2, *2 * [(1 + few) ** 2], 1 + few, 1 + many]


@torch.inference_mode()
def test_scores_of_both_branches_are_averaged():
    model = shaken(lambda: CrossViT(SMALL))
    pixels = torch.randn(2, 3, 16, 16, generator=generator())
    branches = model.tokens(pixels)
    for stage in model.blocks:
        branches = stage(branches)
    each = [model.head[i](model.norm[i](branches[i])[:, 0]) for i in (0, 1)]
    assert torch.allclose(model(pixels), (each[0] + each[1]) / 2, atol=1e-6)
    apart = shaken(lambda: CrossViT(replace(SMALL, fused=False)))
    assert not any("fusion" in name for name in apart.state_dict())
    assert apart(pixels).shape == (2, 3)


@pytest.mark.parametrize("stem", PUBLISHED)
def test_an_official_file_sees_what_timm_sees(tmp_path, stem):
    weights = crossvit(stem=stem)
    save_file(weights, tmp_path / "x.safetensors")
    model = CrossViTBackend.published(tmp_path / "x.safetensors", FIVE)
    config = model.config
    assert (config.sides, config.patches, config.widths, config.depths) == ((240, 224), (12, 16), (64, 128), (1, 2))
    assert (config.stages, config.heads, config.hidden, config.stem) == (2, 2, (128, 256), stem)
    assert (config.crop, config.mean) == (0.875, (0.485, 0.456, 0.406))
    assert set(weights) == set(model.state_dict())
    with torch.inference_mode():
        assert model(waves(240))[0].tolist() == pytest.approx(PUBLISHED[stem], abs=1e-4)


@torch.inference_mode()
def test_the_authors_files_have_other_names_of_positions(tmp_path):
    """`pos_embed.0` and `cls_token.0`; in timm `pos_embed_0` and `cls_token_0`. What is wrapped around is taken off."""

    def theirs(name):
        for part in ("pos_embed", "cls_token"):
            name = name.replace(f"{part}_", f"{part}.")
        return name

    weights = crossvit()
    torch.save({"model": {theirs(name): value for name, value in weights.items()}}, tmp_path / "x.pth")
    model = CrossViTBackend.published(tmp_path / "x.pth")
    assert model.config.labels == tuple(f"class {number}" for number in range(5))
    assert model(waves(240))[0].tolist() == pytest.approx(PUBLISHED[False], abs=1e-4)


def test_a_larger_official_model_sees_the_whole_square(tmp_path):
    save_file(crossvit(sides=(408, 384), depths=(1, 1), stages=1, stem=True), tmp_path / "x.safetensors")
    assert CrossViTBackend.published(tmp_path / "x.safetensors").config.crop == 1.0


def test_names_of_classes_are_a_list_or_a_file(tmp_path):
    save_file(crossvit(depths=(1, 1), stages=1), tmp_path / "x.safetensors")
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    asked = {"checkpoint": str(tmp_path / "x.safetensors")}
    backend = create_belief_backend("crossvit", **asked, labels=str(tmp_path / "names.txt"))
    assert backend.config.labels == FIVE
    (belief,) = backend.believe([Question("case", "?", (Image(torch.rand(3, 300, 260, generator=generator())),))])
    assert belief.labels == FIVE
    for labels, sentence in (
        (["a"], "has 5 classes; 1 labels were given"),
        (["a", "b", "c", "d", "a"], "labels are different and not empty; 'a' is not"),
        (str(tmp_path / "none.txt"), "cannot read the labels .*none.txt: No such file"),
    ):
        with pytest.raises(ModelError, match=sentence):
            create_belief_backend("crossvit", **asked, labels=labels)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sides": (16, 15)}, "sides are multiples of patches"),
        ({"heads": 3}, "widths are multiples of heads"),
        ({"stages": 0}, "sizes are at least 1"),
        ({"depths": (1,)}, "of two branches"),
        ({"crop": 0.0}, "crop 0.25 to 1"),
        ({"deviation": (0.5, 0.5, 0.0)}, "deviation have three numbers"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(SMALL, **changes)
    with pytest.raises(ConfigError, match="a stem of convolutions is of patches of 12 or 16"):
        CrossViT(replace(SMALL, stem=True))


def test_what_is_no_official_file_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="ships no weights: give checkpoint"):
        CrossViTBackend.from_pretrained()
    (tmp_path / "x.safetensors").write_bytes(b"spam")
    with pytest.raises(ModelError, match=r"x\.safetensors is no official CrossViT"):
        CrossViTBackend.published(tmp_path / "x.safetensors")
    save_file({"head.0.bias": torch.zeros(3)}, tmp_path / "y.safetensors")
    with pytest.raises(ModelError, match=r"y\.safetensors is no official CrossViT: KeyError"):
        CrossViTBackend.published(tmp_path / "y.safetensors")
    torch.save({"epoch": 3}, tmp_path / "z.pth")
    with pytest.raises(ModelError, match="it holds no state dict"):
        CrossViTBackend.published(tmp_path / "z.pth")
