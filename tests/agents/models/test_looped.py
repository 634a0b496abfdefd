"""Learners that loop: the published loop, equal sizes, the dial in use, features of one network, and how claims are made."""

import asyncio
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.beliefs.curves import SUFFIX, Curves, read_curves
from agents.errors import ConfigError, ModelError
from agents.models.in_context import looped_claims
from agents.models.in_context.backend import InContext
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.estimators import ridge, ridge_weights
from agents.models.in_context.families import HIDDEN, NOISE, SLOPE, draw, kinds_of
from agents.models.in_context.looped import MOST_LOOPS, LoopedConfig, LoopedLearner
from agents.models.in_context.looped_training import LoopedRecipe, loops_at
from agents.models.in_context.messages import FORMS, Regret, Setting, regrets
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import bayes
from agents.observation import Table
from agents.question import Question
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.analysis import plots
from evals.evaluation import evaluate

SIZES = LoopedConfig(("linear",), dims=3, points=6, width=16, heads=2, before=1, layers=2, after=1, loops=3)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return LoopedLearner(SIZES).eval()


def examples(functions=2, points=6, dims=3, seed=0):
    return draw(kinds_of("linear", dims), functions, points, torch.Generator().manual_seed(seed))


# --- the network


def plain(w, x, y, *, loops, adds_input=True):
    """Every operation written out in float64 for one function; returns what is said after each loop [T, K, 2]."""

    def norm(h, name):
        centred = h - h.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(h, name):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def block(h, name):
        q, k, v = np.split(linear(norm(h, f"{name}.before_attention"), f"{name}.qkv"), 3, -1)
        heads = []
        for part in (slice(0, 8), slice(8, 16)):
            scores = q[:, part] @ k[:, part].T / math.sqrt(8)
            scores = np.exp(np.where(np.tri(len(h)) > 0, scores, -np.inf))
            heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
        h = h + linear(np.concatenate(heads, -1), f"{name}.out")
        inner = linear(norm(h, f"{name}.before_mlp"), f"{name}.mlp.0")
        return h + linear(inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))), f"{name}.mlp.2")

    rows = [[*x[0], *[0.0] * (len(x[0]) + 1)], *([*x[k], *x[k - 1], y[k - 1]] for k in range(1, len(y)))]
    e = linear(np.array(rows), "read_in") + w["positions.weight"][: len(rows)]
    e = block(e, "before.0")
    z, found = (np.zeros_like(e) if adds_input else e), []
    for _ in range(loops):
        z = z + e if adds_input else z
        for place in range(2):
            z = block(z, f"blocks.{place}")
        z = norm(z, "norm")
        found.append(linear(norm(block(z, "after.0"), "last"), "read_out"))
    return np.stack(found)


@pytest.mark.parametrize("adds_input", [True, False])
def test_the_network_is_the_plain_one_in_float64(adds_input):
    torch.manual_seed(1)
    learner = LoopedLearner(replace(SIZES, adds_input=adds_input)).double().eval()
    points = examples()
    weights = {name: value.numpy() for name, value in learner.state_dict().items()}
    with torch.no_grad():
        every = learner.said(points.x, points.y, loops=7, window=7)
    for b in range(2):
        wanted = plain(weights, points.x[b].tolist(), points.y[b].tolist(), loops=7, adds_input=adds_input)
        found = np.stack([torch.stack([said.mean[b], said.log_variance[b]], -1).numpy() for said in every])
        assert np.allclose(found, wanted, atol=1e-12)


OFFICIAL = (
    ((-0.114179765732, -0.08914134755, -0.073315747063), (-0.1194572186, -0.108989479868, -0.083125953305)),
    ((-0.166662577854, -0.136736337326, -0.129893731989), (-0.183541125453, -0.170463044024, -0.134043972423)),
    ((-0.163661083243, -0.134731490713, -0.126620614032), (-0.178604661588, -0.166210197383, -0.131344679574)),
)
"""What `TransformerModelLooped` of Leiay/looped_transformer @ 6b3bdb2 says after 1, 2 and 3 loops, float64, weights as below."""
OFFICIAL_GRADIENT = (
    *(0.002984004056, 0.000806626076, -0.001524255308, -0.000537038714),
    *(-0.002567910347, -0.000431753156, 0.001108161599, 0.000162165794),
)
"""Its gradient of the mean squared error over the last two of three loops, on the map that reads points and labels in."""


def wave(place, *shape):
    return (0.5 * torch.sin(0.7 * torch.arange(math.prod(shape)).double() + place)).view(shape)


