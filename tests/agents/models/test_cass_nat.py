"""Alignments against every path written out, segments by hand, one pass against one by one, and what is refused."""

import itertools
import math

import pytest
import torch
from support.contracts import _noise, small_cass_nat
from support.random_models import generator
from support.small_data import digits

from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig
from agents.models.cass_nat import measures, training
from agents.models.cass_nat.alignment import (
    best_path,
    first_frames,
    sampled_paths,
    spelled,
    trigger_mask,
    viterbi,
)
from agents.models.cass_nat.backend import CASSNATBackend
from agents.models.cass_nat.config import CASSNATConfig
from agents.models.cass_nat.decoding import at_once, greedy_ctc, likeliest, one_by_one, opinions, until_the_end
from agents.models.cass_nat.losses import SMOOTHING, loss_of, symbols_of, token_loss
from agents.models.cass_nat.measures import scored_tokens, strings_in_noise
from agents.models.cass_nat.model import CASSNAT
from agents.models.cass_nat.training import train
from agents.models.sounds.digit_strings import by_speaker, drawn_string
from agents.models.sounds.edits import aligned, edits
from agents.models.sounds.spoken_digits import DIGITS, read_digits
from agents.models.sounds.training import Recipe
from agents.question import Question

SMALL = CASSNATConfig(DIGITS, mels=8, hop=100, encoder=EncoderConfig(16, 2, 2, 8, 16), self_blocks=1, autoregressive=2)


def log_probabilities(batch, frames, symbols, seed=0):
    return (3 * torch.randn(batch, frames, symbols, generator=generator(seed), dtype=torch.float64)).log_softmax(-1)


def collapsed(path):
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


@pytest.mark.parametrize("text", [[1], [1, 1], [2, 1], [1, 2, 1], [2, 2, 1], []])
def test_the_likeliest_path_is_that_of_all_paths_written_out(text):
    scores = log_probabilities(1, 5, 3, seed=len(text))
    paths = [path for path in itertools.product(range(3), repeat=5) if collapsed(path) == text]
    want = max(paths, key=lambda path: sum(float(scores[0, t, symbol]) for t, symbol in enumerate(path)))
    targets = torch.tensor([text + [0] * (3 - len(text))])
    found = viterbi(scores, torch.tensor([5]), targets, torch.tensor([len(text)]))
    assert found[0].tolist() == list(want)
    assert spelled(found) == [text]


def test_recordings_and_texts_of_many_lengths_are_aligned_as_each_alone():
    scores, lengths = log_probabilities(4, 9, 4), torch.tensor([9, 6, 9, 3])
    texts = [[1, 1, 2], [3], [2, 3, 2, 1], [1, 1]]
    targets, sizes = torch.tensor([text + [0] * (4 - len(text)) for text in texts]), torch.tensor([3, 1, 4, 2])
    together = viterbi(scores, lengths, targets, sizes)
    assert spelled(together) == texts
    for row, (length, text) in enumerate(zip(lengths.tolist(), texts, strict=True)):
        alone = viterbi(
            scores[row : row + 1, :length], lengths[row : row + 1], torch.tensor([text]), sizes[row : row + 1]
        )
        assert together[row, :length].tolist() == alone[0].tolist()
        assert not together[row, length:].any()


def test_equal_tokens_need_a_blank_between_them():
    with pytest.raises(ValueError, match="a text of 3 frames at least"):
        viterbi(log_probabilities(1, 2, 3), torch.tensor([2]), torch.tensor([[1, 1]]), torch.tensor([2]))
    assert spelled(torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])) == [[1, 1], [1], []]


