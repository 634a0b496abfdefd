"""Fusion: heads, the pool and attributions against their formulas in other code; splits and damage; the agent."""

import asyncio
import itertools
import math
import random

import numpy as np
import pytest
import torch
from support.contracts import small_fusion, voice_cases
from support.random_models import generator
from support.small_data import digits, voices

from agents.beliefs.belief import Belief
from agents.beliefs.cards import card, create_belief_backend
from agents.beliefs.pooling import product
from agents.errors import ConfigError, ModelError, UnknownName
from agents.models.fusion import bands, measures, trees, voice, voice_claims
from agents.models.fusion import digits as spoken
from agents.models.fusion.backend import FusionBackend, explained
from agents.models.fusion.claims import claims
from agents.models.fusion.config import NOT_CLINICAL, FusionConfig
from agents.models.fusion.log_linear import FLOOR, LogLinear
from agents.models.fusion.model import WIDEST, Head, broken, grades
from agents.models.fusion.pool import TrainedPool, attributions, load_pool
from agents.models.fusion.training import Cases, fit, fitted_temperature, heard_in_training
from agents.observation import Audio, Series
from agents.question import Question
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate

ONE = math.log(math.e - 1)


def random_beliefs(*shape):
    return torch.softmax(2 * torch.randn(*shape, generator=generator(), dtype=torch.float64), -1)


def random_pool(channels=3, labels=4, *, ordered=False):
    pool = TrainedPool([f"c{m}" for m in range(channels)], [str(k) for k in range(labels)], ordered=ordered)
    with torch.no_grad():
        for weights in pool.of_beliefs.parameters():
            weights += torch.randn(weights.shape, generator=generator(), dtype=torch.float64)
    pool.of_beliefs.log_prior.copy_(random_beliefs(labels).log())
    pool.of_beliefs.temperature.fill_(1.3)
    return pool


def by_hand(part, beliefs, heard):
    """Return the pool's belief of one case, written as its formula is, in numpy."""
    p = {name: weights.detach().numpy() for name, weights in part.named_parameters()}
    prior, k = part.log_prior.exp().numpy(), beliefs.shape[1]
    raised = np.maximum(beliefs.numpy(), FLOOR)
    rows = raised / raised.sum(1, keepdims=True)
    z = np.log(prior)
    there = [m for m in range(len(rows)) if heard[m]]
    for m in there:
        sure = 1 + (rows[m] * np.log(rows[m])).sum() / math.log(k)
        others = [rows[other] for other in there if other != m]
        apart = 0.0
        if others:
            mean = np.mean(others, axis=0)
            apart = (
                np.abs(np.cumsum(rows[m]) - np.cumsum(mean))[:-1].mean()
                if part.ordered
                else np.abs(rows[m] - mean).sum() / 2
            )
        weight = math.log1p(math.exp(p["level"][m] + p["sureness"][m] * sure + p["dissent"][m] * apart))
        silent = 1 / (1 + math.exp(-p["discount"][m]))
        z = z + weight * np.log(((1 - silent) * rows[m] + silent * prior) / prior)
    z = np.exp(z / float(part.temperature))
    return z / z.sum()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("heard", [(True, True, True), (True, False, True), (False, True, False)])
def test_the_pool_is_its_formula(ordered, heard):
    pool, beliefs = random_pool(ordered=ordered), random_beliefs(3, 4)
    beliefs[1] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    found = pool(beliefs[None], torch.tensor([heard]))[0].exp()
    assert found.tolist() == pytest.approx(by_hand(pool.of_beliefs, beliefs, heard).tolist(), abs=1e-12)


