"""The memory against its definition and scipy, streams against sequences, features against the plain transform."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.contracts import small_lmuformer
from support.random_models import generator
from support.small_data import digits, wav

from agents.beliefs.cards import create_belief_backend
from agents.beliefs.sound_files import read_wav, with_noise
from agents.errors import BeliefError, ConfigError, ModelError, ObservationError, RequestError, TaskError
from agents.models.lmuformer.backend import LMUFormerBackend
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.features import log_mel, mel_filters, spectrogram
from agents.models.lmuformer.memory import convolved, discrete, impulse_response, stepped
from agents.models.lmuformer.model import BareLMU, LMUFormer
from agents.models.lmuformer.official import from_official, official_name
from agents.models.lmuformer.stream import State
from agents.models.lmuformer.training import RECIPE, accuracy, mean_scores, padded, train
from agents.models.sounds.spoken_digits import DIGITS, read_digits
from agents.observation import Audio
from agents.question import Question
from evals.task import create_task


def test_the_memory_is_discretised_as_scipy_does():
    scipy = pytest.importorskip("scipy.signal")
    size, theta = 9, 17
    a = [[(2 * i + 1) / theta * (-1 if i < j else (-1) ** (i - j + 1)) for j in range(size)] for i in range(size)]
    b = [[(2 * i + 1) * (-1) ** i / theta] for i in range(size)]
    system = tuple(torch.tensor(part).double().numpy() for part in (a, b, [[0.0] * size], [[0.0]]))
    want_a, want_b, *_ = scipy.cont2discrete(system, dt=1.0, method="zoh")
    found_a, found_b = discrete(size, theta)
    assert torch.allclose(found_a, torch.from_numpy(want_a), atol=1e-12)
    assert torch.allclose(found_b, torch.from_numpy(want_b)[:, 0], atol=1e-12)


def test_convolution_and_recurrence_are_the_same():
    u = torch.randn(3, 90, generator=generator(), dtype=torch.float64)
    memory, by_step = torch.zeros(3, 12, dtype=torch.float64), []
    for t in range(90):
        memory = stepped(memory, u[:, t], 40)
        by_step.append(memory)
    assert torch.allclose(convolved(u, 12, 40), torch.stack(by_step, 1), atol=1e-10)
    # In float32, as it runs, to the accuracy that the paper's two forms are held to.
    assert torch.allclose(convolved(u.float(), 12, 40).double(), torch.stack(by_step, 1), atol=1e-4)


def test_the_memory_holds_the_window_as_legendre_coefficients():
    """A smooth signal is read back from it at any delay within theta (Voelker et al., 2019, equation 3)."""
    size, theta = 10, 60
    t = torch.arange(200, dtype=torch.float64)
    u = torch.sin(t / 20) + 0.5 * torch.cos(t / 33)
    memory = convolved(u[None], size, theta)[0, -1]
    for delay in (5, 20, 30, 45, 55):
        r = delay / theta
        x, polynomials = 2 * r - 1, [1.0, 2 * r - 1]
        for n in range(1, size - 1):
            polynomials.append(((2 * n + 1) * x * polynomials[n] - n * polynomials[n - 1]) / (n + 1))
        read = sum(c * p for c, p in zip(memory.tolist(), polynomials, strict=True))
        # Held between steps, it is half a step late.
        assert read == pytest.approx(float((u[199 - delay] + u[199 - delay + 1]) / 2), abs=0.03)


def test_powers_are_made_where_they_do_not_drift():
    a, b = discrete(16, 64)
    exact = impulse_response(16, 64, 400)
    assert exact.dtype == torch.float64
    assert torch.allclose(exact[250], torch.linalg.matrix_power(a, 250) @ b, atol=1e-12)


def small(**keys):
    torch.manual_seed(0)
    model = LMUFormer(LMUFormerConfig(("a", "b", "c"), mels=6, width=16, theta=12, window=32, hop=16, **keys))
    # Statistics and scales that are not those of a fresh batch norm.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
    return model.eval()


@torch.inference_mode()
def test_streaming_is_the_running_mean_of_the_whole():
    model = small()
    frames = torch.randn(2, 30, 6, generator=generator())
    whole, state = model(frames), State()
    for t in range(30):
        assert torch.allclose(model.step(frames[:, t], state), whole[:, : t + 1].mean(1), atol=1e-4)


@torch.inference_mode()
def test_nothing_later_is_heard():
    model = small()
    frames = torch.randn(1, 20, 6, generator=generator())
    for t in (0, 7, 18):
        changed = frames.clone()
        changed[:, t + 1 :] += 5.0
        assert torch.allclose(model(changed)[:, : t + 1], model(frames)[:, : t + 1], atol=1e-5)
        assert float((model(changed)[:, t + 1] - model(frames)[:, t + 1]).abs().max()) > 1e-5


@torch.inference_mode()
def test_the_network_is_the_plain_one_in_float64():
    """Every layer written out, frame by frame."""
    model = small()
    w = {name: value.double() for name, value in model.state_dict().items()}
    frames = torch.randn(14, 6, generator=generator(3), dtype=torch.float64)

    def norm(x, name):
        scale = w[f"{name}.weight"] / (w[f"{name}.running_var"] + 1e-5).sqrt()
        return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    def causal(xs, name):
        zero = torch.zeros_like(xs[0])
        seen = [zero, zero, *xs]
        return [sum(w[f"{name}.weight"][:, :, k] @ seen[t + k] for k in range(3)) for t in range(len(xs))]

    xs = list(frames)
    for layer in range(4):
        xs = [norm(x.clamp_min(0), f"norms.{layer}") for x in causal(xs, f"embedding.{layer}")]
    xs = [x + r for x, r in zip(xs, causal(xs, "residual"), strict=True)]
    a, b = discrete(16, 12)
    memory, scores = torch.zeros(16, dtype=torch.float64), []
    for x in xs:
        u = (w["signal.weight"] @ x + w["signal.bias"]).clamp_min(0)
        memory = a @ memory + b * u
        hidden = (w["hidden.weight"] @ torch.cat([memory, x]) + w["hidden.bias"]).clamp_min(0)
        x = x + norm(w["project.0.weight"][:, :, 0] @ hidden + w["project.0.bias"], "project.1")
        inner = norm(w["mixer.0.weight"][:, :, 0] @ x + w["mixer.0.bias"], "mixer.1")
        gelu = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        x = x + norm(w["mixer.3.weight"][:, :, 0] @ gelu + w["mixer.3.bias"], "mixer.4").clamp_min(0)
        scores.append(w["head.weight"] @ x + w["head.bias"])
    found = model(frames.float()[None])[0].double()
    assert torch.allclose(found, torch.stack(scores), atol=1e-4)


def test_the_spectrogram_is_the_plain_transform():
    samples = torch.randn(400, generator=generator(), dtype=torch.float64)
    found = log_mel(samples.float(), rate_hz=8000, window=64, hop=20, bands=5)
    assert found.shape == (1 + (400 - 64) // 20, 5)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(64, dtype=torch.float64) / 64)
    bins = torch.arange(33, dtype=torch.float64)[:, None] * torch.arange(64, dtype=torch.float64)
    filters = mel_filters(5, 64, 8000).double()
    for t in (0, 7):
        piece = samples[20 * t : 20 * t + 64] * window
        real, imaginary = (torch.cos(2 * math.pi * bins / 64) @ piece, torch.sin(2 * math.pi * bins / 64) @ piece)
        want = (filters @ (real**2 + imaginary**2) + 1e-5).log()
        assert torch.allclose(found[t].double(), want, atol=1e-3)
    # Triangles: each bin between the first and the last centre has weights that sum to 1.
    wide = mel_filters(20, 512, 8000)
    centres = wide.argmax(1)
    inside = wide[:, centres[0] + 1 : centres[-1]].sum(0)
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-5)
    assert log_mel(torch.zeros(3), rate_hz=8000, window=64, hop=20, bands=5).shape == (1, 5)


def test_noise_has_the_ratio_that_was_asked_for():
    sound = Audio(torch.sin(torch.arange(40_000) / 7.0), 8000)
    for ratio in (20.0, 0.0, -10.0):
        noise = with_noise(sound, ratio, generator()).samples - sound.samples
        found = 10 * math.log10(float(sound.samples.pow(2).mean() / noise.pow(2).mean()))
        assert found == pytest.approx(ratio, abs=0.2)
    assert with_noise(Audio(torch.zeros(0), 8000), 0.0, generator()).is_empty


def test_wav_files_are_read_and_others_refused():
    sound = read_wav(wav(torch.tensor([0, 16384, -32768], dtype=torch.int16).numpy().tobytes()), source="x")
    assert sound.samples.tolist() == [0.0, 0.5, -1.0]
    assert sound.rate_hz == 8000
    assert read_wav(wav(b""), source="x").is_empty
    with pytest.raises(ObservationError, match="x: not a WAV file"):
        read_wav(b"RIFF", source="x")
    with pytest.raises(ObservationError, match="x: one channel of 16 bits is read; this has 2 of 16"):
        read_wav(wav(bytes(8), channels=2), source="x")


def test_training_is_seeded_and_learns_tones(tmp_path):
    clips = read_digits(digits(tmp_path), "train")
    config = LMUFormerConfig(DIGITS, mels=16, width=32, theta=32)
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = train(
            LMUFormer(config), config, clips, replace(RECIPE, epochs=25, batch=10), seed=0, progress=lambda _: None
        )
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert accuracy(model, config, read_digits(tmp_path, "test")) >= 0.6
    torch.manual_seed(0)
    bare = train(BareLMU(config), config, clips, replace(RECIPE, epochs=1, batch=10), seed=0, progress=lambda _: None)
    assert 0 <= accuracy(bare, config, clips, heard=0.5) <= 1


def test_a_sequence_is_judged_by_its_own_frames():
    scores = torch.arange(12.0).reshape(2, 3, 2)
    found = mean_scores(scores, torch.tensor([1, 3]))
    assert torch.equal(found, torch.stack([scores[0, 0], scores[1].mean(0)]))
    config = LMUFormerConfig(DIGITS)
    frames, lengths = padded([Audio(torch.zeros(400), 8000), Audio(torch.zeros(1000), 8000)], config)
    assert lengths.tolist() == [2, 10]
    assert frames.shape == (2, 10, 40)
    assert torch.allclose(frames[0, 2:], frames[1, -1, 0].expand(8, 40), atol=1e-4)


def test_an_agent_believes_after_every_frame(tmp_path):
    small_lmuformer(tmp_path)
    backend = LMUFormerBackend.from_pretrained(str(tmp_path))
    sound = Audio(torch.randn(900, generator=generator()), 8000)
    (whole,), beliefs = backend.believe([Question("case", "?", (sound,))]), backend.stream(sound)
    assert len(beliefs) == len(backend.frames(sound))
    assert beliefs[-1].probabilities == pytest.approx(whole.probabilities, abs=1e-5)
    early = LMUFormerBackend.from_pretrained(str(tmp_path), heard=0.5)
    (half,) = early.believe([Question("case", "?", (sound,))])
    assert half.probabilities == pytest.approx(beliefs[round(0.5 * len(beliefs)) - 1].probabilities, abs=1e-5)


def test_an_agent_answers_while_it_hears(tmp_path):
    """A share a round; the belief of a round is the stream's at that frame, and nothing of what follows is in it."""
    small_lmuformer(tmp_path)
    backend = LMUFormerBackend.from_pretrained(str(tmp_path), heard=[0.25, 0.5, 1.0])
    sound = Audio(torch.randn(900, generator=generator()), 8000)
    beliefs = backend.stream(sound)
    for number, share in enumerate((0.25, 0.5, 1.0, 1.0), start=1):
        (found,) = backend.believe([Question("case", "?", (sound,), round=number)])
        assert found.probabilities == pytest.approx(
            beliefs[max(1, round(share * len(beliefs))) - 1].probabilities, abs=1e-5
        )
    other = Audio(torch.cat([sound.samples[:450], torch.randn(450, generator=generator(1))]), 8000)
    (early,), (same,) = (backend.believe([Question("case", "?", (each,), round=1)]) for each in (sound, other))
    assert early.probabilities == pytest.approx(same.probabilities, abs=1e-6)
    backend.save_pretrained(tmp_path / "saved")
    assert LMUFormerBackend.from_pretrained(str(tmp_path / "saved")).shares == [0.25, 0.5, 1.0]


