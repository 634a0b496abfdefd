"""The memory against its definition and scipy, streams against sequences, features against the plain transform."""

import io
import math
import os
import wave
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from specialists.contracts import small_lmuformer
from specialists.random_models import generator

from agents.errors import BeliefError, ModelError, ObservationError, TaskError
from agents.models.lmuformer.backend import LMUFormerBackend
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.features import log_mel, mel_filters
from agents.models.lmuformer.memory import convolved, discrete, impulse_response, stepped
from agents.models.lmuformer.model import BareLMU, LMUFormer, State
from agents.models.lmuformer.training import RECIPE, accuracy, mean_scores, padded, train
from agents.models.spoken_digits import DIGITS, read_digits
from agents.observation import Audio, Case
from agents.sound_files import read_wav, with_noise
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
        kernel = w[f"{name}.conv.weight"]
        taps = [sum(kernel[:, :, k] @ seen[t + k] for k in range(3)) + w[f"{name}.conv.bias"] for t in range(len(xs))]
        return [norm(tap.clamp_min(0), f"{name}.norm") for tap in taps]

    xs = list(frames)
    for layer in range(4):
        xs = causal(xs, f"embedding.{layer}")
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
        x = x + norm(w["mixer.3.weight"][:, :, 0] @ gelu + w["mixer.3.bias"], "mixer.4")
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


def wav(samples, rate=8000, channels=1, width=2):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(bytes(samples))
    return file.getvalue()


def test_wav_files_are_read_and_others_refused():
    sound = read_wav(wav(torch.tensor([0, 16384, -32768], dtype=torch.int16).numpy().tobytes()), source="x")
    assert sound.samples.tolist() == [0.0, 0.5, -1.0]
    assert sound.rate_hz == 8000
    assert read_wav(wav(b""), source="x").is_empty
    with pytest.raises(ObservationError, match="x: not a WAV file"):
        read_wav(b"RIFF", source="x")
    with pytest.raises(ObservationError, match="x: one channel of 16 bits is read; this has 2 of 16"):
        read_wav(wav(bytes(8), channels=2), source="x")


def digits(folder, per_digit=3):
    """Write tones in the dataset's layout: a higher digit is a higher tone."""
    for split, takes in (("train", range(per_digit)), ("test", range(per_digit, per_digit + 1))):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            for digit in range(10):
                for take in takes:
                    t = torch.arange(2400 + 160 * take) / 8000
                    tone = torch.sin(2 * math.pi * (200 + 330 * digit) * t) * 9000
                    archive.writestr(f"{digit}_ann_{take}.wav", wav(tone.short().numpy().tobytes()))
    return folder


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
    (whole,), beliefs = backend.believe([Case("?", (sound,))]), backend.stream(sound)
    assert len(beliefs) == len(backend.frames(sound))
    assert beliefs[-1].probabilities == pytest.approx(whole.probabilities, abs=1e-5)
    early = LMUFormerBackend.from_pretrained(str(tmp_path), heard=0.5)
    (half,) = early.believe([Case("?", (sound,))])
    assert half.probabilities == pytest.approx(beliefs[round(0.5 * len(beliefs)) - 1].probabilities, abs=1e-5)


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
        (lambda: read_digits(None, "train"), ModelError, "give --data with train.zip"),
    ],
)
def test_mistakes_are_sentences(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