def test_segments_begin_behind_the_token_before_and_end_at_their_own_first_frame():
    path = torch.tensor([[0, 2, 2, 0, 3, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    assert first_frames(path).nonzero().tolist() == [[0, 1], [0, 4], [1, 0]]
    mask, rows = trigger_mask(path, torch.tensor([7, 4]))
    assert rows.tolist() == [3, 2]
    assert mask[0].int().tolist() == [[1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]]
    # Frames of padding belong to nothing.
    assert mask[1].int().tolist() == [[1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0], [0] * 7]
    wide, _ = trigger_mask(path, torch.tensor([7, 4]), left=1, right=2)
    assert wide[0].int().tolist() == [[1, 1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1]]
    assert wide[1].int().tolist() == [[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0], [0] * 7]


def test_a_token_in_the_last_frame_counts_and_leaves_the_end_a_frame():
    mask, rows = trigger_mask(torch.tensor([[0, 1, 0, 2]]), torch.tensor([4]))
    assert rows.tolist() == [3]
    assert mask[0].int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    nothing, rows = trigger_mask(torch.zeros(1, 3, dtype=torch.long), torch.tensor([3]))
    assert (rows.tolist(), nothing.int().tolist()) == ([1], [[[1, 1, 1]]])


def test_only_frames_that_are_not_sure_are_sampled_and_only_by_their_second_symbol():
    scores = torch.tensor([[0.95, 0.03, 0.02], [0.5, 0.2, 0.3], [0.05, 0.91, 0.04], [0.1, 0.6, 0.3]]).log()
    found = sampled_paths(scores, 200, generator())
    assert found[0].tolist() == best_path(scores[None], torch.tensor([4]))[0].tolist() == [0, 0, 1, 1]
    assert set(found[:, 0].tolist()) == {0}
    assert set(found[:, 2].tolist()) == {1}
    assert set(found[:, 1].tolist()) == {0, 2}
    assert set(found[:, 3].tolist()) == {1, 2}
    assert 60 < int((found[1:, 1] == 2).sum()) < 140
    assert torch.equal(found, sampled_paths(scores, 200, generator()))


def small(seed=0):
    torch.manual_seed(seed)
    model = CASSNAT(SMALL)
    for name, weights in model.named_parameters():
        if name in ("ctc.scores.weight", "head.scores.weight", "next_head.scores.weight"):
            weights.data *= 8.0
    for head in (model.ctc, model.head):
        head.scores.bias.data[0] = -1.0
    return model.eval()


@torch.inference_mode()
def test_a_recording_is_heard_the_same_in_any_company():
    model = small()
    sounds = [model.spectrogram(_noise(length).samples) for length in (900, 4000, 2500)]
    together = model.encode(sounds)
    path = best_path(together.log_probabilities, together.lengths)
    scores, _, rows = model.tokens(together, path)
    for row, sound in enumerate(sounds):
        alone = model.encode([sound])
        length = int(alone.lengths)
        assert length == int(together.lengths[row]) == (len(sound) + 3) // 4
        assert torch.allclose(alone.log_probabilities[0], together.log_probabilities[row, :length], atol=1e-4)
        said = model.tokens(alone, path[row : row + 1, :length])[0][0]
        assert torch.allclose(said, scores[row, : int(rows[row])], atol=1e-3)


@torch.inference_mode()
def test_a_token_is_the_plain_attention_over_its_segment_in_float64():
    """The acoustic block written out: sines and cosines ask, and only frames of the segment answer."""
    model = small().double()
    heard = model.encode([model.spectrogram(_noise(3000).samples).double()])
    path = best_path(heard.log_probabilities, heard.lengths)
    segments, rows = trigger_mask(path, heard.lengths, left=1, right=1)
    block, w = model.acoustic[0], dict(model.acoustic[0].state_dict())
    width, memory = 16, heard.frames[0]

    def norm(x, place):
        centred = x - x.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * w[f"norms.{place}.weight"] + w[f"norms.{place}.bias"]

    for row in range(int(rows)):
        angles = [row / 10_000 ** (2 * k / width) for k in range(width // 2)]
        x = torch.tensor([f(a) for a in angles for f in (math.sin, math.cos)], dtype=torch.float64)
        asked = w["over.q.weight"] @ norm(x, 0) + w["over.q.bias"]
        keys = memory @ w["over.k.weight"].T + w["over.k.bias"]
        values = memory @ w["over.v.weight"].T + w["over.v.bias"]
        heads = []
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            scores = (keys[:, part] @ asked[part]) / math.sqrt(8)
            own = segments[0, row]
            weights = scores[own].softmax(0)
            heads.append(weights @ values[own][:, part])
        x = x + w["over.out.weight"] @ torch.cat(heads) + w["over.out.bias"]
        up = w["feed_forward.up.weight"] @ norm(x, 1) + w["feed_forward.up.bias"]
        gelu = up * 0.5 * (1 + torch.erf(up / math.sqrt(2)))
        want = x + w["feed_forward.down.weight"] @ gelu + w["feed_forward.down.bias"]
        start = torch.tensor([[f(a) for a in angles for f in (math.sin, math.cos)]], dtype=torch.float64)[None]
        found, _ = block(start, torch.ones(1, 1, 1).bool(), heard.frames, segments[:, row : row + 1])
        assert torch.allclose(found[0, 0], want, atol=1e-9)


@torch.inference_mode()
def test_the_length_is_the_alignments_and_no_reference_is_heard_of():
    """A path says how many tokens there are; every token of it has a row, and the decoder is called once."""
    model = small()
    heard = model.encode([model.spectrogram(_noise(5000).samples)])
    for path in sampled_paths(heard.log_probabilities[0], 4, generator()):
        scores, _, rows = model.tokens(heard, path[None])
        assert int(rows) == len(spelled(path[None])[0]) + 1 == scores.shape[1]
    (said,) = at_once(model, heard)
    assert said.calls == 1
    assert len(said.symbols) <= len(greedy_ctc(heard)[0])
    assert len(said.symbols) > 0


def test_what_stands_behind_the_first_end_is_not_said():
    scores = torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]).log()
    assert len(until_the_end(scores, 4)) == 2
    assert len(until_the_end(scores[:3], 3)) == 2
    assert len(until_the_end(scores, 1)) == 0


@torch.inference_mode()
def test_one_by_one_is_the_whole_pass_and_calls_once_a_token_and_once_for_the_end():
    model = small().double()
    heard = model.encode([model.spectrogram(_noise(3000).samples).double()])
    begun = torch.tensor([[0, 3, 3, 7, 1]])
    whole, _ = model.following(heard, begun)
    past, steps = [], []
    for symbol in begun[0]:
        scores, past = model.following(heard, symbol[None, None], past)
        steps.append(scores[:, 0])
    assert torch.allclose(torch.stack(steps, 1), whole, atol=1e-9)
    # What follows is not heard.
    other, _ = model.following(heard, torch.tensor([[0, 3, 3, 7, 5]]))
    assert torch.equal(other[:, :4], whole[:, :4])
    assert not torch.equal(other[:, 4], whole[:, 4])
    said = one_by_one(model, heard, most=6)
    assert said.calls == min(len(said.symbols), 6) + 1
    said_all, want = [0], []
    for _ in range(len(said.symbols)):
        want.append(int(model.following(heard, torch.tensor([said_all]))[0][0, -1].argmax()))
        said_all.append(want[-1])
    assert said.symbols == want


@torch.inference_mode()
def test_the_opinion_that_is_kept_is_the_likeliest_token_by_token():
    model = small()
    heard = model.encode([model.spectrogram(_noise(3000).samples)])
    said, judged = opinions(model, heard, 6, generator())
    assert said[0].symbols == at_once(model, heard)[0].symbols
    assert len({tuple(each.symbols) for each in said}) > 1
    paths = sampled_paths(heard.log_probabilities[0], 6, generator())
    for place in range(6):
        scores, _, _ = model.tokens(heard, paths[place : place + 1])
        symbols, begun, total = scores[0].argmax(-1).tolist(), [0], 0.0
        for symbol in symbols:
            total += float(model.following(heard, torch.tensor([begun]))[0][0, -1, symbol])
            begun.append(symbol)
        assert float(judged[place]) == pytest.approx(total / len(symbols), abs=1e-4)
    assert likeliest(model, heard, 6, generator()).symbols == said[int(judged.argmax())].symbols


def test_smoothed_targets_are_the_published_ones():
    scores = log_probabilities(2, 3, 4)
    wanted, rows = torch.tensor([[1, 0, 0], [3, 2, 0]]), torch.tensor([2, 3])
    total = 0.0
    for row, place in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)):
        for symbol in range(4):
            share = 1 - SMOOTHING if symbol == int(wanted[row, place]) else SMOOTHING / 3
            total -= share * float(scores[row, place, symbol])
    assert float(token_loss(scores, wanted, rows)) == pytest.approx(total / 5)


def test_every_part_learns_and_the_segments_of_training_spell_the_reference(tmp_path):
    voices = by_speaker(read_digits(digits(tmp_path), "train"))
    model = small().train()
    strings = [drawn_string(voices, generator(seed), lengths=(1, 4)) for seed in range(3)]
    heard = model.encode([model.spectrogram(each.audio.samples) for each in strings])
    targets, lengths = symbols_of([each.digits for each in strings])
    loss_of(model, heard, targets, lengths).backward()
    assert all(weights.grad is not None and bool(weights.grad.isfinite().all()) for weights in model.parameters())
    path = viterbi(heard.log_probabilities.detach(), heard.lengths, targets, lengths)
    assert spelled(path) == [[digit + 1 for digit in each.digits] for each in strings]


def test_training_is_seeded_and_lowers_the_loss(tmp_path):
    clips = read_digits(digits(tmp_path), "train")
    recipe = Recipe(epochs=2, batch=4, learning_rate=3e-3, weight_decay=0.0, longest=1.0)
    told, states = [], []
    for _ in range(2):
        states.append(train(small(), clips, recipe, strings=12, seed=0, progress=told.append).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    first, second = (float(line.rpartition(" ")[2]) for line in told[:2])
    assert second < first
    model = small()
    model.load_state_dict(states[0])
    scores, right = scored_tokens(model.eval(), strings_in_noise(clips, 2, 10.0, seed=0))
    assert len(scores) == len(right)


def test_the_claims_are_measured_on_strings_of_other_clips(tmp_path, monkeypatch):
    for name, value in (("TESTED", 2), ("FITTED", 3), ("TIMED", 2), ("LEVELS", (10.0,))):
        monkeypatch.setattr(measures, name, value)
    monkeypatch.setattr(training, "CONFIGURED", SMALL)
    monkeypatch.setattr(training, "RECIPE", Recipe(1, 4, 3e-3, 0.0, 1.0))
    monkeypatch.setattr(training, "STRINGS", 4)
    monkeypatch.setattr(training, "HELD_OUT_TAKES", ("2",))
    monkeypatch.setattr(training, "temperature_of", lambda model, clips: 1.0 + len(clips))
    monkeypatch.setattr(training, "CASSNAT", lambda config: heard_in(small()))
    found = training.claims(tmp_path / "out", seeds=2, data=digits(tmp_path))
    assert [claim.text for claim in found] == list(training.ASKED)
    assert all(len(claim.ours) == 2 for claim in found)
    # Two takes of each of ten digits are learnt from, one fits the temperature.
    assert CASSNATBackend.from_pretrained(str(tmp_path / "out" / "strings-1")).temperature == 11.0
    assert "| at once |" in (tmp_path / "out" / "by_noise.md").read_text()
    assert "| a token, all at once |" in (tmp_path / "out" / "calibration.md").read_text()


def heard_in(model):
    """Return a model that says tokens, whatever a training of one step does."""
    for head in (model.ctc, model.head):
        head.scores.bias.data[0] = -4.0
    return model


def test_strings_are_of_one_voice_and_spell_their_clips(tmp_path):
    voices = by_speaker(read_digits(digits(tmp_path), "train"))
    found = [drawn_string(voices, generator(seed)) for seed in range(20)]
    assert {len(each.digits) for each in found} == {3, 4, 5, 6, 7, 8}
    assert torch.equal(found[3].audio.samples, drawn_string(voices, generator(3)).audio.samples)
    assert found[0].words == " ".join(DIGITS[digit] for digit in found[0].digits)
    least = len(found[0].digits) * 2400
    assert least <= len(found[0].audio.samples) <= least * 2 + 2000 * (len(found[0].digits) + 1)


@pytest.mark.parametrize(
    ("said", "wanted", "count"),
    [("", "ab", 2), ("ab", "ab", 0), ("abc", "ac", 1), ("kitten", "sitting", 3), ("ba", "ab", 2)],
)
def test_edits_are_the_fewest(said, wanted, count):
    assert edits(said, wanted) == edits(wanted, said) == count
    pairs = aligned(said, wanted)
    assert [one for one, _ in pairs if one is not None] == list(range(len(said)))
    assert [other for _, other in pairs if other is not None] == list(range(len(wanted)))


def test_an_agent_hears_with_noise_of_its_own_and_says_one_path_or_the_likeliest(tmp_path):
    small_cass_nat(tmp_path)
    case = Question("case", "?", (_noise(4000),))

    def believe(**options):
        return create_belief_backend("cass_nat", checkpoint=str(tmp_path), **options).believe([case])[0]

    assert believe() == believe(seed=9)
    # Of a batch, whose sums may have another order.
    for one, other in zip(believe().positions, believe(paths=5, opinion=0).positions, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert believe(snr_db=0, seed=1) == believe(snr_db=0, seed=1)
    assert len({believe(snr_db=0, seed=seed).positions for seed in range(3)}) == 3
    said = {believe(paths=5, opinion=place).positions for place in range(5)}
    assert len(said) > 1
    assert believe(paths=5).positions in said
    sure = believe(temperature=0.1).positions[0]
    assert max(sure.probabilities) > max(believe().positions[0].probabilities)


def test_a_recording_in_which_nothing_is_heard_is_an_abstention(tmp_path):
    small_cass_nat(tmp_path)
    backend = CASSNATBackend.from_pretrained(str(tmp_path))
    backend.model.ctc.scores.bias.data[0] = 100.0
    (found,) = backend.believe([Question("case", "?", (_noise(3000),))])
    assert (found.abstention, found.positions) == ("no token is heard in the audio", ())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"paths": 0}, "paths is a whole number from 1 to 256; got 0"),
        ({"paths": True}, "paths is a whole number"),
        ({"opinion": 1}, "opinion is the number of one of the 1 paths"),
        ({"paths": 4, "opinion": 4}, "Give more paths"),
        ({"snr_db": float("nan")}, "snr_db is a number of decibels from -100 to 100; got nan"),
        ({"snr_db": 10**9}, "snr_db is a number of decibels"),
        ({"seed": 0.5}, "seed is a whole number"),
    ],
)
def test_options_that_are_none_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        CASSNATBackend(small(), **options)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"labels": ("a", "a")}, "labels are different"),
        ({"kernel": 4}, "kernel is odd"),
        ({"encoder": EncoderConfig(16, 2, 2, 8, 16, shared=True)}, "each their own"),
        ({"encoder": EncoderConfig(15, 2, 2, 8, 16)}, "width is even"),
        ({"left": -1}, "left and right at least 0"),
        ({"acoustic": 0}, "sizes are at least 1"),
        ({"hop": 1 << 20}, "hop is at most"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        CASSNATConfig(**{"labels": ("a", "b"), **sizes})