def test_weights_of_one_are_bayes_rule_and_nobody_heard_leaves_the_prior():
    part = LogLinear(3, 4)
    with torch.no_grad():
        part.discount.fill_(-torch.inf)
        part.log_prior.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log())
    beliefs = random_beliefs(3, 4)
    beliefs[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    rule = product(prior=[0.1, 0.2, 0.3, 0.4], floor=FLOOR)
    wanted = rule([Belief.of("abcd", row) for row in beliefs.tolist()]).probabilities
    found = torch.softmax(part(beliefs[None], torch.ones(1, 3).bool())[0], -1)
    assert found.tolist() == pytest.approx(wanted, abs=1e-12)
    nobody = torch.softmax(part(beliefs[None], torch.zeros(1, 3).bool())[0], -1)
    assert nobody.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_what_a_missing_channel_would_say_is_not_looked_at():
    pool, beliefs = random_pool(), random_beliefs(3, 4)
    heard = torch.tensor([[True, False, True]])
    other = beliefs.clone()
    other[1] = torch.nan
    assert torch.equal(pool(beliefs[None], heard), pool(other[None], heard))
    # It is the pool of the two that are there, not of them and a uniform third.
    alone = TrainedPool(["c0", "c2"], [str(k) for k in range(4)])
    for name, weights in pool.of_beliefs.named_parameters():
        getattr(alone.of_beliefs, name).data = weights.data[[0, 2]]
    alone.of_beliefs.log_prior.copy_(pool.of_beliefs.log_prior)
    alone.of_beliefs.temperature.copy_(pool.of_beliefs.temperature)
    assert torch.allclose(pool(beliefs[None], heard), alone(beliefs[None, [0, 2]], torch.ones(1, 2).bool()), atol=1e-14)


def test_attributions_are_shapleys_values():
    pool, beliefs = random_pool(), random_beliefs(3, 4)
    for heard in ((True, True, True), (True, False, True)):
        found = attributions(pool.of_beliefs, beliefs, torch.tensor(heard), 2).tolist()
        wanted = [0.0] * 3
        there = [m for m in range(3) if heard[m]]
        orders = list(itertools.permutations(there))
        for order in orders:
            so_far = [False] * 3
            before = math.log(by_hand(pool.of_beliefs, beliefs, so_far)[2])
            for m in order:
                so_far[m] = True
                after = math.log(by_hand(pool.of_beliefs, beliefs, so_far)[2])
                wanted[m] += (after - before) / len(orders)
                before = after
        assert found == pytest.approx(wanted, abs=1e-12)
        nobody = math.log(by_hand(pool.of_beliefs, beliefs, [False] * 3)[2])
        assert sum(found) == pytest.approx(math.log(by_hand(pool.of_beliefs, beliefs, heard)[2]) - nobody)


def test_a_neighbouring_grade_is_a_smaller_disagreement_than_a_far_one():
    part = LogLinear(2, 4, ordered=True)
    with torch.no_grad():
        part.dissent.fill_(-3.0)
    rows = torch.eye(4).double()

    def weight(one, two):
        return part.weights(torch.stack([rows[one], rows[two]])[None], torch.ones(1, 2).bool())[0, 0].item()

    assert weight(0, 0) > weight(0, 1) > weight(0, 2) > weight(0, 3)
    unordered = LogLinear(2, 4)
    unordered.dissent.data.fill_(-3.0)
    pairs = [torch.stack([rows[0], rows[other]])[None] for other in (1, 3)]
    one, three = (unordered.weights(pair, torch.ones(1, 2).bool())[0, 0].item() for pair in pairs)
    assert one == pytest.approx(three)


def test_a_head_of_grades_is_proportional_odds():
    cutpoints = np.array([-1.0, 0.5, 2.0])
    for score in (-3.0, 0.0, 0.7, 40.0, -60.0):
        below = 1 / (1 + np.exp(-np.clip(cutpoints - score, -500, 500)))
        wanted = np.diff([0.0, *below, 1.0])
        found = grades(torch.tensor([score], dtype=torch.float64), torch.from_numpy(cutpoints))[0].exp()
        assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-11)
        assert bool(torch.isfinite(found.log()).all())
    head = Head(2, 4, ordered=True)
    head.offset.data = torch.tensor([1.0, -30.0, 5.0]).double()
    assert bool((head.cutpoints.diff() > 0).all())
    head.weight.data += 1.0
    logs = head(torch.randn(5, 2, generator=generator(), dtype=torch.float64))
    assert torch.allclose(logs.exp().sum(1), torch.ones(5).double())
    # More of what it weighs up moves belief to higher grades, and nothing else.
    with torch.no_grad():
        shares = head(torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]).double()).exp()
    mean = (shares @ torch.arange(4.0).double()).tolist()
    assert mean[0] < mean[1] < mean[2]


