"""Hidden state optimisation against torch's own Adam in float64, one optimiser a vector, and against what it must not do."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.decoding.hso import HiddenStateOptimisation, optimised
from agents.decoding.rules import parse_decoding, requested_decoding
from agents.errors import ConfigError, RequestError, UnknownName

UNIT = 0.7


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    made = LlamaForCausalLM(config).double().eval().requires_grad_(False)
    for weight in made.parameters():
        if weight.ndim == 2:
            weight.mul_(4.0)
    return made


def prompt(model, length=14, heard=(3, 4, 5, 8, 9)):
    """Return inputs [P, D], heard positions and targets of a random prompt with random vectors in it."""
    draw = torch.Generator().manual_seed(1)
    targets = torch.randint(0, 23, (length,), generator=draw)
    inputs = model.get_input_embeddings().weight[targets].clone()
    heard = torch.tensor(heard)
    inputs[heard] += 0.3 * inputs.std() * torch.randn(len(heard), 16, generator=draw, dtype=torch.float64)
    return inputs, heard, targets


def logits_of(model):
    return lambda fed: model(inputs_embeds=fed[None], use_cache=False).logits[0]


def written_plainly(model, inputs, heard, targets, settings):
    """Return the adapted inputs: a loop over windows, with one torch.optim.Adam a vector, made when it is first moved."""
    received = {int(place): inputs[place].clone() for place in heard}
    vectors = {place: torch.nn.Parameter(vector.clone()) for place, vector in received.items()}
    optimisers = {}
    scored = [place for place in range(int(heard[0]) + 1, len(inputs)) if targets[place] >= 0]
    size = settings.window or len(scored)
    for window in [scored[start : start + size] for start in range(0, len(scored), size)]:
        for _ in range(settings.steps):
            rows = [vectors.get(place, inputs[place]) for place in range(window[-1])]
            likely = torch.log_softmax(logits_of(model)(torch.stack(rows)), dim=1)
            loss = -sum(likely[place - 1, targets[place]] for place in window) / len(window)
            for vector in vectors.values():
                vector.grad = None
            loss.backward()
            for place, vector in vectors.items():
                if place >= window[-1]:
                    continue
                optimisers.setdefault(place, torch.optim.Adam([vector], lr=settings.rate * UNIT)).step()
                with torch.no_grad():
                    way = vector - received[place]
                    most = settings.bound * received[place].norm()
                    vector.copy_(received[place] + way * min(1.0, float(most / way.norm())))
    return torch.stack([vectors[place].detach() if place in vectors else inputs[place] for place in range(len(inputs))])


@pytest.mark.parametrize("window", [0, 1, 3, 5])
@pytest.mark.parametrize("bound", [0.05, 10.0])
def test_it_is_adam_with_moments_and_steps_of_each_vector(model, window, bound):
    settings = HiddenStateOptimisation(steps=3, rate=0.02, bound=bound, window=window)
    inputs, heard, targets = prompt(model)
    targets[6] = -1  # where no token is known, nothing is scored
    ours = optimised(inputs, heard, targets, logits_of(model), settings, unit=UNIT)
    plain = written_plainly(model, inputs, heard, targets, settings)
    assert float((ours - inputs)[heard].abs().max()) > 1e-3
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


def test_a_vector_that_is_heard_later_begins_a_course_of_its_own(model):
    """Adam's first step is rate · sign of the gradient: of the later vector too, although others have taken several."""
    inputs, heard, targets = prompt(model, length=11, heard=(2, 9))
    settings = HiddenStateOptimisation(steps=1, rate=0.01, bound=10.0, window=2)
    ours = optimised(inputs, heard, targets, logits_of(model), settings, unit=UNIT)
    later = (ours - inputs)[9]
    torch.testing.assert_close(later.abs(), torch.full_like(later, 0.01 * UNIT), rtol=1e-4, atol=0)


def test_nothing_is_scored_before_what_is_heard_nor_moved_after_it(model):
    inputs, heard, targets = prompt(model)
    settings = HiddenStateOptimisation(steps=2, rate=0.05)
    ours = optimised(inputs, heard, targets, logits_of(model), settings, unit=UNIT)
    text = torch.ones(len(inputs), dtype=torch.bool)
    text[heard] = False
    assert torch.equal(ours[text], inputs[text])
    other = targets.clone()
    other[: int(heard[0]) + 1] = (other[: int(heard[0]) + 1] + 1) % 23
    assert torch.equal(optimised(inputs, heard, other, logits_of(model), settings, unit=UNIT), ours)


