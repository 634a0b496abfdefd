"""The network against a plain one, what variates may do, what is forecast as a belief, the splits, the recipe."""

import gzip
import math
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import NormalDist

import pytest
import torch
from support.random_models import generator, shaken
from support.small_data import SPLITS, ett
from support.small_series_models import small_itransformer

from agents.beliefs.cards import create_belief_backend
from agents.errors import BeliefError, ConfigError, ModelError, ObservationError, RequestError
from agents.models.forecasts import ett as ett_series
from agents.models.forecasts.ett import hourly_marks, read_ett, windows
from agents.models.forecasts.network import covered, error, fit_spread
from agents.models.itransformer import training
from agents.models.itransformer.backend import ITransformerBackend
from agents.models.itransformer.config import ITransformerConfig
from agents.models.itransformer.model import ITransformer
from agents.models.itransformer.training import PUBLISHED, PUBLISHED_CONFIG, Recipe, TimeTokens, claims, train
from agents.observation import Series
from agents.question import Question

SMALL = ITransformerConfig(lookback=8, horizon=4, width=8, hidden=12, depth=2, heads=2)


def small(config=SMALL):
    return shaken(lambda: ITransformer(config))


@torch.inference_mode()
def test_the_network_is_the_plain_one_in_float64():
    """Post-norm blocks written out, one variate and one head at a time."""
    model = small()
    w = {name: value.double() for name, value in model.state_dict().items()}
    window = 3.0 + 2.0 * torch.randn(8, 3, generator=generator(), dtype=torch.float64)

    def norm(x, name):
        centred = x - x.mean()
        return centred / (centred.pow(2).mean() + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x, name):
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    scales = [(column.mean(), (column.var(correction=0) + 1e-5).sqrt()) for column in window.T]
    tokens = [linear((c - mean) / s, "embedding") for c, (mean, s) in zip(window.T, scales, strict=True)]
    for number in (0, 1):
        layer = f"encoder.layers.{number}"
        read = [w[f"{layer}.self_attn.in_proj_weight"] @ x + w[f"{layer}.self_attn.in_proj_bias"] for x in tokens]
        after = []
        for mine in read:
            heads = []
            for head in (0, 1):
                place = slice(4 * head, 4 * head + 4)
                scores = torch.stack([mine[:8][place] @ r[8:16][place] / 2.0 for r in read]).softmax(0)
                heads.append(sum(s * r[16:][place] for s, r in zip(scores, read, strict=True)))
            after.append(linear(torch.cat(heads), f"{layer}.self_attn.out_proj"))
        tokens = [norm(x + a, f"{layer}.norm1") for x, a in zip(tokens, after, strict=True)]
        hidden = [linear(x, f"{layer}.linear1") for x in tokens]
        gelu = [h * 0.5 * (1 + torch.erf(h / math.sqrt(2))) for h in hidden]
        tokens = [norm(x + linear(g, f"{layer}.linear2"), f"{layer}.norm2") for x, g in zip(tokens, gelu, strict=True)]
    said = [linear(norm(x, "encoder.norm"), "head") * s + m for x, (m, s) in zip(tokens, scales, strict=True)]
    assert torch.allclose(model(window.float()[None])[0].double(), torch.stack(said, 1), atol=1e-4)


def waved(model):
    """Set a model's weights to sines of their places, the same in every framework."""
    for number, parameter in enumerate(model.parameters()):
        parameter.data = torch.sin(1.7 * torch.arange(parameter.numel(), dtype=torch.float64) + number).reshape(
            parameter.shape
        )
    return model


@torch.inference_mode()
def test_marks_of_time_are_tokens_as_in_the_published_code():
    """Of github thuml/iTransformer @ c2426e6 (model/iTransformer.py with x_mark_enc), on the same weights in float64."""
    model = waved(ITransformer(replace(SMALL, marks=4)).double().eval())
    window = 3 * torch.sin(torch.arange(24, dtype=torch.float64)).reshape(1, 8, 3) + 1
    marks = torch.cos(torch.arange(32, dtype=torch.float64)).reshape(1, 8, 4) / 2
    want = [[2.54052650, 2.55408145, 3.46946551], [-1.45721059, -1.48648129, -3.72970878],
            [-1.55480658, -1.58482882, -3.90714646], [-0.66803872, -0.68850453, -2.31134928]]  # fmt: skip
    assert torch.allclose(model(window, marks)[0], torch.tensor(want, dtype=torch.float64), atol=2e-8)
    # Nothing is forecast of them, and they are heard.
    assert model(window, marks).shape == (1, 4, 3)
    assert float((model(window, marks) - model(window, -marks)).abs().max()) > 1e-4


