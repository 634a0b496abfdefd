"""Neurons that fire against a plain loop, their learning against a tape of it, the network in float64, streams, the recipe."""

import zipfile
from dataclasses import replace

import pytest
import torch
from support.contracts import small_lmuformer
from support.random_models import generator
from support.small_data import wav

from agents.models.lmuformer import training
from agents.models.lmuformer.backend import LMUFormerBackend
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.memory import discrete
from agents.models.lmuformer.model import LMUFormer
from agents.models.lmuformer.network import network
from agents.models.lmuformer.neurons import spikes
from agents.models.lmuformer.spiking import SpikingLMUFormer
from agents.models.lmuformer.stream import State
from agents.models.seeded import seeded
from agents.observation import Audio
from agents.question import Question

CONFIG = LMUFormerConfig(("a", "b", "c"), mels=6, width=16, theta=12, window=32, hop=16, spiking=True)


def inputs(*shape, seed=0, strength=1.5):
    return strength * torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def test_a_neuron_leaks_integrates_fires_and_begins_again():
    x = inputs(2, 3, 40)
    found, left = spikes(x, threshold=0.5)
    for i in range(2):
        for c in range(3):
            potential = 0.0
            for t in range(40):
                potential += (float(x[i, c, t]) - potential) / 2
                fires = potential >= 0.5
                assert float(found[i, c, t]) == fires
                potential = 0.0 if fires else potential
            assert float(left[i, c]) == pytest.approx(potential, abs=1e-12)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert spikes(torch.full((1, 1, 3), 2.0), threshold=1.0)[0].tolist() == [[[1, 1, 1]]]


def test_neurons_go_on_from_their_potentials():
    x = inputs(2, 3, 20)
    whole, left = spikes(x)
    first, between = spikes(x[..., :7])
    second, end = spikes(x[..., 7:], start=between)
    assert torch.equal(torch.cat([first, second], -1), whole)
    assert torch.equal(end, left)


class Step(torch.autograd.Function):
    """A step whose slope is the sigmoid's, for a tape of every step."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        risen = 1 / (1 + torch.exp(-4 * x))
        return grad * 4 * risen * (1 - risen)


def test_learning_is_the_tapes_with_the_reset_fixed():
    x, weights = inputs(2, 3, 15).requires_grad_(), inputs(2, 3, 15, seed=1)
    (found,) = torch.autograd.grad((spikes(x, threshold=0.7)[0] * weights).sum(), x)
    potential, total = torch.zeros(2, 3, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for t in range(15):
        potential = potential + (x[..., t] - potential) / 2
        spike = Step.apply(potential - 0.7)
        total = total + (spike * weights[..., t]).sum()
        potential = potential * (1 - spike.detach())
    (want,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(found, want, atol=1e-12, rtol=1e-10)
    assert float(want.abs().min()) > 0


def small(config=CONFIG):
    """Return a network with statistics and scales that are not those of a fresh batch norm; its neurons fire."""
    model = seeded(lambda: network(config), 0)
    random = generator(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.copy_(0.3 * torch.randn(module.running_mean.shape, generator=random))
            module.running_var.copy_(0.05 + 0.2 * torch.rand(module.running_var.shape, generator=random))
            module.weight.data.fill_(2.0)
            module.bias.data.copy_(0.6 + 0.3 * torch.randn(module.bias.shape, generator=random))
    # One neuron alone, which else never fires, or always.
    model.signal.weight.data.abs_()
    model.signal_fired.norm.running_mean.fill_(0.65)
    model.signal_fired.norm.running_var.fill_(0.05)
    return model.eval()


@torch.inference_mode()
def test_the_network_is_the_plain_one_in_float64():
    """Every layer written out, frame by frame: the recurrent form, against the sequence's by FFT."""
    model = small().double()
    w = model.state_dict()
    frames, potentials, rates = inputs(14, 6, seed=3), {}, {}

    def norm(x, name):
        scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
        return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    def fire(x, name, threshold=1.0):
        before = potentials.get(name, torch.zeros_like(x))
        charged = before + (norm(x, f"{name}.norm") - before) / 2
        spike = (charged >= threshold).double()
        potentials[name] = torch.where(spike > 0, torch.zeros_like(x), charged)
        rates.setdefault(name, []).append(spike)
        return spike

    def causal(xs, name):
        zero = torch.zeros_like(xs[0])
        seen = [zero, zero, *xs]
        return [sum(w[f"{name}.weight"][:, :, k] @ seen[t + k] for k in range(3)) for t in range(len(xs))]

    def dense(x, name):
        return w[f"{name}.weight"].squeeze(-1) @ x + w[f"{name}.bias"]

    xs = list(frames)
    for layer in range(4):
        felt = causal(xs, f"embedding.{layer}")
        xs = [fire(x, f"fired.{layer}") for x in felt]
    xs = [x + r for x, r in zip(felt, causal(xs, "residual"), strict=True)]
    a, b = discrete(32, 12)
    memory, scores = torch.zeros(32, dtype=torch.float64), []
    for x in xs:
        spike = fire(x, "entry", 0.5)
        memory = a @ memory + b * fire(dense(spike, "signal"), "signal_fired")
        heard = torch.cat([fire(memory, "memory_fired"), spike])
        x = x + norm(dense(fire(dense(heard, "hidden"), "hidden_fired"), "project.0"), "project.1")
        inner = dense(fire(x, "mixer_fired.0"), "mixer.0")
        x = x + dense(fire(inner, "mixer_fired.1"), "mixer.1")
        scores.append(dense(fire(x, "head_fired"), "head"))
    torch.testing.assert_close(model(frames[None])[0], torch.stack(scores), atol=1e-9, rtol=1e-9)
    assert len(rates) == 11
    assert [name for name, fired in rates.items() if not 0 < float(torch.stack(fired).mean()) < 1] == []


