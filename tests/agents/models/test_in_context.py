"""Families by their moments, exact beliefs by numerical integration, the network against a plain one, messages by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.beliefs.belief import Belief, Gaussian
from agents.beliefs.pooling import find_pool
from agents.errors import BeliefError, ConfigError, ModelError, RequestError, UnknownName
from agents.models.in_context import estimators
from agents.models.in_context.backend import InContext
from agents.models.in_context.bins import BORDERS, CENTRES, LETTERS, expected, letter, over_letters, probabilities
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import FAMILIES, HIDDEN, LEVELS, NOISE, draw, kinds_of
from agents.models.in_context.messages import FORMS, Setting, passed, regrets
from agents.models.in_context.model import HIGHEST, LOWEST, Learner, tokens
from agents.models.in_context.posterior import Predictive, bayes, families, gaussian
from agents.models.in_context.training import Recipe, gaussian_loss, train
from agents.observation import Table
from agents.question import Question
from evals.task import create_task


def drawn(family, functions=64, points=12, dims=4, seed=0, **options):
    return draw(kinds_of(family, dims, **options), functions, points, torch.Generator().manual_seed(seed))


# --- families


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_a_draw_and_all_families_have_one_scale(family):
    one, two, other = drawn(family), drawn(family), drawn(family, seed=1)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.y, two.y)
    assert not torch.equal(one.x, other.x)
    many = drawn(family, functions=20_000, points=2)
    assert many.y.dtype == torch.float64
    # Else a family is told by its scale.
    assert float(many.value.square().mean()) == pytest.approx(1, abs=0.06)
    assert math.fsum(kind.weight for kind in kinds_of(family, 4)) == pytest.approx(1)


def test_labels_are_values_with_the_kinds_noise():
    points = drawn("noisy", functions=20_000, points=3)
    off = (points.y - points.value).square()
    for place, level in enumerate(LEVELS):
        assert float(off[points.kind == place].mean().sqrt()) == pytest.approx(level, rel=0.05)
    assert torch.equal(drawn("linear", noise=0.0).y, drawn("linear", noise=0.0).value)
    assert len(kinds_of("noisy", 4, noise=0.3)) == 1


def test_a_sparse_function_uses_one_weight_and_a_network_one_layer_of_eight():
    points = drawn("sparse", functions=200, points=6)
    for b in range(200):
        weights = estimators.least_squares(points.x[b : b + 1], points.value[b : b + 1])[0]
        used = int(weights.abs().argmax())
        assert used == int(points.kind[b])
        assert float(weights.abs().sum() - weights.abs().max()) < 1e-9
    networks = drawn("relu", functions=50, points=20, noise=0.0)
    kinds = kinds_of("relu", 4)
    for b in range(50):
        phi = kinds[int(networks.kind[b])].features(networks.x[b])
        assert phi.shape == (20, HIDDEN)
        assert float(phi.min()) == 0
        solved = np.linalg.lstsq(phi.numpy(), networks.y[b].numpy(), rcond=None)[0]
        assert np.allclose(phi.numpy() @ solved, networks.y[b].numpy(), atol=1e-9)


# --- exact beliefs


def by_integration(kinds, x, y, asked, samples=150_000, seed=0):
    """Mean and second moment of the label by weighing weights drawn from the prior with the likelihood: no linear algebra."""
    generator = np.random.default_rng(seed)
    total = first = second = 0.0
    for kind in kinds:
        u, v = kind.layer.numpy(), kind.variance.numpy()
        w = generator.normal(size=(samples, len(v))) * np.sqrt(v)

        def values(points, u=u, w=w, kind=kind):
            for layer in kind.before:
                points = points @ layer.numpy().T
                points = np.where(points > 0, points, kind.slope * points)
            phi = points @ u.T
            if kind.slope:
                return w @ np.where(phi > 0, phi, kind.slope * phi).T
            return w @ (np.maximum(phi, 0) if kind.is_rectified else phi).T

        fit = values(x.numpy())
        log = -0.5 * ((y.numpy() - fit) ** 2).sum(-1) / kind.noise**2 - len(y) * math.log(kind.noise)
        p = kind.weight * np.exp(log)
        value = values(asked.numpy()[None])[:, 0]
        total += p.mean()
        first += (p * value).mean()
        second += (p * (value**2 + kind.noise**2)).mean()
    return first / total, second / total - (first / total) ** 2


@pytest.mark.parametrize("family", ["linear", "sparse", "relu", "representation", "noisy", "mixture"])
def test_the_exact_belief_is_the_integral_over_the_prior(family):
    kinds = [replace(kind, noise=max(kind.noise, 0.4)) for kind in kinds_of(family, 3)]
    points = draw(kinds, 2, 4, torch.Generator().manual_seed(5))
    for b in range(2):
        x, y = points.x[b], points.y[b]
        found = bayes(kinds, x[None, :-1], y[None, :-1], x[None, -1])
        mean, variance = by_integration(kinds, x[:-1], y[:-1], x[-1], seed=b)
        assert float(found.mean) == pytest.approx(mean, abs=0.03)
        assert float(found.variance) == pytest.approx(variance, rel=0.07)


def test_one_kind_is_ridge_regression_in_weight_space():
    points = drawn("linear", functions=20, points=8)
    x, y, asked = points.x[:, :-1], points.y[:, :-1], points.x[:, -1]
    found = bayes(kinds_of("linear", 4), x, y, asked)
    gram = x.transpose(1, 2) @ x + 4 * NOISE**2 * torch.eye(4).double()
    weights = torch.linalg.inv(gram) @ x.transpose(1, 2) @ y[..., None]
    assert torch.allclose(found.mean, (asked[:, None] @ weights)[:, 0, 0], atol=1e-10)
    width = NOISE**2 * (1 + (asked[:, None] @ torch.linalg.inv(gram) @ asked[..., None])[:, 0, 0])
    assert torch.allclose(found.variance, width, atol=1e-10)
    assert torch.allclose(estimators.ridge(penalty=4 * NOISE**2)(x, y, asked[:, None])[:, 0], found.mean, atol=1e-10)


def test_no_examples_leave_the_prior():
    points = drawn("noisy", functions=5, points=1)
    found = bayes(kinds_of("noisy", 4), points.x[:, :0], points.y[:, :0], points.x[:, 0])
    assert torch.allclose(found.mean, torch.zeros(5).double())
    noise = math.fsum(level**2 for level in LEVELS) / len(LEVELS)
    assert torch.allclose(found.variance, points.x[:, 0].square().sum(-1) / 4 + noise)


def test_the_exact_belief_is_calibrated_and_tells_families():
    points = drawn("mixture", functions=4000, points=7)
    kinds = kinds_of("mixture", 4)
    found = bayes(kinds, points.x[:, :-1], points.y[:, :-1], points.x[:, -1])
    # Below a border as often as it is believed to be.
    for border in (-0.5, 0.0, 1.0):
        assert float(found.below(border).mean()) == pytest.approx(
            float((points.y[:, -1] < border).double().mean()), abs=0.02
        )
    p = families(kinds, found)["sparse"]
    truth = torch.tensor([kind.family == "sparse" for kind in kinds])[points.kind].double()
    middle = (p > 0.3) & (p < 0.7)
    assert float(p[middle].mean()) == pytest.approx(float(truth[middle].mean()), abs=0.08)
    assert float(((p > 0.5) == (truth > 0)).double().mean()) > 0.8


def test_a_kind_without_noise_is_refused():
    points = drawn("linear", noise=0.0)
    with pytest.raises(RequestError, match="needs noise above 0 in every kind; without noise take the rule `ols`"):
        bayes(kinds_of("linear", 4, noise=0.0), points.x, points.y, points.x[:, 0])


# --- rules


def test_rules_are_numpys():
    points = drawn("linear", functions=6, points=9)
    for count in (2, 4, 8):
        x, y, asked = points.x[:, :count], points.y[:, :count], points.x[:, -2:]
        for b in range(6):
            # The shortest weights where there are fewer examples than dimensions.
            w = np.linalg.lstsq(x[b].numpy(), y[b].numpy(), rcond=None)[0]
            assert np.allclose(estimators.ols()(x, y, asked)[b], asked[b].numpy() @ w)
            w = np.zeros(4)
            for _ in range(3):
                w -= 0.1 * np.mean([(x[b, i].numpy() @ w - float(y[b, i])) * x[b, i].numpy() for i in range(count)], 0)
            assert np.allclose(estimators.gradient_descent(steps=3, rate=0.1)(x, y, asked)[b], asked[b].numpy() @ w)
            near = sorted(range(count), key=lambda i: float((x[b, i] - asked[b, 0]).norm()))[:2]
            want = np.mean([float(y[b, i]) for i in near])
            assert float(estimators.neighbours(count=2)(x, y, asked)[b, 0]) == pytest.approx(want)


def test_gradient_descent_ends_at_least_squares():
    points = drawn("linear", functions=4, points=20)
    x, y = points.x, points.y
    found = estimators.descent_weights(x, y, steps=3000, rate=0.3)
    assert torch.allclose(found, estimators.least_squares(x, y), atol=1e-6)


def test_least_squares_knows_its_error_by_the_textbook():
    points = drawn("linear", functions=4000, points=9, noise=0.5)
    mean, variance = estimators.plug_in(points.x[:, :-1], points.y[:, :-1], points.x[:, -1:])
    x, y = points.x[0, :-1].numpy(), points.y[0, :-1].numpy()
    w, residual, *_ = np.linalg.lstsq(x, y, rcond=None)
    at = points.x[0, -1].numpy()
    assert float(mean[0, 0]) == pytest.approx(at @ w)
    assert float(variance[0, 0]) == pytest.approx(residual[0] / 4 * (1 + at @ np.linalg.inv(x.T @ x) @ at))
    # Student's t of four degrees of freedom, whose square has mean 2.
    assert float(((points.y[:, -1:] - mean).square() / variance).median()) == pytest.approx(0.549, abs=0.06)
    with pytest.raises(RequestError, match="from more examples than dimensions; got 4 and 4"):
        estimators.plug_in(points.x[:, :4], points.y[:, :4], points.x[:, -1:])


def test_a_rule_learns_its_error_from_what_it_left_out():
    points = drawn("linear", functions=3, points=5)
    rule = estimators.neighbours(count=1)
    want = []
    for b in range(3):
        errors = []
        for i in range(5):
            others = [j for j in range(5) if j != i]
            nearest = min(others, key=lambda j: float((points.x[b, j] - points.x[b, i]).norm()))
            errors.append(float(points.y[b, nearest] - points.y[b, i]) ** 2)
        want.append(np.mean(errors))
    assert np.allclose(estimators.left_out(rule, points.x, points.y), want)
    with pytest.raises(RequestError, match="two examples at least; got 1"):
        estimators.left_out(rule, points.x[:, :1], points.y[:, :1])


# --- the network


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Learner(LearnerConfig(("linear", "sparse"), dims=3, points=6, width=16, layers=2, heads=2)).eval()


def test_the_network_is_the_plain_one_in_float64(small):
    """Every operation written out over tokens [x_k, x_(k−1), y_(k−1)], without a library's attention."""
    points = drawn("linear", functions=2, points=6, dims=3)
    w = {name: value.double() for name, value in small.state_dict().items()}

    def norm(h, name):
        centred = h - h.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(h, name):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def forward(x, y):
        rows = [[*x[0].tolist(), 0.0, 0.0, 0.0, 0.0]]
        for k in range(1, len(y)):
            rows.append([*x[k].tolist(), *x[k - 1].tolist(), float(y[k - 1])])
        h = linear(torch.tensor(rows, dtype=torch.float64), "read_in")
        h = h + w["positions.weight"][: len(h)]
        for i in range(2):
            q, k, v = linear(norm(h, f"blocks.{i}.before_attention"), f"blocks.{i}.qkv").chunk(3, -1)
            heads = []
            for part in (slice(0, 8), slice(8, 16)):
                scores = q[:, part] @ k[:, part].T / math.sqrt(8)
                scores = scores.masked_fill(torch.ones_like(scores).triu(1) > 0, -math.inf)
                heads.append(torch.softmax(scores, -1) @ v[:, part])
            h = h + linear(torch.cat(heads, -1), f"blocks.{i}.out")
            inner = linear(norm(h, f"blocks.{i}.before_mlp"), f"blocks.{i}.mlp.0")
            h = h + linear(inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2))), f"blocks.{i}.mlp.2")
        return linear(norm(h, "norm"), "read_out")

    want = torch.stack([forward(x, y) for x, y in zip(points.x, points.y, strict=True)])
    said = small(points.x.float(), points.y.float())
    found = torch.cat([said.mean[..., None], said.log_variance[..., None], said.families], -1).double()
    assert torch.allclose(found, want, atol=1e-5)