def test_the_clock_and_the_calendar_as_marks():
    times = [datetime(2016, 7, 1), datetime(2017, 12, 31, 23), datetime(2018, 1, 8, 12)]
    found = hourly_marks(times)
    assert found.shape == (3, 4)
    assert found[0].tolist() == pytest.approx([-0.5, 4 / 6 - 0.5, -0.5, 182 / 365 - 0.5])
    assert found[1].tolist() == pytest.approx([0.5, 0.5, 0.5, 364 / 365 - 0.5])
    assert found[2].tolist() == pytest.approx([12 / 23 - 0.5, -0.5, 7 / 30 - 0.5, 7 / 365 - 0.5])


def test_an_agent_that_reads_marks_asks_for_them(tmp_path):
    backend = ITransformerBackend(small(replace(SMALL, marks=4)), variate="x", step=3)
    values, marks = torch.randn(9, 2, generator=generator()), torch.rand(9, 4, generator=generator()) - 0.5
    with pytest.raises(RequestError, match=r"reads 4 marks of time \(hour.*; this series has none"):
        backend.believe([Question("case", "?", (Series(values, ("x", "y")),))])
    with pytest.raises(RequestError, match="this series has 3"):
        backend.believe([Question("case", "?", (Series(values, ("x", "y"), marks[:, :3]),))])
    with pytest.raises(ObservationError, match="9 steps and 8 rows of marks"):
        Series(values, ("x", "y"), marks[1:])
    one, two = (Series(values, ("x", "y"), each) for each in (marks, -marks))
    assert backend.believe([Question("case", "?", (one,))]) != backend.believe([Question("case", "?", (two,))])
    backend.save_pretrained(tmp_path)
    again = create_belief_backend("itransformer", checkpoint=str(tmp_path))
    assert again.believe([Question("case", "?", (one,))]) == backend.believe([Question("case", "?", (one,))])
    # Who reads none takes a series with marks.
    plain = ITransformerBackend(small(), variate="x", step=3)
    assert plain.believe([Question("case", "?", (one,))]) == plain.believe([Question("case", "?", (two,))])


@torch.inference_mode()
def test_variates_have_no_order_and_any_number():
    model = small()
    window = torch.randn(2, 8, 5, generator=generator())
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(model(window[..., order]), model(window)[..., order], atol=1e-5)
    assert model(torch.randn(1, 8, 7, generator=generator())).shape == (1, 4, 7)
    # Each hears the others.
    changed = window.clone()
    changed[:, 3, 4] += 3.0
    assert float((model(changed) - model(window))[..., 0].abs().max()) > 1e-5


@torch.inference_mode()
def test_a_variates_unit_does_not_matter():
    model = small()
    window = torch.randn(1, 8, 3, generator=generator(), dtype=torch.float64).float()
    factor, level = torch.tensor([5.0, 1.0, 40.0]), torch.tensor([10.0, -3.0, 0.0])
    assert torch.allclose(model(window * factor + level), model(window) * factor + level, atol=2e-3)
    assert torch.isfinite(model(torch.full((1, 8, 2), 4.0))).all()


def test_the_forecast_is_a_density_over_changes(tmp_path):
    backend = create_belief_backend("itransformer", **small_itransformer(tmp_path))
    series = Series(torch.randn(20, 2, generator=generator()) + 5.0, ("y", "x"))
    said, now = backend.forecast(series), float(series.values[-1, 1])
    with torch.inference_mode():
        window = series.values[None, -8:]
        assert said.mean == pytest.approx(float(backend.model(window)[0, 2, 1]), abs=1e-3)
    assert math.sqrt(said.variance) == pytest.approx(float(window[0, :, 1].std(correction=0)), abs=1e-3)
    normal = NormalDist(said.mean - now, math.sqrt(said.variance))
    (belief,) = backend.believe([Question("case", "?", (series,))])
    assert sum(belief.probabilities[:2]) == pytest.approx(normal.cdf(0.0), abs=1e-6)
    assert belief.probabilities[3] == pytest.approx(1 - normal.cdf(0.5), abs=1e-6)
    # At a level where float32 has steps of 0.03, the changes that are there are still seen.
    lifted = Series(((series.values * 32).round() / 32 + 2.0**18), series.names)
    lowered = Series((series.values * 32).round() / 32, series.names)
    assert backend.believe([Question("case", "?", (lifted,))])[0].probabilities == pytest.approx(
        backend.believe([Question("case", "?", (lowered,))])[0].probabilities, abs=1e-4
    )