@torch.inference_mode()
def test_streaming_is_the_running_mean_of_the_whole_and_hears_nothing_later():
    model = small().double()
    frames = inputs(2, 30, 6)
    whole, state = model(frames), State()
    for t in range(30):
        torch.testing.assert_close(model.step(frames[:, t], state), whole[:, : t + 1].mean(1), atol=1e-9, rtol=1e-9)
    changed = frames.clone()
    changed[:, 12:] += 5.0
    assert torch.equal(model(changed)[:, :12], whole[:, :12])
    assert not torch.equal(model(changed)[:, 12:], whole[:, 12:])


def test_every_weight_learns_through_spikes():
    model = small().train()
    model(inputs(4, 20, 6).float()).mean(1).logsumexp(-1).sum().backward()
    # What is normalised afterwards has no use for a bias of its own.
    useless = {"signal.bias", "hidden.bias", "project.0.bias", "mixer.0.bias"}
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        assert name in useless or float(weights.grad.abs().max()) > 1e-9, name


def test_the_config_says_which_it_is_and_old_ones_are_not_spiking(tmp_path):
    assert isinstance(network(CONFIG), SpikingLMUFormer)
    assert isinstance(network(replace(CONFIG, spiking=False)), LMUFormer)
    sizes = {name: value for name, value in CONFIG.sizes.items() if name != "spiking"}
    assert isinstance(network(LMUFormerConfig(**sizes)), LMUFormer)
    small_lmuformer(tmp_path, spiking=True)
    assert isinstance(LMUFormerBackend.from_pretrained(str(tmp_path)).model, SpikingLMUFormer)


def test_an_agent_believes_after_every_frame(tmp_path):
    small_lmuformer(tmp_path, spiking=True)
    backend = LMUFormerBackend.from_pretrained(str(tmp_path))
    backend.model.double()
    backend.frames = lambda audio: LMUFormerBackend.frames(backend, audio).double()
    sound = Audio(torch.randn(900, generator=generator()), 8000)
    (whole,), beliefs = backend.believe([Question("case", "?", (sound,))]), backend.stream(sound)
    assert len(beliefs) == len(backend.frames(sound))
    assert beliefs[-1].probabilities == pytest.approx(whole.probabilities, abs=1e-9)
    assert len({belief.probabilities for belief in beliefs}) > 1


def test_the_recipe_trains_both_kinds_and_prints_its_table(cli, tmp_path, monkeypatch):
    for split in ("train", "test"):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for digit in range(10):
                t = torch.arange(1600) / 8000
                tone = torch.sin(6.28 * (200 + 330 * digit) * t) * 9000
                archive.writestr(f"{digit}_ann_0.wav", wav(tone.short().numpy().tobytes()))
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, epochs=1, batch=5))
    shown = []
    for out in ("one", "two", "two"):
        code, said, _ = cli("train", "lmuformer", "--out", tmp_path / out, "--data", tmp_path, "--seeds", 1)
        assert code == 0
        assert said.count("null") + said.count("pass") == 3
        shown.append(said)
    assert len(set(shown)) == 1
    weights = [(tmp_path / out / "fsdd-0-spiking" / "model.safetensors").read_bytes() for out in ("one", "two")]
    assert weights[0] == weights[1]