def test_ordinal_measures_are_their_definitions():
    rng = random.Random(0)
    said, right = ([rng.randrange(4) for _ in range(50)] for _ in range(2))
    seen = chance = 0.0
    for a, b in zip(said, right, strict=True):
        seen += (a - b) ** 2
        chance += sum((a - other) ** 2 for other in right) / 50
    found = measures.quadratic_kappa(torch.tensor(said), torch.tensor(right), 4)
    assert found == pytest.approx(1 - seen / chance)
    same = torch.tensor([1, 1])
    assert measures.quadratic_kappa(same, same, 4) == 0.0
    beliefs = torch.nn.functional.one_hot(torch.tensor(said), 4).double()
    errors = [abs(a - b) for a, b in zip(said, right, strict=True)]
    assert measures.absolute_error(beliefs, torch.tensor(right)) == pytest.approx(sum(errors) / 50)
    assert measures.within_one(beliefs, torch.tensor(right)) == pytest.approx(sum(e <= 1 for e in errors) / 50)
    # Two acted on and happened, one acted on and did not, of four: 2/4 − 1/4 · (0.2 / 0.8).
    probabilities, happened = torch.tensor([0.9, 0.3, 0.2, 0.1]), torch.tensor([True, True, False, True])
    assert measures.net_benefit(probabilities, happened, 0.2) == pytest.approx(0.5 - 0.25 * 0.25)
    with pytest.raises(ConfigError, match="lies between 0 and 1; got 1"):
        measures.net_benefit(probabilities, happened, 1)


SMALL = FusionConfig(("1", "2", "3"), {"a": ("a1", "a2"), "b": ("b1",), "c": ("c1", "c2")}, ordered=True)


def small_cases(count, *, seed):
    drawn = torch.Generator().manual_seed(seed)
    right = torch.randint(3, (count,), generator=drawn)
    noise = torch.randn(count, 5, generator=drawn, dtype=torch.float64)
    return Cases(right[:, None].double() * torch.tensor([2.0, 1.0, 1.5, -2.0, 0.5]).double() + noise, right)


@pytest.fixture(scope="module")
def fitted():
    return fit(SMALL, *(small_cases(count, seed=seed) for seed, count in enumerate((120, 90, 60))), seed=0)


def test_a_broken_channel_counts_less_and_costs_less_than_by_bayes_rule(fitted):
    test = small_cases(400, seed=9)
    standard, everyone = fitted.standardised(test.columns), torch.ones(400, 3).bool()
    harmed = broken(standard, SMALL.places["a"], 4.0, generator())
    # Other columns are as they were.
    assert torch.equal(harmed[:, 2:], standard[:, 2:])
    assert not torch.equal(harmed[:, :2], standard[:, :2])
    with torch.no_grad():
        whole, less = (fitted.pool.of_beliefs.weights(fitted.beliefs(x), everyone) for x in (standard, harmed))
        share = [float((each[:, 0] / each.sum(1)).mean()) for each in (whole, less)]
        nats = -torch.nn.functional.nll_loss(fitted(harmed, everyone), test.right)
        multiplied = spoken.multiplied(fitted.beliefs(harmed), everyone)
        alone = -torch.nn.functional.nll_loss(fitted.beliefs(harmed)[:, 0].log(), test.right)
    assert share[1] < share[0]
    assert float(nats) > float(-torch.nn.functional.nll_loss(multiplied, test.right))
    assert float(nats) > float(alone)


def test_what_is_held_out_moves_neither_the_standardisation_nor_the_heads(fitted):
    """Scaling before the split is the pitfall."""
    parts = [small_cases(count, seed=seed) for seed, count in enumerate((120, 90, 60))]
    other = Cases(parts[1].columns * 5 + 100, parts[1].right)
    again = fit(SMALL, parts[0], other, parts[2], seed=0)
    assert torch.equal(again.middle, fitted.middle)
    assert torch.equal(again.spread, fitted.spread)
    assert torch.equal(again.middle, parts[0].columns.mean(0))
    for one, two in zip(again.heads, fitted.heads, strict=True):
        assert torch.equal(one.weight, two.weight)
    # The same seed is the same fusion, another draws other damage.
    same = fit(SMALL, *parts, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(same.state_dict().values(), fitted.state_dict().values(), strict=True))
    assert not torch.equal(fit(SMALL, *parts, seed=1).pool.of_beliefs.level, fitted.pool.of_beliefs.level)