DAY = ITransformerConfig(lookback=24, horizon=24, width=32, hidden=32, depth=1, heads=2, dropout=0.1)


def test_splits_keep_their_order_and_training_knows_nothing_later(tmp_path, monkeypatch):
    monkeypatch.setattr(ett_series, "SPLITS", SPLITS)
    values, names = read_ett(ett(tmp_path))
    assert (values.shape, names[-1]) == ((700, 7), "OT")
    for split, (first, end) in SPLITS.items():
        seen, next_ = windows(values, split, DAY.lookback, DAY.horizon)
        lead = 24 if first else 0
        assert len(seen) == len(next_) == end - first + lead - 48 + 1
        known = values[:400]
        scaled = ((values - known.mean(0)) / known.std(0, correction=0)).float()
        assert torch.allclose(seen[0], scaled[first - lead : first - lead + 24])
        # The first value that is asked for is the split's own, the last its last.
        assert torch.allclose(next_[0, 0], scaled[first - lead + 24])
        assert torch.allclose(next_[-1, -1], scaled[end - 1])


def test_training_is_seeded_learns_a_rhythm_and_knows_how_far_off_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(ett_series, "SPLITS", SPLITS)
    values, _ = read_ett(ett(tmp_path))
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = ITransformer(DAY)
        train(model, values, DAY, Recipe(epochs=6, learning_rate=5e-3), seed=0, progress=lambda _: None)
        fit_spread(model, windows(values, "validation", DAY.lookback, DAY.horizon))
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    test = windows(values, "test", DAY.lookback, DAY.horizon)
    repeated = float((test[0][:, -1:] - test[1]).pow(2).mean())
    assert error(model, test) < repeated / 5
    assert 0.8 < covered(model, test) < 0.97
    validation = windows(values, "validation", DAY.lookback, DAY.horizon)
    assert covered(model, validation) == pytest.approx(0.9, abs=0.005)
    # One variate that stood still and then moves does not widen what is believed of all.
    before, (seen, next_) = model.spread.clone(), validation
    still = (torch.cat([seen, torch.zeros_like(seen[:1])]), torch.cat([next_, torch.ones_like(next_[:1])]))
    fit_spread(model, still)
    assert torch.allclose(model.spread, before, rtol=0.2)
    assert TimeTokens(DAY, 7)(test[0][:2]).shape == (2, 24, 7)


def test_the_claim_table_is_made_of_trained_models(tmp_path, monkeypatch):
    monkeypatch.setattr(ett_series, "SPLITS", SPLITS)
    monkeypatch.setattr(training, "ITransformerConfig", lambda: DAY)
    monkeypatch.setattr(training, "Recipe", lambda: Recipe(epochs=1))
    found = claims(tmp_path / "out", seeds=2, data=ett(tmp_path))
    assert [len(claim.ours) for claim in found] == [2] * 4
    assert all(value > 0 for value in found[1].ours)
    assert all(0 <= value <= 1 for value in found[3].ours)


def test_the_published_run_is_an_option(cli, tmp_path, monkeypatch):
    assert (PUBLISHED_CONFIG.width, PUBLISHED_CONFIG.hidden, PUBLISHED_CONFIG.marks) == (256, 256, 4)
    assert (PUBLISHED.epochs, PUBLISHED.learning_rate, PUBLISHED.batch, PUBLISHED.patience) == (10, 1e-4, 32, 3)
    monkeypatch.setattr(ett_series, "SPLITS", SPLITS)
    monkeypatch.setattr(training, "PUBLISHED_CONFIG", replace(DAY, marks=4))
    monkeypatch.setattr(training, "PUBLISHED", replace(PUBLISHED, epochs=1))
    code, out, _ = cli(
        "train", "itransformer", "--published", "--data", ett(tmp_path), "--out", tmp_path / "o", "--seeds", 1
    )
    assert code == 0
    assert "near the paper's" in " ".join(out.split())
    loaded = ITransformerBackend.from_pretrained(str(tmp_path / "o" / "published-etth1-0"))
    assert loaded.model.config.marks == 4


