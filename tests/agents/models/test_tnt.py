"""Words in their sentences, what a sentence is told, and official checkpoints by their names, held against timm's scores."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from support.official_pictures import tnt, waves
from support.random_models import generator, shaken

from agents.errors import ConfigError, ModelError
from agents.models.tnt.backend import TNTBackend
from agents.models.tnt.config import TNTConfig
from agents.models.tnt.model import TNT, Block, cut

SMALL = TNTConfig(("a", "b", "c"), side=16, patch=8, stride=2, width=8, depth=2, heads=2, inner_width=4, inner_heads=2)
FIVE = ("a", "b", "c", "d", "e")
# Scores of timm 1.0.31's TNT on the weights of `official_pictures.tnt` and its picture, by whether it is a legacy model.
PUBLISHED = {
    False: (-2.45036, -1.01898, 0.53746, 1.48787, 1.94596),
    True: (-0.68906, 2.78259, -1.22402, -1.58707, -1.32717),
}
# The authors' name of a module ← timm's.
THEIRS = {
    "patch_pos": "outer_pos", "pixel_pos": "inner_pos", "pixel_embed": "patch_embed", "norm1_proj": "proj_norm1",
    "norm2_proj": "proj_norm2", "norm_in": "inner_norm1", "attn_in": "inner_attn", "norm_mlp_in": "inner_norm2",
    "mlp_in": "inner_mlp", "norm_out": "outer_norm1", "attn_out": "outer_attn", "norm_mlp": "outer_norm2", "mlp": "outer_mlp",
}  # fmt: skip


def test_a_picture_is_cut_row_by_row():
    picture = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    squares = cut(picture, 2)
    assert squares.shape == (2 * 6, 3, 2, 2)
    assert torch.equal(squares[0], picture[0, :, :2, :2])
    assert torch.equal(squares[4], picture[0, :, 2:4, 2:4])
    assert torch.equal(squares[6 + 2], picture[1, :, :2, 4:6])


@pytest.mark.parametrize("whole", [False, True])
@torch.inference_mode()
def test_words_are_those_of_their_sentence(whole):
    """What changes in the middle of a patch changes the words of that sentence alone; elsewhere they are the same bits."""
    model = shaken(lambda: TNT(replace(SMALL, whole=whole)))
    pixels = torch.randn(2, 3, 16, 16, generator=generator())
    words = model.pixel_embed(pixels, model.pixel_pos)
    assert words.shape == (2 * 4, 16, 4)
    changed = pixels.clone()
    changed[1, :, 12, 3] += 5.0  # second picture, patch at the bottom left
    moved = (model.pixel_embed(changed, model.pixel_pos) != words).any(-1).any(-1)
    assert moved.nonzero()[:, 0].tolist() == [4 + 2]
    # At the edge of a patch, only words that are made of the whole picture notice the neighbour.
    changed = pixels.clone()
    changed[0, :, 2, 7] += 5.0
    moved = (model.pixel_embed(changed, model.pixel_pos) != words).any(-1).any(-1)
    assert moved.nonzero()[:, 0].tolist() == ([0, 1] if whole else [0])


@pytest.mark.parametrize("whole", [False, True])
@torch.inference_mode()
def test_a_sentence_is_told_its_own_words_and_the_class_token_none(whole):
    block = shaken(lambda: Block(replace(SMALL, whole=whole)))
    noise = generator()
    words, sentences = torch.randn(2 * 4, 16, 4, generator=noise), torch.randn(2, 5, 8, generator=noise)
    inner = words + block.attn_in(block.norm_in(words))
    inner = inner + block.mlp_in(block.norm_mlp_in(inner))
    want = sentences.clone()
    for picture in (0, 1):
        for place in range(4):
            own = inner[4 * picture + place]
            if whole:
                want[picture, 1 + place] += block.proj(block.norm1_proj(own).flatten())
            else:
                want[picture, 1 + place] += block.norm2_proj(block.proj(block.norm1_proj(own.flatten())))
    want = want + block.attn_out(block.norm_out(want))
    want = want + block.mlp(block.norm_mlp(want))
    after, found = block(words, sentences)
    assert torch.allclose(after, inner, atol=1e-6)
    assert torch.allclose(found, want, atol=1e-5)


@torch.inference_mode()
def test_without_the_inner_transformer_words_stay_what_they_were():
    block = shaken(lambda: Block(replace(SMALL, inner=False)))
    words, sentences = torch.randn(4, 16, 4, generator=generator()), torch.randn(1, 5, 8, generator=generator(1))
    after, found = block(words, sentences)
    assert torch.equal(after, words)
    # They are told all the same.
    assert not torch.allclose(found, block(words + 1.0 * torch.arange(4), sentences)[1], atol=1e-3)


@pytest.mark.parametrize("legacy", PUBLISHED)
def test_an_official_file_sees_what_timm_sees(tmp_path, legacy):
    weights = tnt(legacy=legacy)
    save_file(weights, tmp_path / "x.safetensors")
    model = TNTBackend.published(tmp_path / "x.safetensors", FIVE)
    config = model.config
    assert (config.side, config.patch, config.stride, config.whole) == (224, 16, 4, legacy)
    assert (config.width, config.depth, config.heads, config.inner_width, config.inner_heads) == (64, 2, 1, 8, 4)
    assert (config.crop, config.mean) == (0.9, (0.5, 0.5, 0.5))
    assert set(weights) == set(model.state_dict())
    with torch.inference_mode():
        assert model(waves(224))[0].tolist() == pytest.approx(PUBLISHED[legacy], abs=1e-4)


@torch.inference_mode()
def test_the_authors_files_have_names_and_a_layout_of_their_own(tmp_path):
    weights = {".".join(THEIRS.get(part, part) for part in name.split(".")): value for name, value in tnt().items()}
    weights["inner_pos"] = weights["inner_pos"].flatten(2).transpose(1, 2).contiguous()
    weights["outer_tokens"] = torch.zeros(1, 196, 64)
    torch.save({"state_dict": weights}, tmp_path / "tnt_s_81.5.pth.tar")
    model = TNTBackend.published(tmp_path / "tnt_s_81.5.pth.tar", FIVE)
    assert model(waves(224))[0].tolist() == pytest.approx(PUBLISHED[False], abs=1e-4)
    assert TNTBackend.from_pretrained(str(tmp_path / "tnt_s_81.5.pth.tar"), labels=FIVE).config == model.config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"side": 15}, "side is a multiple of patch"),
        ({"stride": 3}, "patch of stride"),
        ({"heads": 3}, "widths are multiples of heads"),
        ({"depth": 0}, "sizes are at least 1"),
        ({"labels": ()}, "there are labels"),
        ({"mean": (0.5,)}, "mean and deviation have three numbers"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(SMALL, **changes)


def test_what_is_no_official_file_is_a_sentence(tmp_path):
    save_file({"head.bias": torch.zeros(3)}, tmp_path / "y.safetensors")
    with pytest.raises(ModelError, match=r"y\.safetensors is no official TNT: KeyError"):
        TNTBackend.published(tmp_path / "y.safetensors")