def test_a_grade_that_nobody_has_and_a_column_that_never_changes_are_no_trouble():
    parts = [small_cases(count, seed=seed) for seed, count in enumerate((60, 40, 30))]
    for part in parts:
        part.right.clamp_(max=1)
        part.columns[:, 2] = 7.0
    model = fit(SMALL, *parts, seed=0)
    assert all(bool(torch.isfinite(each).all()) for each in model.state_dict().values())
    with torch.no_grad():
        assert float(model.beliefs(model.standardised(parts[0].columns))[:, :, 2].max()) < 0.2


def test_a_column_that_never_changes_is_not_divided_by_the_rounding_of_its_mean():
    parts = [small_cases(count, seed=seed) for seed, count in enumerate((60, 40, 30))]
    for part in parts:
        part.columns[:, 2] = 0.1
    assert 0 < float(parts[0].columns[:, 2].std(0, correction=0)) < 1e-15
    model = fit(SMALL, *parts, seed=0)
    assert model.spread[2] == 1
    other = parts[0].columns.clone()
    other[:, 2] += 1e-9
    assert torch.allclose(model.standardised(other), model.standardised(parts[0].columns), atol=1e-8)


def test_a_part_without_cases_or_with_columns_that_are_no_numbers_is_refused():
    parts = [small_cases(count, seed=seed) for seed, count in enumerate((60, 40, 30))]
    with pytest.raises(ModelError, match="fits the pool to cases whose columns are finite; got 0 cases"):
        fit(SMALL, parts[0], parts[1].chosen(torch.arange(0)), parts[2], seed=0)
    parts[2].columns[3, 1] = torch.nan
    with pytest.raises(ModelError, match="fits the pool's temperature to cases"):
        fit(SMALL, *parts, seed=0)


def test_trees_learn_of_every_level_that_the_pool_learns_of(fitted, monkeypatch):
    ensemble = pytest.importorskip("sklearn.ensemble")
    seen = []

    class Looking(ensemble.HistGradientBoostingClassifier):
        def fit(self, columns, right):
            seen.append(torch.from_numpy(columns))
            return super().fit(columns, right)

    monkeypatch.setattr(ensemble, "HistGradientBoostingClassifier", Looking)
    monkeypatch.setattr(trees, "ROUNDS", 1)
    parts = [small_cases(count, seed=seed) for seed, count in enumerate((120, 90, 60))]
    trees.fitted_trees(fitted, parts, seed=0)
    whole, missing, *noisy = seen[0].split(210)
    assert bool(missing.isnan().any(1).all())
    assert not bool(missing.isnan().all(1).any())
    for copy in noisy:
        is_changed = (copy - whole).abs() > 1e-9
        assert bool(is_changed.any(1).all())
        moved = (copy - whole)[is_changed & (copy.abs() < WIDEST)].abs()
        # Normal noise of 1, 2 and 4 deviations in turn, and not of one of them.
        assert 1.5 < float(moved.square().mean().sqrt()) < 3.2


def test_in_training_somebody_is_always_heard_and_half_are_broken(fitted):
    cases = small_cases(40, seed=3)
    found = heard_in_training(fitted, cases, generator())
    assert bool(found.heard.any(1).all())
    whole = fitted.beliefs(fitted.standardised(cases.columns))
    is_changed = [not torch.equal(part, whole) for part in found.beliefs.split(40)]
    assert is_changed == [False, False, True, True] * 2
    is_missing = [not bool(part.all()) for part in found.heard.split(40)]
    assert is_missing == [False, True, False, False] * 2


def test_a_temperature_is_the_likeliest_of_its_grid():
    logs = torch.log_softmax(6 * torch.randn(300, 4, generator=generator(), dtype=torch.float64), -1)
    right = torch.distributions.Categorical(logits=logs / 3)
    torch.manual_seed(0)
    assert float(fitted_temperature(logs, right.sample())) == pytest.approx(3, rel=0.25)