def test_no_label_is_seen_before_its_belief(small):
    points = drawn("linear", functions=3, points=6, dims=3)
    x, y = points.x.float(), points.y.float()
    for place in range(6):
        other = y.clone()
        other[:, place:] += 1
        changed = small(x, other).mean != small(x, y).mean
        assert not changed[:, : place + 1].any()
        assert place == 5 or changed[:, place + 1].all()
    # The label that is asked for is not even in the sequence.
    assert not torch.isin(y[:, -1], tokens(x, y)).any()


def test_a_variance_is_kept_between_bounds():
    torch.manual_seed(0)
    wild = Learner(LearnerConfig(("linear",), dims=3, points=6, width=16, layers=1, heads=2))
    wild.read_out.weight.data.mul_(1000)
    points = drawn("linear", functions=30, points=6, dims=3)
    found = wild(points.x.float(), points.y.float()).log_variance.detach()
    assert float(found.min()) == LOWEST
    assert float(found.max()) == HIGHEST


def test_the_loss_is_the_log_density():
    said = Learner(LearnerConfig(("linear",), dims=2, points=3, width=8, layers=1, heads=1))(
        torch.randn(4, 3, 2), torch.randn(4, 3)
    )
    y = torch.randn(4, 3)
    want = -torch.distributions.Normal(said.mean, (said.log_variance / 2).exp()).log_prob(y).mean().detach()
    assert float(gaussian_loss(said, y).detach()) == pytest.approx(float(want) - 0.5 * math.log(2 * math.pi), abs=1e-6)


