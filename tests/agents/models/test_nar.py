"""Texts said all at once: the decoder begins as its masked model and hears its source; padding and company change nothing."""

import pytest
import torch

from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.encoder import Encoder
from agents.models.blocks.masked import MaskedEncoder
from agents.models.nar import training
from agents.models.nar.model import NonAutoregressive
from agents.models.seeded import seeded

SIZES = EncoderConfig(width=16, layers=2, heads=2, head_width=8, hidden=32)
ROWS, LONGEST = 21, 9


@pytest.fixture
def begun():
    masked = seeded(lambda: MaskedEncoder(ROWS, LONGEST, Encoder(SIZES)), 1).eval()
    model = seeded(lambda: NonAutoregressive(ROWS, LONGEST, SIZES), 2).eval()
    model.begin_with(masked)
    return masked, model


def opened(model):
    """Let the new attention act."""
    with torch.no_grad():
        for part in model.target.encoder.cross:
            torch.nn.init.normal_(part.out.weight, generator=torch.Generator().manual_seed(0))
    return model


SOURCE = torch.tensor([[1, 5, 6, 7], [1, 8, 0, 0]])
THERE = SOURCE != 0


@torch.no_grad()
def test_it_begins_as_the_masked_model_that_it_was(begun):
    """Before anything is learned the decoder believes of its masks what the masked model does, whatever the source is."""
    masked, model = begun
    memory, _ = model.read(SOURCE, THERE)
    torch.testing.assert_close(memory, masked.states(SOURCE, THERE))
    scores = model.believe(memory, THERE, torch.tensor([5, 3]))
    for row, length in enumerate((5, 3)):
        masks = torch.full((1, length), ROWS - 1)
        want = masked.scores(masked.states(masks, masks > 0))[0]
        torch.testing.assert_close(scores[row, :length], want, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_new_attention_is_its_definition_and_hears_the_source_alone(begun):
    _, model = begun
    opened(model)
    memory, _ = model.read(SOURCE, THERE)
    part = model.target.encoder.cross[0]
    x = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1))
    found = part.of(x, memory, THERE)
    for row, seen in enumerate((4, 2)):
        for place in range(3):
            heads = []
            for h in range(2):
                of = slice(8 * h, 8 * h + 8)
                keys, values = part.k(memory[row, :seen])[:, of], part.v(memory[row, :seen])[:, of]
                heads.append(torch.softmax(keys @ part.q(x[row, place])[of] / 8**0.5, 0) @ values)
            torch.testing.assert_close(found[row, place], part.out(torch.cat(heads)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_company_and_padding_change_nothing(begun):
    _, model = begun
    opened(model)
    memory, foretold = model.read(SOURCE, THERE)
    together = model.believe(memory, THERE, torch.tensor([5, 3]))
    alone_memory, alone_foretold = model.read(SOURCE[1:, :2], THERE[1:, :2])
    alone = model.believe(alone_memory, THERE[1:, :2], torch.tensor([3]))
    torch.testing.assert_close(together[1, :3], alone[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(foretold[1], alone_foretold[0], rtol=1e-4, atol=1e-5)
    other = SOURCE.clone()
    other[0, 2] = 9
    heard = model.believe(*[model.read(other, THERE)[0], THERE], torch.tensor([5, 3]))
    assert (heard[0] - together[0]).abs().max() > 1e-3


def test_the_loss_is_of_tokens_and_lengths_and_reaches_everything(begun):
    _, model = begun
    opened(model)
    targets, lengths = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 11, 0, 0]]), torch.tensor([5, 3])
    loss = model.loss(SOURCE, THERE, targets, lengths)
    memory, foretold = model.read(SOURCE, THERE)
    scores = torch.log_softmax(model.believe(memory, THERE, lengths), -1)
    tokens = [scores[row, at, targets[row, at]] for row in range(2) for at in range(int(lengths[row]))]
    counts = [torch.log_softmax(foretold, -1)[row, lengths[row]] for row in range(2)]
    torch.testing.assert_close(loss, -sum(tokens) / 8 - sum(counts) / 2)
    loss.backward()
    # The encoder says nothing, so that its head learns nothing.
    still = [name for name, weights in model.named_parameters() if weights.grad is None]
    assert still == ["source.bias"]


def test_what_is_said_is_the_likeliest_of_the_likeliest_length(begun):
    _, model = begun
    opened(model)
    said = model.say(SOURCE, THERE)
    memory, foretold = model.read(SOURCE, THERE)
    lengths = foretold[:, 1:].argmax(-1) + 1
    assert [len(row) for row in said] == lengths.tolist()
    want = model.believe(memory, THERE, lengths).argmax(-1)
    assert said == [want[row, :length].tolist() for row, length in enumerate(lengths.tolist())]


def test_the_recipe_trains_and_keeps(tmp_path, monkeypatch):
    (tmp_path / "input.txt").write_text("So it is said again,\nand so it never was.\nShort\n" * 40)
    tiny = training.Recipe(
        width=16, layers=1, heads=2, hidden=16, pairs=20, masked_steps=2, steps=2, batch=4, measured=4
    )
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    claims = training.claims(tmp_path / "out", seeds=2, data=tmp_path)
    assert all(len(claim.ours) == 2 for claim in claims)
    again = training.claims(tmp_path / "out", seeds=2, data=tmp_path)
    assert [claim.ours for claim in again] == [claim.ours for claim in claims]
    assert training.without_vowels("So it is said") == "S t s sd"
    assert training.lines_of("Short\nO, aye aye aye\nTo be or not", tiny) == ["O, aye aye aye", "To be or not"]