def test_a_window_does_not_look_at_the_next(model):
    """No peeking: what the first window makes of the vectors does not depend on any token behind it."""
    inputs, heard, targets = prompt(model, length=16, heard=(2, 3, 4))
    settings = HiddenStateOptimisation(steps=2, rate=0.02, bound=1.0, window=6)
    seen = []

    def watched(of_targets):
        fed_to = []

        def forward(fed):
            fed_to.append(fed.detach().clone())
            return logits_of(model)(fed)

        optimised(inputs, heard, of_targets, forward, settings, unit=UNIT)
        seen.append(fed_to)

    other = targets.clone()
    other[9:] = (other[9:] + 5) % 23  # windows score 3 … 8, 9 … 14, 15
    watched(targets)
    watched(other)
    first, second = seen
    # The state with which the second window begins is that which the first left.
    assert all(torch.equal(one, two) for one, two in zip(first[:3], second[:3], strict=True))
    assert not torch.equal(first[3], second[3])
    assert [len(fed) for fed in first] == [8, 8, 14, 14, 15, 15]


def test_the_loss_falls_and_the_bound_holds(model):
    inputs, heard, targets = prompt(model)

    def loss(of):
        return float(torch.nn.functional.cross_entropy(logits_of(model)(of)[3:-1], targets[4:]))

    settings = HiddenStateOptimisation(steps=30, rate=0.01, bound=0.2)
    ours = optimised(inputs, heard, targets, logits_of(model), settings, unit=UNIT)
    assert loss(ours) < loss(inputs) - 0.05
    share = (ours - inputs)[heard].norm(dim=1) / inputs[heard].norm(dim=1)
    assert float(share.max()) <= 0.2 + 1e-12
    assert float(share.max()) > 0.19


def test_without_steps_or_vectors_the_prompt_is_the_same_object(model):
    inputs, heard, targets = prompt(model)
    none = HiddenStateOptimisation(steps=0)
    assert optimised(inputs, heard, targets, logits_of(model), none, unit=UNIT) is inputs
    some = HiddenStateOptimisation(steps=2)
    assert optimised(inputs, heard[:0], targets, logits_of(model), some, unit=UNIT) is inputs


def test_a_message_at_the_very_end_has_nothing_behind_its_last_vector(model):
    inputs, heard, targets = prompt(model, length=8, heard=(6, 7))
    ours = optimised(inputs, heard, targets, logits_of(model), HiddenStateOptimisation(steps=2), unit=UNIT)
    assert torch.equal(ours[7], inputs[7])
    assert not torch.equal(ours[6], inputs[6])


def test_a_loss_that_is_not_finite_is_refused(model):
    inputs, heard, targets = prompt(model)
    with pytest.raises(ArithmeticError, match="not finite"):
        optimised(
            inputs, heard, targets, lambda fed: logits_of(model)(fed) * float("nan"), HiddenStateOptimisation(), unit=1
        )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("hsoo", "Did you mean 'hso'"),
        ("hso(stepz=2)", "Did you mean 'steps'"),
        ("hso(steps=1.5)", "steps must be of type int"),
        ("hso(steps=-1)", "between 0 and 1000"),
        ("hso(rate=0)", "above 0"),
        ("hso(bound=1e999)", "at most at 1000"),
        ("hso(rate=1e22)", "at most at 1000"),
        ("acbs(most=1.5)", "most must be of type int"),
        ("hso(window=-1)", "window"),
        ("hso(", "cannot read"),
    ],
)
def test_what_a_config_may_not_say(text, part):
    with pytest.raises((ConfigError, UnknownName), match=r".*") as refusal:
        parse_decoding(text)
    assert part in str(refusal.value)
    with pytest.raises(RequestError):
        requested_decoding(text)


def test_what_a_config_may_say():
    assert parse_decoding("hso") == HiddenStateOptimisation()
    assert parse_decoding("hso(steps=3, rate=1, bound=0.5, window=8)") == HiddenStateOptimisation(3, 1, 0.5, 8)