def test_without_blocks_around_it_the_loop_is_the_published_one():
    learner = LoopedLearner(LoopedConfig(("linear",), dims=2, points=7, width=4, heads=2, layers=1, loops=3)).double()
    names = [
        *("positions.weight", "blocks.0.before_attention.weight", "blocks.0.before_attention.bias"),
        *("blocks.0.qkv.weight", "blocks.0.qkv.bias", "blocks.0.out.weight", "blocks.0.out.bias"),
        *("blocks.0.before_mlp.weight", "blocks.0.before_mlp.bias", "blocks.0.mlp.0.weight", "blocks.0.mlp.0.bias"),
        *("blocks.0.mlp.2.weight", "blocks.0.mlp.2.bias", "norm.weight", "norm.bias"),
    ]
    state = learner.state_dict()
    for place, name in enumerate(names, start=2):
        state[name] = wave(place, *state[name].shape)
    state["read_out.weight"] = torch.cat([wave(17, 1, 4), torch.zeros(1, 4)])
    state["read_out.bias"] = torch.cat([wave(18, 1), torch.zeros(1)])
    learner.load_state_dict(state)
    # Its GELU is the approximation by tanh, and its tokens are points and labels in turn.
    learner.blocks[0].mlp[1] = torch.nn.GELU("tanh")
    x, y = wave(50, 2, 3, 2), wave(51, 2, 3)
    read_in = wave(0, 4, 2).requires_grad_()
    sequence = torch.stack([x, torch.nn.functional.pad(y[..., None], (0, 1))], 2).flatten(1, 2)
    given = sequence @ read_in.T + wave(1, 4) + learner.positions(torch.arange(6))
    found = torch.stack([said.mean[:, ::2] for said in learner.after_loops(given, loops=3, window=3)]).detach()
    assert torch.allclose(found, torch.tensor(OFFICIAL).double(), atol=1e-11)
    last = torch.stack([said.mean[:, ::2] for said in learner.after_loops(given, loops=3, window=2)])
    (last - y).square().mean().backward()
    assert torch.allclose(read_in.grad.flatten(), torch.tensor(OFFICIAL_GRADIENT).double(), atol=1e-11)


def test_one_loop_is_the_plain_transformer():
    torch.manual_seed(2)
    stacked = Learner(LearnerConfig(("linear",), dims=3, points=6, width=16, heads=2, layers=3)).eval()
    once = LoopedLearner(replace(SIZES, before=0, layers=3, after=0, loops=1))
    once.load_state_dict(stacked.state_dict())
    points = examples()
    x, y = points.x.float(), points.y.float()
    assert torch.equal(once(x, y).mean, stacked(x, y).mean)


def test_those_compared_have_equally_many_parameters_and_are_equally_deep():
    sizes = {
        name: sum(p.numel() for p in LoopedLearner(config).parameters())
        for name, config in looped_claims.MODELS.items()
    }
    assert max(sizes.values()) / min(sizes.values()) < 1.02
    depth = {n: c.before + c.after + c.layers * c.loops for n, c in looped_claims.MODELS.items()}
    assert depth == {"algoformer": 12, "looped": 12, "plain": 3, "without input": 12}


def test_loops_before_the_window_have_no_gradient(small):
    points = examples()
    x, y = points.x.float(), points.y.float()
    said = small.said(x, y, loops=5, window=2)
    found = torch.autograd.grad(sum(each.mean.sum() for each in said), small.blocks[0].out.weight)[0]
    given = small.before[0](
        small.read_in(
            torch.cat([x, torch.nn.functional.pad(torch.cat([x, y[..., None]], -1)[:, :-1], (0, 0, 1, 0))], -1)
        )
        + small.positions.weight
    )
    z = torch.zeros_like(given)
    for _ in range(3):
        z = small.looped(z, given).detach()
    fourth = small.looped(z, given)
    total = small.read(fourth).mean.sum() + small.read(small.looped(fourth, given)).mean.sum()
    assert torch.allclose(found, torch.autograd.grad(total, small.blocks[0].out.weight)[0], atol=1e-5)
    whole = small.said(x, y, loops=5, window=5)[-2:]
    through_all = torch.autograd.grad(sum(each.mean.sum() for each in whole), small.blocks[0].out.weight)[0]
    assert not torch.allclose(found, through_all, atol=1e-3)


def test_more_loops_than_in_training_go_on_where_those_ended(small):
    points = examples()
    x, y = points.x.float(), points.y.float()
    with torch.no_grad():
        every = small.said(x, y, loops=9, window=9)
        for loops in (1, 3, 9):
            assert torch.equal(small.at(loops)(x, y).mean, every[loops - 1].mean)
        assert torch.equal(small(x, y).mean, every[2].mean)
    assert small.at(9).read_out is small.read_out
    assert small.config.loops == 3