def test_columns_of_a_sound_are_statistics_of_its_bands():
    samples = torch.randn(4000, generator=generator())
    found = bands.band_statistics(Audio(samples, 8000))
    power = bands.log_mel(samples, rate_hz=8000, window=256, hop=80, bands=39).double().numpy()
    assert len(found) == len(bands.CONFIG.columns) == 39 * 4
    named = dict(zip(bands.CONFIG.columns, found.tolist(), strict=True))
    for band in (1, 14, 39):
        row = power[:, band - 1]
        assert named[f"band {band}: mean"] == pytest.approx(row.mean())
        assert named[f"band {band}: deviation"] == pytest.approx(row.std())
        assert named[f"band {band}: mean change"] == pytest.approx(np.diff(row).mean())
        assert named[f"band {band}: deviation of change"] == pytest.approx(np.diff(row).std())
    assert "band 14: mean" in bands.CONFIG.channels["middle"]


def test_everything_that_an_agent_says_says_that_it_is_not_for_clinical_use(tmp_path):
    agent = create_belief_backend("fusion", **small_fusion(tmp_path / "voice"))
    for belief in agent.believe(voice_cases()):
        assert belief.grounds.endswith(NOT_CLINICAL)
    assert agent.template.startswith(NOT_CLINICAL)
    alone = create_belief_backend("fusion", **small_fusion(tmp_path / "voice"), channel="noise")
    assert alone.believe(voice_cases())[0].grounds == f"noise alone. {NOT_CLINICAL}"
    assert "Not for clinical use" in card("fusion").note


def test_an_agent_has_one_channel_or_all_and_says_what_each_added(tmp_path):
    made = small_fusion(tmp_path / "voice")
    agent = create_belief_backend("fusion", **made)
    case, several, lacking = voice_cases()
    belief = agent.believe([lacking])[0]
    assert "loudness missing" in belief.grounds
    assert belief.grounds.startswith(f"for {belief.best}, nats: pitch ")
    alone = {name: create_belief_backend("fusion", **made, channel=name) for name in voice.CHANNELS}
    assert alone["loudness"].believe([lacking])[0].abstention == "the channel loudness is not there"
    nothing = Question("case", "?", (Series(torch.zeros(1, 1), ("age",)),))
    assert agent.believe([nothing])[0].abstention == "none of its channels is there"
    # All of them, pooled, are what the agent believes.
    rows = torch.tensor([[alone[name].believe([case])[0].probabilities for name in voice.CHANNELS]]).double()
    pooled = load_pool(tmp_path / "voice")(rows, torch.ones(1, 3).bool())[0].exp()
    assert agent.believe([case])[0].probabilities == pytest.approx(pooled.tolist(), abs=1e-6)
    # Several recordings are looked at by their mean.
    (observation,) = several.observations
    mean = Question(
        "case", "?", (Series(observation.values.double().mean(0, keepdim=True).float(), observation.names),)
    )
    assert agent.believe([several])[0].probabilities == pytest.approx(agent.believe([mean])[0].probabilities, abs=1e-6)


def test_a_broken_channel_is_broken_the_same_way_for_everyone(tmp_path):
    made = small_fusion(tmp_path / "voice")
    case = voice_cases()[0]
    pitch, noisy, again, other = (
        create_belief_backend("fusion", **made, channel="pitch", **options).believe([case])[0]
        for options in ({}, {"noise": {"pitch": 4}}, {"noise": {"pitch": 4.0}}, {"noise": {"pitch": 4}, "seed": 1})
    )
    assert noisy == again
    assert len({pitch.probabilities, noisy.probabilities, other.probabilities}) == 3
    # Of the pooled agent too: the rest is untouched.
    whole = create_belief_backend("fusion", **made, noise={"pitch": 4})
    columns = torch.arange(16.0).double()
    assert (
        whole.channel_beliefs(columns)[1:].tolist()
        == create_belief_backend("fusion", **made).channel_beliefs(columns)[1:].tolist()
    )


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"channel": "smell"}, UnknownName, "unknown channel 'smell'. Known: loudness, noise, pitch"),
        ({"noise": {"smell": 1}}, UnknownName, "unknown channel 'smell'"),
        ({"noise": {"pitch": -1}}, ConfigError, "noise of channel pitch is a number of deviations, 0 or more; got -1"),
        ({"noise": {"pitch": True}}, ConfigError, "got True"),
        ({"noise": 4}, ConfigError, r"a mapping of channels to deviations, e.g. \{pitch: 4\}; got 4"),
        ({"noise": ["pitch"]}, ConfigError, "a mapping of channels"),
        ({"channel": 5}, ConfigError, "a channel is a name, one of pitch, "),
        ({"noise": {"pitch": float("nan")}}, ConfigError, "got nan"),
    ],
)
def test_mistakes_are_sentences(tmp_path, options, error, sentence):
    made = small_fusion(tmp_path / "voice")
    with pytest.raises(error, match=sentence):
        create_belief_backend("fusion", **made, **options)