def test_what_does_not_fit_the_network_is_a_sentence(small):
    with pytest.raises(RequestError, match="points of 3 values and at most 6"):
        small(torch.ones(1, 7, 3), torch.ones(1, 7))
    for options, sentence in (
        ({"width": 10, "heads": 3}, "width divisible by heads"),
        ({"families": ("linear", "linear")}, "families must be different"),
        ({"families": ("mixture",)}, "write the families of the mixture"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            LearnerConfig(**options)


def test_training_is_seeded_and_learns():
    config = LearnerConfig(("linear",), dims=1, points=8, width=16, layers=2, heads=2)
    recipe = Recipe(steps=200, batch=32, learning_rate=5e-3, warmup=20)
    one = train(config, recipe, seed=0)
    short, both = replace(recipe, steps=3), replace(config, families=("linear", "sparse"))
    two, three = (train(both, short, seed=1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(two.parameters(), three.parameters(), strict=True))
    fresh = draw(config.kinds(), 1000, 8, torch.Generator().manual_seed(9))
    with torch.inference_mode():
        error = (one(fresh.x.float(), fresh.y.float()).mean.double() - fresh.value).square().mean(0)
    assert error[-1] < 0.3 * error[0]


# --- intervals


def test_intervals_have_the_normal_densitys_probability():
    belief = Predictive(*torch.tensor([[[0.3, 0.7]], [[-1.0, 0.6]], [[0.2, 0.5]]], dtype=torch.float64))
    (found,) = over_letters(belief)
    parts = [Gaussian(-1.0, 0.2).over(LETTERS, BORDERS), Gaussian(0.6, 0.5).over(LETTERS, BORDERS)]
    want = [0.3 * a + 0.7 * b for a, b in zip(parts[0].probabilities, parts[1].probabilities, strict=True)]
    assert found.probabilities == pytest.approx(want, abs=1e-12)
    assert float(belief.mean) == pytest.approx(0.3 * -1 + 0.7 * 0.6)
    assert float(belief.variance) == pytest.approx(0.3 * (0.2 + 1) + 0.7 * (0.5 + 0.36) - (-0.3 + 0.42) ** 2)
    assert float(probabilities(gaussian(torch.tensor(0.0), torch.tensor(1e-8)))[6]) == pytest.approx(0.5)
    assert [letter(value) for value in (-9.0, -2.5, -0.01, 0.0, 9.0)] == ["A", "B", "F", "G", "L"]
    assert float(expected([Belief.certain(LETTERS, "G")])[0]) == CENTRES[6] == 0.25


# --- pooling by precision


def test_normal_beliefs_are_pooled_by_how_sure_they_are():
    labels = tuple(f"{value}" for value in range(161))
    values = [-8 + 0.1 * value for value in range(161)]
    one, two = Gaussian(1.0, 0.4), Gaussian(-0.5, 1.2)
    pool = find_pool("precision(low=-8, high=8, variance=2.0, mean=0.25)")
    found = pool([each.nearest(labels, values) for each in (one, two)])
    total = 1 / 0.4 + 1 / 1.2 - 1 / 2
    mean = (1.0 / 0.4 - 0.5 / 1.2 - 0.25 / 2) / total
    want = Gaussian(mean, 1 / total).nearest(labels, values)
    assert found.probabilities == pytest.approx(want.probabilities, abs=2e-4)
    # Rightly ordered: nobody's belief is the prior's, alone one's own.
    (alone,) = [pool([one.nearest(labels, values)])]
    assert alone.probabilities == pytest.approx(one.nearest(labels, values).probabilities, abs=2e-4)
    lazy = pool([one.nearest(labels, values), Gaussian(3.0, 2.5).nearest(labels, values)])
    assert lazy.probabilities == pytest.approx(alone.probabilities)


def test_noise_is_no_ignorance_that_others_could_lessen():
    labels = tuple(f"{value}" for value in range(161))
    values = [-8 + 0.1 * value for value in range(161)]
    sure = Gaussian(0.0, 1.0).nearest(labels, values)
    pool = find_pool("precision(low=-8, high=8, variance=2.0, noise=0.95)")
    found = pool([sure] * 5)
    width = sum(p * v * v for p, v in zip(found.probabilities, values, strict=True))
    assert width > 0.95**2
    blind = find_pool("precision(low=-8, high=8, variance=2.0)")([sure] * 5)
    assert sum(p * v * v for p, v in zip(blind.probabilities, values, strict=True)) < 0.4
    with pytest.raises(BeliefError, match="low must be below high and variance above noise²"):
        find_pool("precision(low=-1, high=1, variance=0.2, noise=0.5)")


# --- agents


def table(points, b=0, labels=None):
    names = tuple(f"x{place}" for place in range(points.x.shape[-1]))
    labels = labels or tuple(f"{value:.9g}" for value in points.y[b, :-1].tolist())
    return Question("case", "?", (Table(points.x[b].float(), names, labels),))


def test_an_agent_believes_what_its_rule_says_of_its_share():
    points = drawn("noisy", functions=1, points=9)
    x, y, asked = points.x.float().double(), points.y, points.x[:, -1].float().double()
    for share, seen in (((1, 2), [1, 3, 5, 7]), ((0, 2, 3), [0, 2, 3, 5, 6])):
        (found,) = InContext("bayes", share=share).believe([table(points)])
        want = over_letters(bayes(kinds_of("noisy", 4), x[:, seen], y[:, seen], asked))[0]
        assert found.probabilities == pytest.approx(want.probabilities, abs=1e-6)
        assert found.grounds == f"{len(seen)} examples"
    (nothing,) = InContext("bayes", share=(8, 9)).believe([table(points)])
    assert nothing == Belief.abstain(LETTERS, "its share holds no example")
    (few,) = InContext("plug_in", share=(0, 2)).believe([table(points)])
    assert few.abstention.startswith("least squares knows its own error from more examples than dimensions")


def test_an_agent_believes_which_family_it_is():
    points = drawn("mixture", functions=40, points=14)
    kinds = kinds_of("mixture", 4)
    backend = InContext("bayes", family="mixture", about="family")
    right = 0
    for b in range(40):
        (found,) = backend.believe([table(points, b)])
        assert found.labels == ("linear", "sparse")
        right += found.best == kinds[int(points.kind[b])].family
    assert right > 34


def test_the_shipped_network_is_near_the_exact_belief():
    """On fresh functions after six examples, in nats: far nearer than least squares."""
    learner = InContext.from_pretrained().learner
    points = drawn("noisy", functions=1000, points=7, seed=12345)
    with torch.inference_mode():
        said = learner(points.x.float(), points.y.float())
    ours = gaussian(said.mean[:, -1].double(), said.log_variance[:, -1].double().exp()).log_density(points.y[:, -1])
    exact = bayes(kinds_of("noisy", 4), points.x[:, :-1], points.y[:, :-1], points.x[:, -1])
    best = exact.log_density(points.y[:, -1])
    mean, variance = estimators.plug_in(points.x[:, :-1], points.y[:, :-1], points.x[:, -1:])
    plugged = gaussian(mean[:, 0], variance[:, 0]).log_density(points.y[:, -1])
    assert float((best - ours).mean()) < 0.25
    assert float((ours - plugged).mean()) > 1


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: InContext("bays"), UnknownName, "unknown rule 'bays'.*Did you mean 'bayes'"),
        (lambda: InContext("learner"), ConfigError, "the rule 'learner' needs a network"),
        (lambda: InContext("bayes", share=(3, 3)), ConfigError, r"share is \[i, …, n\] with 0 <= i < n"),
        (lambda: InContext("bayes", family="linea"), UnknownName, "unknown family of functions 'linea'"),
        (lambda: InContext("bayes", noise=-1.0), ConfigError, "noise must be finite and at least 0"),
        (lambda: InContext("bayes(k=1)"), ConfigError, "has no parameters in brackets"),
        (lambda: InContext("ridge(penalt=1)"), ConfigError, "penalt"),
        (lambda: InContext("ridge(penalty=0)"), ConfigError, "penalty must be above 0"),
        (lambda: InContext("neighbours(count=0)"), ConfigError, "count must be at least 1"),
        (lambda: InContext("gradient_descent(steps=0)"), ConfigError, "steps must be at least 1"),
        (lambda: InContext("ols", about="family"), ConfigError, "is of the rule bayes with family: mixture"),
        (lambda: InContext("bayes", about="colour"), ConfigError, "about is value or family"),
        (lambda: InContext.from_pretrained("nowhere"), ModelError, "no in-context learner in nowhere.*Shipped: noisy"),
    ],
)
def test_mistakes_are_sentences(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_a_broken_options_file_is_a_sentence(tmp_path):
    InContext("bayes").save_pretrained(tmp_path)
    (tmp_path / "options.json").write_text("{")
    with pytest.raises(ModelError, match="options.json cannot be read"):
        InContext.from_pretrained(str(tmp_path))
    (tmp_path / "options.json").write_text(json.dumps({"rule": "bayes", "family": "relu"}))
    assert InContext.from_pretrained(str(tmp_path)).family == "relu"


# --- the task


def test_a_question_has_the_examples_in_words_and_as_a_table():
    task = create_task("in_context:mixture")
    samples = task.samples(30)
    assert task.samples(30) == samples
    assert create_task("in_context:mixture", seed=1).samples(1)[0].question != samples[0].question
    for sample in samples:
        table = sample.observations[0]
        assert table.values.shape == (11, 4)
        assert sample.target == letter(sample.metadata["y"])
        lines = sample.question.split("\n")
        assert len(lines) == 11
        for row, label, line in zip(table.values.tolist(), table.labels, lines, strict=False):
            x, y = line.removeprefix("x = ").split("; y = ")
            assert [float(value) for value in x.split(", ")] == pytest.approx(row, abs=0.006)
            assert float(y) == pytest.approx(float(label), abs=0.006)
    assert task.labels(samples[0]) == LETTERS


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Answer: C", "C"),
        ("Answer: C.", "C"),
        ("y = -0.3, so Answer: F", "F"),
        ("Answer: -0.3", "F"),
        ("I believe that y = 9.", "L"),
        ("−1.20", "D"),
        ("G", "G"),
        ("A good question", None),
        ("Answer: Axe", None),
        ("the probability = 3", None),
        ("Answer: 30%", None),
    ],
)
def test_an_answer_is_a_letter_or_a_number(said, answer):
    assert create_task("in_context").extract(said) == answer


def test_which_family_it_is_can_be_asked():
    task = create_task("in_context:which_family")
    samples = task.samples(40)
    assert {sample.target for sample in samples} == {"linear", "sparse"} == set(task.labels(samples[0]))
    assert task.extract("Answer: sparse") == "sparse"
    # The same functions as the exact belief finds.
    backend = InContext("bayes", family="mixture", about="family")
    found = backend.believe([Question("case", "?", sample.observations) for sample in samples])
    assert sum(belief.best == sample.target for belief, sample in zip(found, samples, strict=True)) > 30


# --- messages


def test_regrets_are_of_the_forms_and_percentages_are_beliefs():
    torch.manual_seed(0)
    learner = Learner(LearnerConfig(("noisy",), width=16, layers=1, heads=2)).eval()
    found = regrets(learner, Setting(0.3, 2, 8), functions=15, seed=0)
    assert tuple(found) == FORMS
    # A network that was not trained has most to gain; what it hears helps it.
    assert found["belief"].nats < found["alone"].nats
    assert abs(found["belief"].nats - found["percentages"].nats) < 0.01
    assert passed(found, "alone") == 0
    want = 1 - found["belief"].squared / found["alone"].squared
    assert passed(found, "belief", squared=True) == pytest.approx(want)
