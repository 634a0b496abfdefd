"""The network against a plain one, patchout after positions, the front end against the plain transform, official names."""

import math
from dataclasses import replace

import pytest
import torch
from support.contracts import small_passt
from support.official_passt import chirp, lively, official
from support.random_models import generator, shaken
from support.small_data import digits

from agents.beliefs.cards import create_belief_backend
from agents.errors import BeliefError, ConfigError, ModelError
from agents.models.passt import training
from agents.models.passt.backend import PaSSTBackend, pieces
from agents.models.passt.config import PaSSTConfig
from agents.models.passt.features import kaldi_filters, spectrogram
from agents.models.passt.model import PaSST
from agents.models.passt.official import from_official
from agents.models.passt.training import RECIPE, accuracy, claims, probed, train, without_patchout
from agents.models.sounds.spoken_digits import DIGITS, read_digits
from agents.observation import Audio
from agents.question import Question

SMALL = PaSSTConfig(("a", "b", "c"), width=8, depth=2, heads=2, mels=20, frames=32, patch=8, stride=4, drop_patches=3)


def small(config=SMALL):
    return shaken(lambda: PaSST(config))


@torch.inference_mode()
def test_the_network_is_the_plain_one_in_float64():
    """Patches cut out one by one, attention one head and one token at a time."""
    model = small()
    w = {name: value.double() for name, value in model.state_dict().items()}
    frames = torch.randn(20, 32, generator=generator(), dtype=torch.float64)

    def norm(x, name, epsilon):
        centred = x - x.mean()
        return centred / (centred.pow(2).mean() + epsilon).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x, name):
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    tokens = [w[name][0, 0] + w["new_pos_embed"][0, place] for place, name in enumerate(("cls_token", "dist_token"))]
    for f in range(4):
        for t in range(7):
            patch = frames[4 * f : 4 * f + 8, 4 * t : 4 * t + 8]
            seen = (w["patch_embed.proj.weight"][:, 0] * patch).sum((1, 2)) + w["patch_embed.proj.bias"]
            tokens.append(seen + w["freq_new_pos_embed"][0, :, f, 0] + w["time_new_pos_embed"][0, :, 0, t])
    for block in ("blocks.0", "blocks.1"):
        read = [linear(norm(x, f"{block}.norm1", 1e-6), f"{block}.attn.qkv") for x in tokens]
        after = []
        for mine in read:
            heads = []
            for head in (0, 1):
                q = mine[4 * head : 4 * head + 4]
                scores = torch.stack([q @ r[8 + 4 * head : 12 + 4 * head] / 2.0 for r in read]).softmax(0)
                heads.append(sum(s * r[16 + 4 * head : 20 + 4 * head] for s, r in zip(scores, read, strict=True)))
            after.append(linear(torch.cat(heads), f"{block}.attn.proj"))
        tokens = [x + a for x, a in zip(tokens, after, strict=True)]
        hidden = [linear(norm(x, f"{block}.norm2", 1e-6), f"{block}.mlp.fc1") for x in tokens]
        gelu = [h * 0.5 * (1 + torch.erf(h / math.sqrt(2))) for h in hidden]
        tokens = [x + linear(g, f"{block}.mlp.fc2") for x, g in zip(tokens, gelu, strict=True)]
    mean = (norm(tokens[0], "norm", 1e-6) + norm(tokens[1], "norm", 1e-6)) / 2
    want = linear(norm(mean, "head.0", 1e-5), "head.1")
    assert torch.allclose(model(frames.float()[None])[0].double(), want, atol=1e-4)