def test_no_weights_are_shipped_and_a_config_is_checked(tmp_path):
    with pytest.raises(ModelError, match="fusion ships no weights"):
        create_belief_backend("fusion")
    with pytest.raises(ModelError, match="no column is in two channels"):
        FusionConfig(("1", "2"), {"a": ("x",), "b": ("x",)})
    with pytest.raises(ModelError, match="two labels or more"):
        FusionConfig(("1",), {"a": ("x",)})
    with pytest.raises(ModelError, match="audio or series; got 'smell'"):
        FusionConfig(("1", "2"), {"a": ("x",)}, modality="smell")


def test_what_is_measured_is_what_the_debate_plays(tmp_path):
    """Every rule of the table against the rows of the shipped debate: the same clips, the same noise, the same answers."""
    digits(tmp_path)
    made = FusionBackend.from_pretrained(small_fusion(tmp_path / "digits-0", seed=5)["checkpoint"])
    test = spoken.read_cases(tmp_path, "test")
    found = spoken.fared(
        made.model.pool, spoken.beliefs_of(made, test, 2.0), torch.ones(3, dtype=torch.bool), test.right
    )
    folder = str(tmp_path / "digits-0")
    settings = [f"agents.{name}.checkpoint={folder}" for name in bands.NAMES]
    settings += [f"decision=fused(weights={folder!r})", "agents.middle.options.noise.middle=2"]
    config = load_config(configs_folder() / "specialists" / "fusion.yaml", settings)
    rows = {"single": spoken.SINGLE, "vote": spoken.VOTE, "mean": spoken.MEAN, "product": spoken.PRODUCT,
            "labels": spoken.LABELS, "beliefs": spoken.FUSED}  # fmt: skip
    results = asyncio.run(evaluate(config, out=tmp_path / "run", data=tmp_path, methods=list(rows)))
    played = {result.method: result.correct for result in results}
    assert played == {row: round(10 * found[rule].accuracy) for row, rule in rows.items()}
    reasons = (tmp_path / "run" / "beliefs" / "transcript.jsonl").read_text()
    assert reasons.count("nats added: low ") == 10
    assert reasons.count(NOT_CLINICAL) >= 10


def test_the_recipe_makes_agents_and_weighs_claims(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "ROUNDS", 2)
    monkeypatch.setattr(voice, "FOLDS", 2)
    monkeypatch.setattr(spoken, "LEVELS", (0.0, 4.0, 8.0))
    monkeypatch.setattr("agents.models.fusion.claims.LEVELS", (0.0, 4.0, 8.0))
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    digits(voices(data))
    found = voice_claims.claims(out, seeds=1, data=data)
    assert [claim.text for claim in found] == list(voice_claims.ASKED)
    assert "| fused | " in (out / "calibration.md").read_text()
    found = claims(out, seeds=2, data=data)
    assert all(len(claim.ours) == 2 for claim in found)
    table = (out / "by_noise.md").read_text().splitlines()
    assert table[0] == "| middle channel | whole | noise 4 | noise 8 | another clip's | missing |"
    assert any(line.startswith("| fused: beliefs | ") for line in table)
    assert "| product | " in (out / "calibration.md").read_text()
    # What was fitted is not fitted again.
    monkeypatch.setattr(spoken, "fit", None)
    assert spoken.trained(out / "digits-1", None, 1, print).config == bands.CONFIG
    assert load_pool(out / "digits-1").channels == ("low", "middle", "high")
    assert create_belief_backend("fusion", checkpoint=str(out / "voice-0")).config.ordered


def test_grounds_leave_names_with_hyphens_as_they_are():
    said = explained(["low-band", "high"], torch.tensor([True, False]), torch.tensor([-0.5, 0.0]), "non-target")
    assert said == "for non-target, nats: low-band −0.50, high missing"