def test_the_rate_is_halved_and_training_ends_as_the_recipe_says(tmp_path, monkeypatch):
    monkeypatch.setattr(ett_series, "SPLITS", SPLITS)
    values, _ = read_ett(ett(tmp_path))
    rates, told = [], []
    step = torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    recipe = Recipe(epochs=5, batch=400, learning_rate=0.8, whole=2)
    train(small(DAY), values, DAY, recipe, seed=0, progress=told.append)
    assert rates == [0.8, 0.8, 0.4, 0.2, 0.1]
    # With a rate of 0 no epoch is better than the first.
    train(small(DAY), values, DAY, replace(recipe, learning_rate=0.0, patience=2), seed=0, progress=told.append)
    assert len(told) == 5 + 3


def test_the_real_series_is_read():
    folder = Path(os.environ.get("CIPHER_DEBATE_DATA", ""))
    if not (folder / "ett" / "ETTh1.csv.gz").is_file():
        pytest.skip("ETT is not there: set CIPHER_DEBATE_DATA to a folder with ett/ETTh1.csv.gz")
    values, names = read_ett(folder)
    assert values.shape == (17_420, 7)
    assert names == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    assert len(windows(values, "test", 96, 96)[0]) == 2880 - 96 + 1


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda folder: ITransformerBackend.from_pretrained(), ModelError, "ships no weights: give checkpoint"),
        (lambda folder: ITransformerBackend.from_pretrained(str(folder)), ModelError, "no iTransformer in "),
        (lambda folder: ITransformerBackend(small(), step=5), BeliefError, "between 1 and the horizon of 4; got 5"),
        (lambda folder: ITransformerBackend(small(), step=1.5), BeliefError, "a whole number between 1 .*; got 1.5"),
        (
            lambda folder: ITransformerBackend(small(), step=1, borders=(1.0, 0.0, 2.0)),
            BeliefError,
            "3 ascending borders",
        ),
        (lambda folder: ITransformerConfig(width=10, heads=4), ConfigError, "width is a multiple of heads"),
        (lambda folder: read_ett(None), ModelError, "give --data with ETTh1.csv"),
        (lambda folder: read_ett(ett(folder)), ModelError, "14400 rows are needed; it has 700"),
    ],
)
def test_mistakes_are_sentences(make, error, sentence, tmp_path):
    with pytest.raises(error, match=sentence):
        make(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[:9] + rows[10:], ":10: rows are an hour apart, oldest first; .* 09:00:00 comes after .* 07:00"),
        (lambda rows: [rows[0], *rows[:0:-1]], ":3: rows are an hour apart, oldest first; "),
        (lambda rows: rows[:9] + rows[8:], ":10: rows are an hour apart, oldest first; "),
        (lambda rows: [row.replace(":00:00", ":15:00") if n == 9 else row for n, row in enumerate(rows)], ":10: rows are"),
        (lambda rows: [*rows[:9], "a remark", *rows[9:]], ":10: 1 values, between commas, for 8 columns"),
        (lambda rows: [row.replace(",", ";") for row in rows], "a time and series between commas; its first line is 'date;HUFL;"),
        (lambda rows: [*rows[:9], rows[9].rpartition(",")[0] + ",nan", *rows[10:]], ":10: OT is no finite number: 'nan'"),
        (lambda rows: [*rows[:9], rows[9].rpartition(",")[0] + ",", *rows[10:]], ":10: OT is no finite number: ''"),
        (lambda rows: [rows[0].replace("HUFL", "OT"), *rows[1:]], "two series are called 'OT'; rename one"),
    ],
)  # fmt: skip
def test_a_series_has_no_gaps_and_no_other_steps_than_hours(change, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr("agents.models.forecasts.ett.SPLITS", SPLITS)
    path = ett(tmp_path, rows=720) / "ETTh1.csv.gz"
    rows = gzip.decompress(path.read_bytes()).decode().split("\n")
    want, names = read_ett(tmp_path)
    path.write_bytes(gzip.compress("\n".join(change(rows)).encode()))
    with pytest.raises(ModelError, match=sentence):
        read_ett(tmp_path)
    # As other programs write it: a mark at the beginning, quotes, and lines that end as on Windows.
    written = "\r\n".join('"' + row.replace(",", '","') + '"' for row in rows)
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + written.encode()))
    found, again = read_ett(tmp_path)
    assert torch.equal(found, want)
    assert again == names