def test_no_label_is_seen_before_its_belief(small):
    points = examples(functions=3)
    x, y = points.x.float(), points.y.float()
    for place in range(6):
        other = y.clone()
        other[:, place:] += 1
        changed = small.at(6)(x, other).mean != small.at(6)(x, y).mean
        assert not changed[:, : place + 1].any()


@pytest.mark.parametrize("seed", [0, 1])
def test_without_its_input_a_loop_forgets_what_it_was_asked(seed):
    """Beyond some loops it says the same of every function; one that adds its input comes to rest at what depends on it."""
    points = examples(functions=40)
    x, y = points.x.float(), points.y.float()
    last, first = {}, {}
    for adds_input in (True, False):
        torch.manual_seed(seed)
        learner = LoopedLearner(replace(SIZES, before=0, after=0, layers=1, adds_input=adds_input)).eval()
        with torch.no_grad():
            every = learner.said(x, y, loops=120, window=120)
        first[adds_input], last[adds_input] = (float(every[place].mean[:, -1].std()) for place in (0, -1))
        moved = float((every[-1].mean - every[-2].mean).abs().max())
        assert moved < 1e-3
    assert first[True] == first[False] > 0.1
    assert last[True] > 0.1
    assert last[False] < 1e-3


def test_a_curriculum_begins_at_the_window_and_ends_at_all_loops():
    config, recipe = replace(SIZES, loops=10), LoopedRecipe(steps=100, window=2)
    assert [loops_at(step, config, recipe) for step in (0, 6, 7, 25, 49, 50, 99)] == [2, 2, 3, 6, 9, 10, 10]
    assert loops_at(0, replace(SIZES, loops=1), recipe) == 1


def test_what_is_no_loop_is_a_sentence(small):
    points = examples()
    for loops in (0, MOST_LOOPS + 1):
        with pytest.raises(ConfigError, match=f"loops must be from 1 to 1000; got {loops}"):
            small.at(loops)
    with pytest.raises(ConfigError, match="a window is from 1 loop to all 2; got 3"):
        small.said(points.x.float(), points.y.float(), loops=2, window=3)
    with pytest.raises(ConfigError, match="blocks before and after the loop are 0 or more"):
        replace(SIZES, before=-1)


# --- features of one network


def test_features_are_of_one_network_and_functions_are_linear_in_them():
    (kind,) = kinds_of("representation", 4)
    (again,) = kinds_of("representation", 4)
    assert kind is again
    points = draw([kind], 20_000, 12, torch.Generator().manual_seed(0))
    assert float(points.value.square().mean()) == pytest.approx(1, abs=0.05)
    x, phi = points.x[0].numpy(), points.x[0].numpy()
    for layer in (*kind.before, kind.layer):
        phi = phi @ layer.numpy().T
        phi = np.where(phi > 0, phi, SLOPE * phi)
    assert phi.shape == (12, HIDDEN)
    assert np.allclose(kind.features(torch.tensor(x)).numpy(), phi)
    weights = np.linalg.lstsq(phi, points.value[0].numpy(), rcond=None)[0]
    assert np.allclose(phi @ weights, points.value[0].numpy())


def test_the_exact_belief_is_ridge_regression_on_the_features_and_on_x_it_is_far_off():
    kinds = kinds_of("representation", 4)
    points = draw(kinds, 1000, 11, torch.Generator().manual_seed(1))
    x, y, at = points.x[:, :-1], points.y[:, :-1], points.x[:, -1]
    found = bayes(kinds, x, y, at)
    penalty = NOISE**2 / float(kinds[0].variance[0])
    weights = ridge_weights(kinds[0].features(x), y, penalty)
    wanted = (kinds[0].features(at) * weights).sum(-1)
    assert torch.allclose(found.mean, wanted, atol=1e-10)
    error = [
        float((mean - points.value[:, -1]).square().mean())
        for mean in (found.mean, ridge(penalty=1.0)(x, y, at[:, None])[:, 0])
    ]
    assert error[0] < 0.1 < 0.5 < error[1]


# --- agents


def table(dims=3, rows=6):
    points = examples(functions=1, points=rows, dims=dims)
    labels = tuple(f"{value:.6g}" for value in points.y[0, :-1].tolist())
    return Question("case", "?", (Table(points.x[0].float(), tuple("xyz")[:dims], labels),))