@torch.inference_mode()
def test_patches_have_their_positions_before_some_are_left_out():
    """What stays is, to the last bit, among the patches of the whole grid with their positions, in their order."""
    model = small().train()
    frames = torch.randn(1, 20, 32, generator=generator())
    grid = model.positioned(frames)
    assert grid.shape == (1, 8, 4, 7)
    stays = model.left(grid, generator(3))[0].T
    assert len(stays) == (4 - 1) * (7 - 3) - 3
    every = grid[0].flatten(1).T
    places = [int((every == each).all(1).nonzero()) for each in stays]
    assert places == sorted(places)
    rows, columns = {place // 7 for place in places}, {place % 7 for place in places}
    assert len(rows) <= 3
    assert len(columns) <= 4
    other = model.left(grid, generator(4))[0].T
    assert not torch.equal(stays, other)


@torch.inference_mode()
def test_structured_patchout_takes_whole_rows_and_columns():
    model = small(PaSSTConfig(**{**SMALL.sizes, "drop_patches": 0})).train()
    grid = torch.arange(28.0).reshape(1, 1, 4, 7)
    stays = model.left(grid, generator(1))[0, 0].int().tolist()
    rows, columns = sorted({place // 7 for place in stays}), sorted({place % 7 for place in stays})
    assert (len(rows), len(columns)) == (3, 4)
    assert stays == [7 * row + column for row in rows for column in columns]


@torch.inference_mode()
def test_all_patches_are_heard_in_use():
    model = small()
    frames = torch.randn(2, 20, 32, generator=generator())
    assert torch.equal(model(frames), model(frames))
    everything = small(without_patchout(SMALL)).train()
    assert torch.allclose(everything(frames), model(frames), atol=1e-5)
    # Each patch counts: a change in any one changes the scores.
    for t in (0, 15, 31):
        changed = frames.clone()
        changed[:, 3, t] += 5.0
        assert float((model(changed) - model(frames)).abs().max()) > 1e-5


@torch.inference_mode()
def test_a_short_sound_has_the_first_positions_and_in_training_any():
    model = small()
    frames = torch.randn(1, 20, 16, generator=generator())
    cut, positions = model.positioned(frames), model.time_new_pos_embed
    bare = model.patch_embed["proj"](frames[:, None]) + model.freq_new_pos_embed
    assert torch.equal(cut, model.patch_embed["proj"](frames[:, None]) + positions[..., :3] + model.freq_new_pos_embed)
    model.train()
    found = set()
    for seed in range(40):
        offsets = model.positioned(frames, generator(seed)) - bare
        (first,) = [
            n for n in range(5) if torch.allclose(offsets, positions[..., n : n + 3].expand_as(offsets), atol=1e-5)
        ]
        found.add(first)
    assert found == set(range(5))


def test_the_spectrogram_is_the_plain_transform():
    config = PaSSTConfig(
        ("a", "b"), transform=64, window=48, hop=20, mels=5, frames=16, patch=4, stride=1, top_hz=3500.0
    )
    samples = torch.randn(1, 401, generator=generator(), dtype=torch.float64)
    found = spectrogram(samples.float(), config)[0]
    assert found.shape == (5, 21)
    sharp = samples[0, 1:] - 0.97 * samples[0, :-1]
    window = torch.zeros(64, dtype=torch.float64)
    window[8:56] = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(48, dtype=torch.float64) / 47)
    bins = torch.arange(33, dtype=torch.float64)[:, None] * torch.arange(64, dtype=torch.float64)
    filters = kaldi_filters(5, 64, 8000, 3500.0).double()
    for t in (3, 10):
        piece = sharp[20 * t - 32 : 20 * t + 32] * window
        power = (torch.cos(2 * math.pi * bins / 64) @ piece) ** 2 + (torch.sin(2 * math.pi * bins / 64) @ piece) ** 2
        assert torch.allclose(found[:, t].double(), ((filters @ power + 1e-5).log() + 4.5) / 5, atol=1e-3)
    # Triangles that are straight in mel: a bin between two centres has weights that sum to 1, whatever the scale.
    wide = kaldi_filters(20, 512, 8000, 3750.0)
    centres = wide.argmax(1)
    inside = wide[:, centres[0] + 1 : centres[-1]].sum(0)
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-5)
    assert float(wide[:, -1].sum()) == 0
    hertz = torch.tensor([1000.0, 1500.0, 2000.0], dtype=torch.float64)
    mel = 1127 * (1 + hertz / 700).log()
    top = 1127 * math.log(1 + 3750 / 700)
    third = (1 - (mel / (top / 21) - 12).abs()).clamp_min(0)
    assert torch.allclose(wide[11, (hertz / 8000 * 512).long()].double(), third, atol=1e-5)


def test_an_official_checkpoint_is_read_by_its_names_and_shapes(tmp_path):
    weights = official()
    torch.save(weights, tmp_path / "passt.pt")
    backend = create_belief_backend("passt", checkpoint=str(tmp_path / "passt.pt"))
    config = backend.model.config
    assert (config.width, config.depth, config.heads, config.stride, config.grid) == (768, 12, 12, 10, (12, 99))
    assert (config.rate_hz, config.transform, config.window, config.hop, config.mels) == (32_000, 1024, 800, 320, 128)
    loaded = backend.model.state_dict()
    assert set(weights) - set(loaded) == {"head_dist.weight", "head_dist.bias"}
    assert all(torch.equal(loaded[name], weights[name]) for name in loaded)
    (belief,) = backend.believe([Question("case", "?", (Audio(torch.randn(32_000, generator=generator()), 32_000),))])
    assert len(belief.probabilities) == 527
    assert (belief.labels[0], belief.labels[526]) == ("Speech", "Field recording")


@pytest.mark.parametrize(("stride", "rows", "columns"), [(10, 12, 99), (12, 10, 83), (14, 9, 71), (16, 8, 62)])
def test_strides_are_read_off_the_grid(tmp_path, stride, rows, columns):
    torch.save(official(64, 1, rows, columns, 3), tmp_path / "x.pt")
    model = from_official(tmp_path / "x.pt", ("a", "b", "c"))
    assert model.config.stride == stride
    assert model.config.grid == (rows, columns)
    assert model.config.labels == ("a", "b", "c")


def test_a_long_sound_is_heard_in_pieces(tmp_path):
    four = PaSSTConfig(
        ("a",), longest=4, hop=1, patch=4, stride=1, mels=4, frames=4, drop_bands=0, drop_times=0, drop_patches=0
    )
    assert pieces(torch.arange(10.0), four).tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]
    assert pieces(torch.arange(3.0), four).tolist() == [[0, 1, 2, 0]]
    assert pieces(torch.arange(5.0), four).tolist() == [[0, 1, 2, 3], [2, 3, 4, 0]]
    backend = create_belief_backend("passt", **small_passt(tmp_path))
    model, length = backend.model, backend.model.config.samples
    samples = torch.randn(length + length // 2, generator=generator())
    (belief,) = backend.believe([Question("case", "?", (Audio(samples, 8000),))])
    with torch.inference_mode():
        halves = torch.stack([samples[:length], samples[length // 2 : length // 2 + length]])
        scores = model(spectrogram(halves, model.config)).mean(0)
    assert belief.probabilities == pytest.approx(torch.softmax(scores / 0.7, 0).tolist(), abs=1e-4)


# The scores of github kkoutini/passt_hear21 @ 5f1cce6 (its wrapper, with torchaudio 2.9.1's filters) on `lively` weights and
# `chirp`, by columns of time and hop: sounds of 1, 3, 10 and 20 s.
PUBLISHED = {
    (99, 320): ((-1.62701, -0.58217, 0.65254), (-1.71931, -0.61649, 0.61685), (-1.81408, -0.49504, 0.59869),
                (-1.81412, -0.48984, 0.63827)),
    (200, 160): ((-0.88646, -1.33114, 0.24005), (-0.97127, -1.39219, 0.20495), (-0.99149, -1.39020, 0.14483),
                 (-0.93107, -1.36319, 0.10141)),
    (200, 320): ((-0.91283, -1.34532, 0.34397), (-0.99729, -1.39261, 0.26797), (-1.00087, -1.39885, 0.16191),
                 (-0.96664, -1.36112, 0.12841)),
    (320, 100): ((0.24385, 0.72226, 1.31770), (0.20825, 0.70477, 1.32479), (0.22508, 0.66968, 1.19152),
                 (0.19485, 0.51524, 1.35140)),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "hop"), PUBLISHED)
def test_an_official_file_hears_what_the_published_code_hears(tmp_path, columns, hop):
    torch.save(lively(columns), tmp_path / "x.pt")
    backend = PaSSTBackend(from_official(tmp_path / "x.pt", hop=hop if columns == 200 else None))
    assert backend.config.hop == hop
    with torch.inference_mode():
        for seconds, want in zip((1, 3, 10, 20), PUBLISHED[columns, hop], strict=True):
            found = backend.class_scores(Audio(chirp(seconds), 32_000)).tolist()
            assert found == pytest.approx(want, abs=1e-4)


def test_a_hop_that_tensors_do_not_tell_is_told_by_the_name_or_asked_for(tmp_path):
    weights = official(64, 1, 12, 200, 3)
    for name, hop, seconds in (("passt-s-f128-stfthop160-p16.pt", 160, 10), ("passt-s-f128-20sec-p16.pt", 320, 20)):
        torch.save(weights, tmp_path / name)
        config = from_official(tmp_path / name).config
        assert (config.hop, config.samples) == (hop, seconds * 32_000)
    torch.save(weights, tmp_path / "mine.pt")
    with pytest.raises(
        ModelError, match=r"file of 20 s and of the one with hop 160.*options: \{hop: 320\} or \{hop: 160\}"
    ):
        from_official(tmp_path / "mine.pt")
    backend = create_belief_backend("passt", checkpoint=str(tmp_path / "mine.pt"), hop=160)
    assert backend.model.config.hop == 160
    torch.save(official(64, 1, 12, 77, 3), tmp_path / "odd.pt")
    with pytest.raises(ModelError, match="no published file has 77 columns"):
        from_official(tmp_path / "odd.pt")
    small_passt(tmp_path / "ours")
    with pytest.raises(ModelError, match="hop is for official"):
        create_belief_backend("passt", checkpoint=str(tmp_path / "ours"), hop=160)


TINY = PaSSTConfig(
    DIGITS, width=32, depth=1, mels=32, transform=256, frames=48, patch=16, stride=16, drop_times=1, drop_bands=0
)


def test_training_is_seeded_and_learns_tones(tmp_path):
    clips = read_digits(digits(tmp_path), "train")
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        config = PaSSTConfig(**{**TINY.sizes, "drop_patches": 1})
        model = train(PaSST(config), clips, replace(RECIPE, epochs=60, batch=10, learning_rate=5e-3), seed=0)
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert accuracy(model, read_digits(tmp_path, "test")) >= 0.6


def test_the_probe_tells_apart_what_can_be():
    known = torch.randn(60, 4, generator=generator())
    classes = (known[:, 2] > 0).long() + 2 * (known[:, 0] > 0).long()
    asked = torch.randn(200, 4, generator=generator(1))
    want = (asked[:, 2] > 0).long() + 2 * (asked[:, 0] > 0).long()
    assert probed(known, classes, asked, want) > 0.7
    assert probed(known[:, 1:2], classes, asked[:, 1:2], want) < 0.5


def test_the_claim_table_is_made_of_trained_models(tmp_path, monkeypatch):
    digits(tmp_path)
    monkeypatch.setattr(training, "RECIPE", replace(RECIPE, epochs=1))
    monkeypatch.setattr(training, "TIMED_STEPS", 2)
    found = claims(tmp_path / "out", seeds=2, data=tmp_path)
    assert [len(claim.ours) for claim in found] == [2, 2, 2]
    assert all(0 <= value <= 1 for value in (*found[0].ours, *found[0].baseline, *found[2].ours))
    assert all(value > 0 for value in found[1].ours)
    assert len(list((tmp_path / "out").glob("*/config.json"))) == 4


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda folder: PaSSTBackend.from_pretrained(), ModelError, "ships no weights: give checkpoint"),
        (lambda folder: PaSSTBackend.from_pretrained(str(folder)), ModelError, "no PaSST in "),
        (
            lambda folder: PaSSTBackend.from_pretrained("/none.pt"),
            ModelError,
            r"/none\.pt is no official PaSST: FileNot",
        ),
        (lambda folder: PaSSTBackend.from_pretrained(str(folder), labels=["a"]), ModelError, "labels are for official"),
        (lambda folder: PaSSTBackend(small(), temperature=0.0), BeliefError, "temperature must be finite and above 0"),
        (
            lambda folder: PaSSTBackend(small(), temperature=math.inf),
            BeliefError,
            "must be finite and above 0; got inf",
        ),
        (lambda folder: PaSSTConfig(("a",), drop_bands=5), ConfigError, "patchout leaves at least one of 5 x 9"),
        (lambda folder: PaSSTConfig(("a",), patch=64), ConfigError, "a patch fits into mels and frames"),
        (lambda folder: PaSSTConfig(("a",), top_hz=5000.0), ConfigError, "top_hz under half"),
    ],
)
def test_mistakes_are_sentences(make, error, sentence, tmp_path):
    with pytest.raises(error, match=sentence):
        make(tmp_path)


class Thing:
    """What no checkpoint should hold."""


def test_a_file_with_more_than_tensors_is_not_opened(tmp_path):
    torch.save({"thing": Thing()}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="holds more than tensors"):
        from_official(tmp_path / "x.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "y.pt")
    with pytest.raises(ModelError, match="no official PaSST: KeyError"):
        from_official(tmp_path / "y.pt")
    torch.save(official(64, 1, 12, 99, 3), tmp_path / "z.pt")
    with pytest.raises(ModelError, match="the checkpoint has 3 classes; 2 labels"):
        from_official(tmp_path / "z.pt", ("a", "b"))
