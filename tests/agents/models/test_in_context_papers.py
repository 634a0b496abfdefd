"""What papers on attention and learning in context say, in equations: closed forms, margins, width; and a debate that uses it."""

import asyncio
import math
import re

import numpy as np
import pytest
import torch

from agents.errors import ConfigError, ModelError
from agents.models.in_context import linear_attention, selection, width
from agents.models.in_context.estimators import gradient_descent, ols
from agents.models.in_context.families import draw, kinds_of
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate


def prompts():
    points = draw(kinds_of("linear", 4, noise=0.0), 60, 22, torch.Generator().manual_seed(0))
    return points.x[:, :12], points.y[:, :12], points.x[:, 12:]


# --- linear attention


def covariance():
    return torch.diag(torch.tensor(linear_attention.VARIANCES)).double()


def test_the_layer_is_its_equation():
    generator = torch.Generator().manual_seed(0)
    layer = linear_attention.LinearAttention(3, linear_attention.random_start(3, 0))
    layer.key_query.data.copy_(torch.randn(4, 4, generator=generator))
    layer.value.data.copy_(torch.randn(4, 4, generator=generator))
    x, y, asked = (torch.randn(shape, generator=generator).double() for shape in ((2, 6, 3), (2, 6), (2, 3)))
    found = layer(x, y, asked).detach()
    for b in range(2):
        e = np.vstack([np.column_stack([x[b].numpy().T, asked[b].numpy()]), [*y[b].tolist(), 0.0]])
        kq, pv = layer.key_query.detach().numpy(), layer.value.detach().numpy()
        assert float(found[b]) == pytest.approx((e + pv @ e @ (e.T @ kq @ e) / 6)[-1, -1])


def test_the_population_loss_is_the_mean_over_prompts_and_other_entries_stay_zero():
    """Against drawn prompts: the loss within its error, and no gradient on what starts at 0 (Zhang et al., lemma 5.1)."""
    generator = torch.Generator().manual_seed(1)
    cov = covariance()
    layer = linear_attention.LinearAttention(5, linear_attention.random_start(5, 3) * 3)
    x, y, asked, label = linear_attention.prompts(cov, 60_000, 8, generator)
    loss = 0.5 * (layer(x, y, asked) - label).square()
    exact = linear_attention.population_loss(layer.key_query[:-1, :-1], layer.value[-1, -1], cov, 8)
    assert float(loss.mean().detach()) == pytest.approx(float(exact.detach()), rel=0.02)
    # Each prompt with its mirror, w turned round: what has mean 0 cancels.
    mirrored = (layer(x, -y, asked) + label).square()
    (loss.mean() + 0.5 * mirrored.mean()).backward()
    inside = float(layer.key_query.grad[:-1, :-1].norm())
    assert float(layer.key_query.grad[-1].norm() + layer.key_query.grad[:-1, -1].norm()) < 1e-9 * inside
    assert float(layer.value.grad[-1, :-1].norm() + layer.value.grad[:-1].norm()) < 1e-9 * inside


def test_the_closed_form_is_the_minimiser_to_rounding():
    cov = covariance()
    key_query, value = linear_attention.limit(cov, 20)
    a, v = key_query[:-1, :-1].clone().requires_grad_(), value[-1, -1].clone().requires_grad_()
    assert torch.allclose(v * a, torch.linalg.inv(linear_attention.gamma(cov, 20)))
    da, dv = torch.autograd.grad(linear_attention.population_loss(a, v, cov, 20), (a, v))
    assert float(da.norm() + dv.abs()) < 1e-14
    # The balance that gradient flow keeps.
    assert float(a.detach().norm()) == pytest.approx(float(v.detach()))


def test_gradient_flow_ends_there_from_any_start_of_the_papers_kind():
    cov = covariance()
    key_query, value = linear_attention.limit(cov, 20)
    a, v = linear_attention.gradient_flow(cov, 20, start=linear_attention.random_start(5, 0))
    assert float((a - key_query[:-1, :-1]).norm() / key_query.norm()) < 1e-6
    assert float((v - value[-1, -1]).abs()) < 1e-6


def test_it_is_one_step_of_descent_and_not_least_squares():
    x, y, asked = prompts()
    found = linear_attention.trained_rule(trained=12)(x, y, asked)
    step = gradient_descent(steps=1, rate=1 / (1 + 1 / 12 + 4 / 12))(x, y, asked)
    assert torch.allclose(found, step)
    assert not torch.allclose(found, ols()(x, y, asked), atol=0.1)
    # N of training and M of the prompt are two numbers: many more examples leave the bias of training.
    points = draw(kinds_of("linear", 4, noise=0.0), 1, 20_000, torch.Generator().manual_seed(2))
    many = linear_attention.trained_rule(trained=12)(points.x, points.y, points.x[:, :1])
    assert float(many[0, 0] / points.value[0, 0]) == pytest.approx(12 / 17, abs=0.05)
    with pytest.raises(ConfigError, match="trained must be at least 1"):
        linear_attention.trained_rule(trained=0)