def test_an_agent_loops_as_often_as_it_is_told(small, tmp_path):
    case = table()
    beliefs = {loops: InContext(learner=small, loops=loops).believe([case])[0] for loops in (None, 1, 3, 12)}
    assert beliefs[None] == beliefs[3]
    assert len({belief.probabilities for belief in beliefs.values()}) == 3
    InContext(learner=small, loops=12).save_pretrained(tmp_path)
    again = InContext.from_pretrained(str(tmp_path))
    assert isinstance(again.learner, LoopedLearner)
    assert (again.loops, again.name) == (12, "in_context (learner, 12 loops)")
    assert again.believe([case]) == [beliefs[12]]
    assert json.loads((tmp_path / "config.json").read_text())["model"]["loops"] == 3
    assert InContext.from_pretrained(str(tmp_path), loops=1).believe([case]) == [beliefs[1]]


def test_who_does_not_loop_says_so(small, tmp_path):
    with pytest.raises(ConfigError, match="loops is for a network that loops.* got loops=3 and the rule bayes"):
        InContext("bayes", loops=3)
    with pytest.raises(ConfigError, match="got loops=3 and a network that does not"):
        InContext.from_pretrained("noisy", loops=3)
    with pytest.raises(ConfigError, match="loops must be from 1 to 1000; got 0"):
        InContext(learner=small, loops=0)
    (tmp_path / "config.json").write_text('{"model": {"loops": 3, "turns": 2}}')
    with pytest.raises(ModelError, match="no in-context learner"):
        InContext.from_pretrained(str(tmp_path))


# --- claims


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(looped_claims, "RECIPE", LoopedRecipe(steps=2, batch=4, warmup=1))
    monkeypatch.setattr(looped_claims, "FRESH", 20)
    found = {form: Regret(0.5, 0.25) for form in FORMS}
    monkeypatch.setattr(looped_claims, "regrets", lambda made, setting, **given: found)


def test_claims_are_made_of_every_seed_and_learners_are_kept(quick, tmp_path):
    said = []
    found = looped_claims.claims(tmp_path, seeds=1, progress=said.append)
    assert [claim.text for claim in found] == list(looped_claims.ASKED)
    kept = json.loads((tmp_path / "loops.json").read_text())
    assert len(kept["errors"]["representation, algoformer"][0]) == 20
    assert [each["loops"] for each in kept["debates"]] == [2, 10, 20]
    assert sum("training" in line for line in said) == 6
    drawn = read_curves(tmp_path / f"loops-representation{SUFFIX}")
    assert {name: len(rows) for name, rows in drawn.lines.items()} == {
        "algoformer (10 loops in training)": 20,
        "looped (4 loops in training)": 8,
        "plain (1 loops in training)": 2,
        "without input (10 loops in training)": 20,
    }
    assert [row[0] for row in drawn.lines["algoformer (10 loops in training)"]] == kept["errors"][
        "representation, algoformer"
    ][0]
    assert drawn.places == tuple(range(1, 21))
    assert len(read_curves(tmp_path / f"loops-linear{SUFFIX}").lines) == 2
    # What is there is not trained again.
    kept = tmp_path / "plain-representation-0" / "model.safetensors"
    before = kept.stat().st_mtime_ns
    looped_claims._learner(tmp_path, "representation", "plain", 0, said.append)
    assert kept.stat().st_mtime_ns == before


def test_errors_by_loops_are_drawn():
    pytest.importorskip("matplotlib")
    seeds = [{("easy", "algoformer"): [0.5, 0.2], ("easy", "plain"): [0.4, 0.3, 0.2, 0.1]}] * 2
    drawn = plots.curves(looped_claims._by_loops("easy", seeds))
    for word in ("loops, easy", "algoformer (10 loops in training)", "plain (1 loops in training)"):
        assert f">{word}<" in drawn
    # None is told of places that no line reaches, and none ends before it begins.
    with pytest.raises(ConfigError, match="there are 1, and a line has the first"):
        Curves("x", "y", (1.0,), {"a": [[1.0], [2.0]]})


def test_regrets_are_by_loops_and_family():
    torch.manual_seed(0)
    learner = LoopedLearner(LoopedConfig(("representation",), points=11, width=8, heads=2, layers=1, loops=2)).eval()
    one, two, default = (
        regrets(each, Setting(0.25, 5, 5, "representation"), functions=10, seed=0)
        for each in (learner.at(1), learner.at(2), learner)
    )
    assert two == default
    assert one["alone"] != two["alone"]
    assert one["belief"].nats < one["alone"].nats


def test_a_learner_that_loops_and_the_exact_belief_debate(tmp_path):
    config = load_config(configs_folder() / "specialists" / "in_context_looped.yaml")
    assert {"cipher", "text", "twice", "twice_alone"} <= set(config.methods)
    results = asyncio.run(evaluate(config, out=tmp_path / "run", limit=1, methods=["cipher", "twice"]))
    assert [result.total for result in results] == [1, 1]
