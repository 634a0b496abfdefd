"""Content controls are what their definitions say, in float64, whatever shares the batch."""

import math

import pytest
import torch

from kernels.content import RENDERED_CONTENTS, rendered_name
from kernels.content.controls import controlled_log_weights, controlled_vectors
from kernels.encoders import parse
from kernels.errors import InvalidBelief

V, D = 37, 9
MIXTURES = [name for name in RENDERED_CONTENTS if name != "noise"]
ENCODERS = ["expectation", "topk(k=5)", "topp(p=0.8)", "gumbel(tau=0.5)", "dirichlet", "mixture", "token"]


@pytest.fixture
def table():
    return torch.randn(V, D, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def logits():
    made = torch.randn(6, V, generator=torch.Generator().manual_seed(2)) * 4
    # Tokens that must not be mixed in, as the padding of another model's vocabulary.
    made[:, [3, 30]] = float("-inf")
    return made


@pytest.fixture
def state():
    return {
        "temperature": torch.tensor([0.1, 0.3, 1.0, 1.0, 1.7, 4.0]),
        "seeds": torch.tensor([5, 5, 5, 6, 7, 8]),
        "steps": torch.tensor([0, 1, 2, 2, 3, 400]),
    }


def belief(logits, temperature):
    """Return softmax(z / T) in float64."""
    return torch.softmax(logits.double() / temperature.double()[:, None], dim=-1)


def test_top1_is_the_row_of_the_likeliest_token(logits, table, state):
    found = controlled_vectors("top1", parse("expectation"), logits, table, **state)
    assert torch.equal(found, table[logits.argmax(dim=1)])


def test_of_equals_the_lowest_id_is_the_likeliest(table):
    logits = torch.zeros(1, V)
    ones = {"temperature": 1.0, "seeds": torch.tensor([0]), "steps": torch.tensor([0])}
    assert torch.equal(controlled_vectors("top1", parse("expectation"), logits, table, **ones), table[:1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_top1_is_the_likeliest_by_its_weights_in_float64(dtype, table):
    """Of bfloat16 many are equal."""
    logits = (torch.randn(400, V, generator=torch.Generator().manual_seed(5)) * 2).to(dtype)
    logits[:, [3, 30]] = float("-inf")
    seeds = torch.arange(400)
    state = {"temperature": (seeds % 5) * 0.4, "seeds": seeds, "steps": seeds}
    log_q = controlled_log_weights("top1", parse("expectation"), logits, **state)
    found = controlled_vectors("top1", parse("expectation"), logits, table, **state)
    assert torch.equal(found, table[log_q.argmax(dim=-1)])


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
def test_top1_of_what_is_no_belief_is_refused(poison, logits, table, state):
    logits[2] = poison
    with pytest.raises(InvalidBelief) as caught:
        controlled_vectors("top1", parse("expectation"), logits, table, **state)
    assert caught.value.rows == (2,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_top1_of_a_one_hot_belief_is_the_message_itself(dtype, table):
    logits = torch.full((V, V), float("-inf")).fill_diagonal_(0.0)
    state = {"temperature": 1.0, "seeds": torch.zeros(V, dtype=torch.int64), "steps": torch.arange(V)}
    intact = parse("expectation").encode(logits, table.to(dtype), **state).vectors
    assert torch.equal(controlled_vectors("top1", parse("expectation"), logits, table.to(dtype), **state), intact)
    assert torch.equal(intact, table.to(dtype))


def test_the_tail_is_the_rest_renormalised(logits, table, state):
    p = belief(logits, state["temperature"])
    rest = p.scatter(1, p.argmax(dim=1, keepdim=True), 0.0)
    exact = rest / rest.sum(dim=1, keepdim=True) @ table.double()
    found = controlled_vectors("tail", parse("expectation"), logits, table, **state)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-6 * float(table.abs().max()))


def test_a_belief_so_sharp_that_float32_has_no_tail_has_one(table):
    logits = torch.zeros(1, V)
    logits[0, 4], logits[0, 7] = 400.0, 20.0
    state = {"temperature": 0.1, "seeds": torch.tensor([0]), "steps": torch.tensor([0])}
    # The others are e^-3800 of the likeliest, and e^-200 of token 7.
    found = controlled_vectors("tail", parse("expectation"), logits, table, **state)
    torch.testing.assert_close(found, table[7:8])


def test_a_belief_of_one_token_has_no_tail(logits, table, state):
    frozen = {**state, "temperature": torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])}
    with pytest.raises(InvalidBelief, match="the belief is one token, which leaves no tail") as caught:
        controlled_vectors("tail", parse("expectation"), logits, table, **frozen)
    assert caught.value.rows == (2,)
    top = controlled_vectors("top1", parse("expectation"), logits, table, **frozen)
    assert torch.equal(top[2], table[logits[2].argmax()])


@pytest.mark.parametrize("content", ["shuffled-tail", "hull-noise"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_permuted_weights_are_the_same_weights_on_other_tokens(content, encoder, logits, state):
    q = controlled_log_weights(content, parse(encoder), logits, **state).exp()
    # The distribution that the encoder mixes, in float64.
    _, mixed = parse(encoder).distribution(logits.double(), **state)
    mixed = mixed / mixed.sum(dim=1, keepdim=True)
    torch.testing.assert_close(q.sort(dim=1).values, mixed.sort(dim=1).values, rtol=1e-9, atol=0)
    assert float(q[:, [3, 30]].max()) == 0.0
    best = mixed.argmax(dim=1)
    if content == "shuffled-tail":
        torch.testing.assert_close(q.gather(1, best[:, None]), mixed.gather(1, best[:, None]), rtol=1e-12, atol=0)
    if encoder == "expectation":
        # Not where they were, and other in each row that has another seed or step.
        assert not torch.equal(q[2].argsort(), mixed[2].argsort())
        moved = [tuple(row.argsort(stable=True).tolist()) for row in q]
        assert len(set(moved)) == len(moved)


def test_hull_noise_has_the_entropy_of_the_belief(logits, table, state):
    q = controlled_log_weights("hull-noise", parse("expectation"), logits, **state).exp()
    p = belief(logits, state["temperature"])
    entropy = [-(row[row > 0] * row[row > 0].log()).sum() for row in (*q, *p)]
    torch.testing.assert_close(torch.stack(entropy[:6]), torch.stack(entropy[6:]), rtol=1e-9, atol=1e-12)
    found = controlled_vectors("hull-noise", parse("expectation"), logits, table, **state)
    torch.testing.assert_close(found.double(), q @ table.double(), rtol=0, atol=2e-6 * float(table.abs().max()))


def test_noise_is_as_long_as_the_message_and_points_anywhere():
    wide, rows = torch.randn(V, 64, generator=torch.Generator().manual_seed(3)), 400
    logits = torch.randn(1, V, generator=torch.Generator().manual_seed(4)).expand(rows, V)
    state = {"temperature": 1.0, "seeds": torch.full((rows,), 9), "steps": torch.arange(rows)}
    intact = parse("expectation").encode(logits, wide, **state).vectors
    found = controlled_vectors("noise", parse("expectation"), logits, wide, **state)
    torch.testing.assert_close(found.norm(dim=1), intact.norm(dim=1), rtol=1e-5, atol=0)
    cosines = torch.nn.functional.cosine_similarity(found.double(), intact.double())
    # Of a random direction the cosine has mean 0 and deviation 1/√D.
    assert abs(float(cosines.mean())) < 4 / math.sqrt(64 * rows)
    assert float(cosines.std()) == pytest.approx(1 / 8, rel=0.15)


@pytest.mark.parametrize("content", RENDERED_CONTENTS)
@pytest.mark.parametrize("encoder", ["expectation", "gumbel(tau=0.5)"])
def test_a_row_is_the_same_bits_alone_and_in_company(content, encoder, logits, table, state):
    together = controlled_vectors(content, parse(encoder), logits, table, **state)
    for row in range(len(logits)):
        one = {name: values[row : row + 1] for name, values in state.items()}
        assert torch.equal(
            controlled_vectors(content, parse(encoder), logits[row : row + 1], table, **one)[0], together[row]
        )


def test_what_is_no_distribution_is_refused(logits, table, state):
    with pytest.raises(ValueError, match="needs an encoder that mixes by a distribution"):
        controlled_vectors("tail", parse("partial-max(published=true)"), logits, table, **state)
    with pytest.raises(ValueError, match="content 'head' is no mixture; known: top1, tail, shuffled-tail, hull-noise"):
        controlled_log_weights("head", parse("expectation"), logits, **state)


def test_names_of_renderings():
    assert rendered_name("intact", "abc") == "abc"
    assert rendered_name("hull-noise", "abc") == "hull-noise:abc"