# --- attention as a support vector machine


def separable(seed=0):
    problem = selection.random_problem(seed)
    w = selection.descend(lambda each: selection.logistic_loss(problem, each), selection.WIDTH)
    return problem, w, selection.selected(problem.x, w, problem.z)


def test_the_head_is_its_equation():
    problem = selection.random_problem(0)
    w = torch.randn(10, 10, generator=torch.Generator().manual_seed(0)).double()
    losses = []
    for n in range(selection.PROMPTS):
        x, z = problem.x[n].numpy(), problem.z[n].numpy()
        scores = np.exp(x @ w.numpy() @ z)
        found = problem.v.numpy() @ x.T @ (scores / scores.sum())
        losses.append(math.log(1 + math.exp(-float(problem.labels[n]) * found)))
    assert float(selection.logistic_loss(problem, w)) == pytest.approx(np.mean(losses))


def test_the_machine_is_a_convex_solvers_and_its_multipliers_prove_it():
    problem, _, chosen = separable()
    rows = selection.constraints(problem.x, problem.z, chosen)
    w, multipliers = selection.hard_margin(problem.x, problem.z, chosen)
    slack = (rows * w).sum((1, 2)) - 1
    # Karush, Kuhn and Tucker: feasible, a combination of support vectors, and no multiplier off the margin.
    assert float(slack.min()) > -1e-9
    assert torch.allclose(torch.einsum("c,cde->de", multipliers, rows), w, atol=1e-9)
    assert float(multipliers.min()) >= 0
    assert float((multipliers * slack).abs().max()) < 1e-9
    assert 0 < int((multipliers > 1e-9).sum()) < len(rows)
    cvxpy = pytest.importorskip("cvxpy")
    solved = cvxpy.Variable((10, 10))
    wanted = [cvxpy.sum(cvxpy.multiply(row.numpy(), solved)) >= 1 for row in rows]
    cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(solved, "fro")), wanted).solve(solver=cvxpy.CLARABEL)
    assert np.allclose(solved.value, w.numpy(), atol=1e-4)


def test_tokens_that_no_weights_select_are_refused():
    x = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]]).double()
    with pytest.raises(ModelError, match="no attention weights select these tokens"):
        selection.hard_margin(x, torch.ones(1, 2).double(), torch.tensor([0]))


def test_descent_ends_in_the_machines_direction():
    for seed in range(2):
        problem, w, chosen = separable(seed)
        best, _ = selection.hard_margin(problem.x, problem.z, chosen)
        assert selection.correlation(w, best) > 0.98
        # A head that selects other tokens is another machine's.
        other = (chosen + 1) % selection.TOKENS
        assert selection.correlation(w, selection.hard_margin(problem.x, problem.z, other)[0]) < 0.7


def test_descent_stops_before_it_walks_on_rounding():
    problem, w, _ = separable()
    longer = selection.descend(lambda each: selection.logistic_loss(problem, each), selection.WIDTH, steps=4000)
    assert torch.equal(w, longer) or selection.correlation(w, longer) > 0.999


def test_keys_and_queries_end_at_the_least_nuclear_norm():
    pytest.importorskip("cvxpy")
    problem = selection.random_problem(1)
    w = selection.regularised_path(lambda each: selection.logistic_loss(problem, each), selection.WIDTH, 1)
    chosen = selection.selected(problem.x, w, problem.z)
    nuclear = selection.nuclear_margin(problem.x, problem.z, chosen)
    frobenius, _ = selection.hard_margin(problem.x, problem.z, chosen)
    norm = torch.linalg.matrix_norm(nuclear, "nuc")
    assert float(norm) < float(torch.linalg.matrix_norm(frobenius, "nuc"))
    assert selection.correlation(w, nuclear) > max(0.98, selection.correlation(w, frobenius) + 0.05)


def test_a_margin_is_the_distance_to_another_choice():
    problem, w, chosen = separable()
    found = selection.margins(problem.x, w, problem.z)
    for n in range(selection.PROMPTS):
        scores = (problem.x[n] @ w @ problem.z[n]).tolist()
        best = max(scores)
        assert scores.index(best) == int(chosen[n])
        assert float(found[n]) == pytest.approx((best - sorted(scores)[-2]) / float(w.norm()))
    assert torch.allclose(selection.margins(problem.x, 7 * w, problem.z), found)