def test_the_task_hears_the_same_noise_again(tmp_path):
    digits(tmp_path)
    clean, noisy, again = (create_task(f"spoken_digits{v}", data=tmp_path).samples() for v in ("", ":0", ":0"))
    assert len(clean) == 10
    assert [s.id for s in clean] == [s.id for s in noisy]
    for a, b, c in zip(clean, noisy, again, strict=True):
        assert torch.equal(b.observations[0].samples, c.observations[0].samples)
        assert not torch.equal(a.observations[0].samples, b.observations[0].samples)
        assert a.target not in a.question
    task = create_task("spoken_digits", data=tmp_path)
    for said, want in (("Answer: Seven", "seven"), ("It is 3.", "three"), ("one or two", None), ("Answer: 10", None)):
        assert task.extract(said) == want
    with pytest.raises(TaskError, match="give a folder with train.zip and test.zip"):
        create_task("spoken_digits").samples()
    with pytest.raises(TaskError, match="the spoken digits are not there"):
        create_task("spoken_digits", data=tmp_path / "none").samples()


def test_the_real_recordings_are_read():
    folder = Path(os.environ.get("CIPHER_DEBATE_DATA", "")) / "fsdd"
    if not (folder / "test.zip").is_file():
        pytest.skip("the spoken digits are not there: set CIPHER_DEBATE_DATA to a folder with fsdd/test.zip")
    clips = read_digits(folder, "test")
    assert len(clips) == 300
    assert {clip.audio.rate_hz for clip in clips} == {8000}
    assert [sum(clip.digit == digit for clip in clips) for digit in range(10)] == [30] * 10


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: LMUFormerBackend.from_pretrained(), ModelError, "ships no weights: give checkpoint"),
        (lambda: LMUFormerBackend.from_pretrained("/nowhere"), ModelError, "no LMUFormer in /nowhere"),
        (lambda: LMUFormerBackend(small(), heard=0.0), BeliefError, "heard is a share above 0"),
        (lambda: LMUFormerBackend(small(), heard=[]), BeliefError, "heard is a share above 0"),
        (lambda: LMUFormerBackend(small(), heard=[0.5, 0.2]), BeliefError, "what was heard stays heard"),
        (lambda: read_digits(None, "train"), ModelError, "give --data with train.zip"),
    ],
)
def test_mistakes_are_sentences(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def official(model="lmu_rnn_conv1d", *, width=256, mels=128, classes=35, frames=128, wide=1024):
    """Return a state dict with the names and shapes of an official model of one block, of small random numbers."""
    noise = generator()

    def numbers(*shape):
        return 0.05 * torch.randn(shape, generator=noise)

    found = {}

    def norm(name, size):
        found.update({f"{name}.{part}": numbers(size) for part in ("weight", "bias", "running_mean")})
        found[f"{name}.running_var"] = 0.5 + torch.rand(size, generator=noise)
        found[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def layer(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = numbers(*shape), numbers(shape[0])

    spiking = model == "slmu_rnn_ms_conv1d"
    memory = 2 * width if spiking else width
    for number in range(4):
        convolution, after = (
            (f"patch_embed.proj_conv{number or ''}", f"patch_embed.proj_bn{number or ''}")
            if spiking
            else (f"patch_embed.conv_layers.{number}.0", f"patch_embed.conv_layers.{number}.3")
        )
        found[f"{convolution}.weight"] = numbers(width, width if number else mels, 3)
        norm(after, width)
    found["patch_embed.rpe_conv.weight"] = numbers(width, width, 3)
    cell = "block.0.attn.lmu"
    layer(f"{cell}.W_u", 1, width)
    layer(f"{cell}.W_h", width, memory + width)
    a, b = discrete(memory, frames)
    found[f"{cell}.A"], found[f"{cell}.B"] = a.float(), b.float()[:, None]
    found[f"{cell}.H"] = impulse_response(memory, frames, frames).T.float()
    found[f"{cell}.fft_H"] = torch.fft.rfft(found[f"{cell}.H"], 2 * frames)
    layer("block.0.attn.proj_conv", width, width, 1)
    norm("block.0.attn.proj_bn", width)
    layer("block.0.mlp.fc1_conv", wide, width, 1)
    layer("block.0.mlp.fc2_conv", width, wide, 1)
    norm("block.0.mlp.fc1_bn", width if spiking else wide)
    norm("block.0.mlp.fc2_bn", wide if spiking else width)
    layer("head", classes, width)
    if spiking:
        for name, size in (("bn_u", 1), ("bn_m", memory), ("bn_h", width)):
            norm(f"{cell}.{name}", size)
        norm("block.0.attn.prev_bn", width)
        norm("head_bn", width)
    return {f"module.{name}": tensor for name, tensor in found.items()}


@pytest.mark.parametrize("model", ["lmu_rnn_conv1d", "slmu_rnn_ms_conv1d"])
def test_an_official_checkpoint_is_read_by_its_names_and_shapes(tmp_path, model):
    weights = official(model)
    torch.save(weights, tmp_path / "best_model.pth")
    backend = create_belief_backend("lmuformer", checkpoint=str(tmp_path / "best_model.pth"))
    config = backend.model.config
    assert (config.width, config.mels, config.theta, config.frames, config.expansion) == (256, 128, 128, 128, 4)
    assert config.spiking is (model == "slmu_rnn_ms_conv1d")
    loaded = backend.model.state_dict()
    theirs = {f"module.{official_name(name, spiking=config.spiking)}": tensor for name, tensor in loaded.items()}
    assert len(theirs) == len(loaded)
    cell = "module.block.0.attn.lmu"
    assert set(weights) - set(theirs) == {f"{cell}.{name}" for name in ("A", "B", "H", "fft_H")}
    assert all(torch.equal(tensor.reshape(weights[name].shape), weights[name]) for name, tensor in theirs.items())
    (belief,) = backend.believe([Question("case", "?", (Audio(torch.randn(16_000, generator=generator()), 16_000),))])
    assert len(belief.probabilities) == 35
    assert (belief.labels[0], belief.labels[34]) == ("backward", "one")
    with pytest.raises(BeliefError, match="looks ahead, as the paper's does, and has no stream"):
        backend.stream(Audio(torch.zeros(16_000), 16_000))
    backend.save_pretrained(tmp_path / "ours")
    again = LMUFormerBackend.from_pretrained(str(tmp_path / "ours"))
    assert again.model.config == config
    with pytest.raises(ModelError, match=r"labels are for official \.pth files"):
        LMUFormerBackend.from_pretrained(str(tmp_path / "ours"), labels=("a",))


@torch.inference_mode()
def test_the_official_network_is_the_plain_one_with_neighbours_on_both_sides(tmp_path):
    """Written out as the published code computes it: symmetric convolutions, the memory by its own impulse response."""
    weights = official(width=16, mels=6, classes=3, frames=20, wide=64)
    torch.save(weights, tmp_path / "x.pth")
    model = from_official(tmp_path / "x.pth", ("a", "b", "c"))
    w = {name.removeprefix("module."): tensor for name, tensor in weights.items()}

    def norm(x, name):
        parts = [w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return torch.nn.functional.batch_norm(x, *parts)

    frames = torch.randn(1, 20, 6, generator=generator(5))
    x = frames.transpose(1, 2)
    for layer in range(4):
        name = f"patch_embed.conv_layers.{layer}"
        x = norm(torch.conv1d(x, w[f"{name}.0.weight"], padding=1).relu(), f"{name}.3")
    x = x + torch.conv1d(x, w["patch_embed.rpe_conv.weight"], padding=1)
    cell, each = "block.0.attn.lmu", x.transpose(1, 2)
    u = (each @ w[f"{cell}.W_u.weight"].T + w[f"{cell}.W_u.bias"]).relu()[0, :, 0]
    response = w[f"{cell}.H"]
    memory = torch.stack([sum(response[:, t - s] * u[s] for s in range(t + 1)) for t in range(20)])[None]
    h = (torch.cat([memory, each], -1) @ w[f"{cell}.W_h.weight"].T + w[f"{cell}.W_h.bias"]).relu()
    name = "block.0.attn.proj_conv"
    x = x + norm(torch.conv1d(h.transpose(1, 2), w[f"{name}.weight"], w[f"{name}.bias"]), "block.0.attn.proj_bn")
    mlp = "block.0.mlp"
    inner = norm(torch.conv1d(x, w[f"{mlp}.fc1_conv.weight"], w[f"{mlp}.fc1_conv.bias"]), f"{mlp}.fc1_bn")
    inner = torch.nn.functional.gelu(inner)
    x = x + norm(torch.conv1d(inner, w[f"{mlp}.fc2_conv.weight"], w[f"{mlp}.fc2_conv.bias"]), f"{mlp}.fc2_bn").relu()
    want = x.transpose(1, 2) @ w["head.weight"].T + w["head.bias"]
    assert torch.allclose(model(frames), want, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("module.head.bias"), "no official LMUFormer: KeyError: 'head.bias'"),
        (lambda w: w.update({"module.block.1.mlp.fc1_conv.weight": torch.zeros(1)}), "of one block has block.1.mlp"),
        (lambda w: w["module.block.0.attn.lmu.A"].mul_(1.1), "not the Legendre memory of a window of 20 frames"),
        (lambda w: w.update({"module.head.weight": torch.zeros(3, 7)}), "size mismatch|RuntimeError"),
        (lambda w: w["module.head.bias"].fill_(torch.nan), "its tensor head.bias holds what is no number"),
        (
            lambda w: w.update({"module.head.bias": torch.ones(3, dtype=torch.int8)}),
            "head.bias is of int8, and the model's",
        ),
    ],
)
def test_another_file_is_refused(tmp_path, change, said):
    weights = official(width=16, mels=6, classes=3, frames=20, wide=64)
    change(weights)
    torch.save(weights, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=said):
        from_official(tmp_path / "x.pth")


def test_a_sound_of_more_frames_than_are_heard_is_refused(tmp_path):
    """Its beginning alone would be heard."""
    torch.save(official(width=16, mels=6, classes=3, frames=20, wide=64), tmp_path / "x.pth")
    backend = create_belief_backend("lmuformer", checkpoint=str(tmp_path / "x.pth"))

    def asked(count, rate=16_000):
        return [Question("case", "?", (Audio(torch.randn(count, generator=generator()), rate),))]

    longest = 400 + 20 * 160 - 1
    every = replace(backend.config, frames=0)
    assert [len(spectrogram(torch.zeros(count), every)) for count in (longest, longest + 1)] == [20, 21]
    assert backend.believe(asked(longest))[0].probabilities
    for count, rate in ((longest + 1, 16_000), (3 * longest, 44_100)):
        with pytest.raises(RequestError, match=r"hears 20 frames, 0\.22 s of a sound, and this has 0\.2\d; cut it"):
            backend.believe(asked(count, rate))


def test_files_that_hold_code_or_nothing_are_refused(tmp_path):
    torch.save(official(width=16, mels=6, classes=3, frames=20, wide=64), tmp_path / "x.pth")
    with pytest.raises(ModelError, match="2 labels were given"):
        from_official(tmp_path / "x.pth", ("a", "b"))
    with pytest.raises(ModelError, match="no official LMUFormer: FileNotFoundError"):
        from_official(tmp_path / "none.pth")
    torch.save({"x": Path("y")}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match="holds more than tensors"):
        from_official(tmp_path / "code.pth")


def test_kaldis_spectrogram_is_the_plain_one():
    config = LMUFormerConfig(("a",), rate_hz=16_000, mels=128, kaldi=True, frames=6, mean=-6.8, deviation=5.5)
    samples = torch.randn(1_600, generator=generator(2), dtype=torch.float64)
    found = spectrogram(samples.float(), config).double()
    heard = samples - samples.mean()
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(400, dtype=torch.float64) / 399)
    mel = torch.linspace(1127 * math.log(1 + 20 / 700), 1127 * math.log(1 + 8000 / 700), 130, dtype=torch.float64)
    bins = 1127 * (1 + torch.arange(257, dtype=torch.float64) * 16_000 / 512 / 700).log()
    rising = (bins - mel[:-2, None]) / (mel[1:-1] - mel[:-2])[:, None]
    falling = (mel[2:, None] - bins) / (mel[2:] - mel[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0)
    for t in (0, 3):
        piece = heard[160 * t : 160 * t + 400]
        piece = piece - piece.mean()
        piece = piece - 0.97 * torch.cat([piece[:1], piece[:-1]])
        power = torch.fft.rfft(piece * window, 512).abs() ** 2
        want = (filters @ power).clamp_min(2.0**-23).log()
        assert torch.allclose(found[t], (want + 6.8) / 11.0, atol=2e-3)
    # Six frames of silence are 0 before they are scaled, as the published code pads.
    short = spectrogram(torch.randn(700, generator=generator()), config)
    assert torch.equal(short[2:], torch.full((4, 128), 6.8 / 11.0))
    assert spectrogram(torch.zeros(3), config).isfinite().all()
    assert spectrogram(torch.zeros(2_000), replace(config, frames=0)).shape == (11, 128)
    with pytest.raises(ConfigError, match="at 16000 Hz; got rate_hz 8000"):
        LMUFormerConfig(("a",), kaldi=True)