def test_a_judge_is_trained_on_beliefs_whose_order_says_nothing():
    x, right = selection.beliefs(600, 0)
    assert x.shape == (600, 3, 12)
    assert torch.allclose(x.sum(-1), torch.ones(600, 3).double())
    # The sharpest belief is anywhere.
    places = x.max(-1).values.argmax(-1)
    assert all(abs(float((places == place).double().mean()) - 1 / 3) < 0.08 for place in range(3))
    want = [
        -math.log(sum(float(a) * float(row[int(answer)]) for a, row in zip(weights, rows, strict=True)))
        for weights, rows, answer in zip(torch.full((600, 3), 1 / 3), x, right, strict=True)
    ]
    zero = torch.zeros(12, 12).double()
    assert float(selection.pooled_loss(x, right, zero)) == pytest.approx(np.mean(want))
    w = selection.descend(lambda each: selection.pooled_loss(x, right, each), 12, steps=100, rate=0.5)
    fresh, answers = selection.beliefs(2000, 1)
    assert float(selection.pooled_loss(fresh, answers, w)) < float(selection.pooled_loss(fresh, answers, zero)) - 0.02


def test_a_head_is_read_as_it_was_written(tmp_path):
    w = torch.randn(12, 12, generator=torch.Generator().manual_seed(0)).double()
    selection.save_head(tmp_path, w)
    options, found = selection.load_head(tmp_path)
    assert options == tuple("ABCDEFGHIJKL")
    assert torch.equal(found, w)
    (tmp_path / "head.json").write_text('{"options": ["A"], "weights": [[1, 2]]}')
    for path, sentence in ((tmp_path, "a square of finite numbers"), (tmp_path / "nowhere", "no attention head in")):
        with pytest.raises(ModelError, match=sentence):
            selection.load_head(path)


# --- width


def test_the_target_is_its_formula_and_mixes_positions():
    x = torch.tensor([[0.3, -0.8, 0.5], [1.0, 0.0, -1.0]]).double()
    for row, found in zip(x.tolist(), width.target(x).tolist(), strict=True):
        want = [math.sin(3 * sum(abs(row[i] - other) for other in row)) * row[(i + 1) % 3] for i in range(3)]
        assert found == pytest.approx(want)


def test_the_layer_is_one_layer_and_without_attention_sees_itself_alone():
    torch.manual_seed(0)
    layer, blind = width.Layer(8), width.Layer(8, has_attention=False)
    x = 2 * torch.rand(4, 3) - 1
    w = {name: value.double().numpy() for name, value in layer.state_dict().items()}
    for row, found in zip(x, layer(x).detach(), strict=True):
        rows = np.column_stack([row.double().numpy(), np.eye(3)])
        h = rows @ w["read_in.weight"].T + w["read_in.bias"]
        q, k, v = np.split(h @ w["qkv.weight"].T + w["qkv.bias"], 3, axis=-1)
        scores = np.exp(q @ k.T / math.sqrt(32))
        h = h + scores / scores.sum(-1, keepdims=True) @ v
        hidden = np.maximum(h @ w["mlp.0.weight"].T + w["mlp.0.bias"], 0)
        assert found.tolist() == pytest.approx((hidden @ w["mlp.2.weight"].T + w["mlp.2.bias"])[:, 0], abs=1e-5)
    other = x.clone()
    other[:, 2] += 0.5
    assert torch.equal(blind(other)[:, :2], blind(x)[:, :2])
    assert not torch.equal(layer(other)[:, :2], layer(x)[:, :2])


def test_an_error_is_relative_to_the_target():
    torch.manual_seed(0)
    layer = width.Layer(8)
    layer.mlp[2].weight.data.zero_()
    layer.mlp[2].bias.data.zero_()
    assert width.relative_error(layer, 0) == pytest.approx(1)


def test_a_debate_is_decided_by_what_a_head_attends_to(tmp_path):
    selection.save_head(tmp_path, 20 * torch.eye(12).double())
    settings = [f"decision=attended(head={str(tmp_path)!r})", 'methods={"cipher": {}}']
    config = load_config(configs_folder() / "specialists" / "in_context_rules.yaml", settings)
    (result,) = asyncio.run(evaluate(config, out=tmp_path / "run", limit=2))
    assert result.total == 2
    reasons = re.findall(r'"reason": ?"([^"]*)"', (tmp_path / "run" / "cipher" / "transcript.jsonl").read_text())
    for reason in reasons:
        assert re.fullmatch(
            r"a belief of [\d.]+, attended to: ridge [\d.]+, step [\d.]+, attention [\d.]+, near [\d.]+; \w+ selected, "
            r"margin [\d.]+",
            reason,
        )
    assert len(reasons) == 2
