"""MP3: context as keys alone, nothing that tells places but the context, the recipe at its smallest; the judge of order."""

import math
import random
from dataclasses import replace

import pytest
import torch
from support.random_models import generator, shaken

from agents.errors import BeliefError, ConfigError, ModelError
from agents.models.blocks.config import EncoderConfig
from agents.models.mp3 import training
from agents.models.mp3.backend import MP3Backend
from agents.models.mp3.config import MP3Config
from agents.models.mp3.model import MP3, PlaceTeller
from agents.models.mp3.order import Batch, OrderConfig, StepOrder
from agents.models.mp3.order_backend import OrderJudge, load_judge
from agents.models.mp3.positions import drawn_context, position_loss
from agents.models.mp3.steps import exchanged, shuffled, steps_of
from agents.models.vision.layers import Patches
from agents.observation import Text
from agents.question import Question

ENCODER = EncoderConfig(width=8, layers=2, heads=2, head_width=4, hidden=12)
SMALL = MP3Config(("0", "1"), side=8, patch=2, encoder=ENCODER)
WORDS = ("<pad>", "<unk>", *"0123456789+*=-", "what")
ORDER = OrderConfig(WORDS, places=6, longest=8, asked=9, reading=replace(ENCODER, layers=1), ordering=ENCODER)
SUM = "What is 3+4*5-2*6?"
STEPS = ("4*5=20", "2*6=12", "3+20=23", "23-12=11")


def teller():
    return shaken(lambda: PlaceTeller(MP3(replace(SMALL, positions=False))))


def pictures(count=3):
    return torch.randn(count, 3, 8, 8, generator=generator())


def test_context_is_drawn_of_what_is_there_and_never_empty():
    there = torch.arange(10) < torch.tensor([[10], [4], [1]])
    counts = torch.zeros(3, 10)
    for draw in range(200):
        context = drawn_context(there, 0.75, generator(draw))
        assert context.sum(1).tolist() == [3, 1, 1]
        assert not (context & ~there).any()
        counts += context
    # Every token as often as another.
    assert counts[0].min() > 30
    context = drawn_context(there, torch.tensor([0.0, 0.5, 1.0]), generator())
    assert context.sum(1).tolist() == [10, 2, 1]


@torch.inference_mode()
def test_tokens_of_the_context_alone_are_looked_at_and_all_are_told():
    model, pixels = teller(), pictures(1)
    context = torch.zeros(1, 16, dtype=torch.bool)
    context[0, [2, 5, 11]] = True
    scores = model(pixels, context)
    assert scores.shape == (1, 16, 16)
    changed = pixels.clone()
    changed[0, :, 6:, 6:] += 3.0  # the last patch, which is no key: nobody else notices
    moved = (model(changed, context) != scores).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [15]
    changed = pixels.clone()
    changed[0, :, :2, 4:6] += 3.0  # patch 2, which is one: everybody notices
    assert (model(changed, context) != scores).any(-1).all()


@torch.inference_mode()
def test_nothing_tells_a_place_but_what_patches_show():
    """The pitfalls: patches that are alike have the same scores wherever they lie, whatever lies beside them in the batch."""
    model = teller()
    same = model(torch.full((2, 3, 8, 8), 0.3))
    torch.testing.assert_close(same, same[:, :1].expand_as(same), rtol=0, atol=1e-6)
    there = torch.ones(2, 16, dtype=torch.bool)
    assert float(position_loss(same, there)) >= math.log(16) - 1e-6
    # Patches that change places take their scores with them.
    pixels = pictures(1)
    swapped = pixels.clone()
    swapped[..., :2, :2], swapped[..., 4:6, 6:] = pixels[..., 4:6, 6:], pixels[..., :2, :2]
    before, after = model(pixels), model(swapped)
    torch.testing.assert_close(after[0, [0, 11]], before[0, [11, 0]], rtol=0, atol=1e-6)
    # And no other picture has a part in it.
    many = pictures(3)
    torch.testing.assert_close(model(many[[2, 0, 1]])[1], model(many)[0], rtol=0, atol=1e-6)


@torch.inference_mode()
def test_convolutions_that_overlap_would_tell_the_edge():
    """Why patches are cut by one map: three convolutions with padding see the edge of a picture of one colour."""
    tokens = shaken(lambda: Patches(12, 8, stem=True))(torch.full((1, 3, 48, 48), 0.3))[0]
    assert not torch.allclose(tokens[0], tokens[5])
    tokens = shaken(lambda: Patches(12, 8))(torch.full((1, 3, 48, 48), 0.3))[0]
    torch.testing.assert_close(tokens, tokens[:1].expand_as(tokens), rtol=0, atol=1e-6)


def test_the_loss_is_of_own_places_over_what_is_there():
    scores = torch.randn(2, 4, 6, generator=generator()).double()
    there = torch.arange(4) < torch.tensor([[4], [2]])
    rows = []
    for row, count in ((0, 4), (1, 2)):
        for token in range(count):
            p = scores[row, token, :count].exp()
            rows.append(-float((p[token] / p.sum()).log()))
    assert float(position_loss(scores, there)) == pytest.approx(sum(rows) / 6)


def test_the_recipe_at_its_smallest(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(training, "SIZES", replace(training.SIZES, encoder=ENCODER))
    monkeypatch.setattr(training, "Recipe", lambda: TINY)
    found = training.claims(tmp_path, seeds=1)
    assert [claim.verdict for claim in found] == ["null"] * 5
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["mp3-0", "mp3-without-0", "places-0", "scratch-0", "scratch-long-0", "scratch-without-0"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert training.claims(tmp_path, seeds=1) == found
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == before


TINY = training.Recipe(told=2, batch=4, labelled=20, steps=2, few=4)


def test_labelled_pictures_are_as_many_of_each_and_never_test_pictures():
    pytest.importorskip("sklearn")
    train, test = training.Digits.of("train"), training.Digits.of("test")
    few = train.few(20, generator())
    assert few.classes.bincount().tolist() == [2] * 10
    sizes = [len(training.read_digits(split)[1]) for split in ("train", "validation", "test")]
    assert sizes == [1100, 157, 540]
    alike = (train.pixels.flatten(1)[:, None] == test.pixels.flatten(1)[None, :40]).all(-1)
    assert not alike.any()


def test_a_folder_is_what_was_saved_and_no_published_file_is_read(tmp_path):
    MP3Backend(shaken(lambda: MP3(SMALL)), temperature=0.5).save_pretrained(tmp_path)
    again = MP3Backend.from_pretrained(str(tmp_path))
    assert (again.config, again.temperature) == (SMALL, 0.5)
    with pytest.raises(ModelError, match=r"ships no weights: give checkpoint: FOLDER, made by `debate train`$"):
        MP3Backend.from_pretrained()
    with pytest.raises(ModelError, match="labels are for official published files; a folder has its own"):
        MP3Backend.from_pretrained(str(tmp_path), labels=["a"])
    with pytest.raises(ConfigError, match="multiple of the patch; got 8, 3 and 2 labels"):
        replace(SMALL, patch=3)


# --- the judge of order


def judge(**changes):
    return shaken(lambda: StepOrder(replace(ORDER, **changes)))


def test_a_solution_is_parted_into_steps_and_marks_that_would_tell_a_place_go():
    assert steps_of("4*5=20, 2*6=12. 3+20=23, 23-12=11. Answer: 11") == STEPS
    assert steps_of("Mr. Lee has 1,200 eggs. He sells 3, and 4 are left.\nSo 3 + 4 = 7.\n#### 7") == (
        "Mr. Lee has 1,200 eggs", "He sells 3, and 4 are left", "So 3 + 4 = 7"
    )  # fmt: skip
    assert steps_of("The answer is 4.") == steps_of(" \n") == ()


@pytest.mark.parametrize(
    "solution",
    [
        "1. Take 2*4=8.\n2. Then 1+8=9.",
        "(1) Take 2*4=8\n (2) Then 1+8=9\n\nSo the answer is 9.",
        "Step 1: Take 2*4=8.\nStep 2: Then 1+8=9.\n**Answer**: 9",
        "**Step 1:** Take 2*4=8.\n**Step 2:** Then 1+8=9.\nTherefore, the final answer is 9.",
        "- Take 2*4=8\n- Then 1+8=9",
    ],
)
def test_numbers_of_a_list_are_no_steps_and_tell_no_place(solution):
    assert steps_of(solution) == ("Take 2*4=8", "Then 1+8=9")


def test_a_number_that_begins_a_line_stays():
    assert steps_of("12 eggs are left.\n-3 + 5 = 2\n1.5 + 2 = 3.5") == (
        "12 eggs are left",
        "-3 + 5 = 2",
        "1.5 + 2 = 3.5",
    )


def test_other_orders_read_otherwise():
    draw = random.Random(0)
    others = shuffled(STEPS, 3, draw)
    assert len({STEPS, *others}) == 4
    assert all(sorted(other) == sorted(STEPS) for other in others)
    assert shuffled(("a", "b"), 3, draw) == [("b", "a")]
    assert shuffled(("a", "a"), 3, draw) == []
    assert exchanged(("a", "a", "b"), draw) == ("a", "b", "a")
    assert exchanged(("a", "a"), draw) is None


@torch.inference_mode()
def test_steps_take_their_scores_with_them_and_padding_tells_nothing():
    model = judge()
    batch = model.encode([(SUM, STEPS), ("What?", STEPS[:2])])
    scores = model(batch)
    assert scores.shape == (2, 4, 6)
    assert torch.isinf(scores[0, :, 4:]).all()
    order = [2, 0, 3, 1]
    moved = model(model.encode([(SUM, [STEPS[place] for place in order])]))
    torch.testing.assert_close(moved[0], scores[0, order], rtol=0, atol=1e-5)
    # Alone, beside a longer solution, and with more padding in every direction.
    alone = model(model.encode([("What?", STEPS[:2])]))
    torch.testing.assert_close(alone[0, :, :2], scores[1, :2, :2], rtol=0, atol=1e-5)
    wider = Batch(torch.nn.functional.pad(batch.steps, (0, 1, 0, 2)), batch.question)
    torch.testing.assert_close(model(wider)[:, :4], scores, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_steps_outside_the_context_are_told_and_not_looked_at():
    for others in (True, False):
        model = judge(others=others)
        batch = model.encode([(SUM, STEPS)])
        context = torch.tensor([[True, False, True, True]])
        scores = model(batch, context)
        changed = model.encode([(SUM, (STEPS[0], "9+9=18", *STEPS[2:]))])
        moved = (model(changed, context) != scores)[..., :4].any(-1)[0]
        assert moved.tolist() == [False, True, False, False]
        changed = model.encode([(SUM, ("9+9=18", *STEPS[1:]))])
        moved = (model(changed, context) != scores)[..., :4].any(-1)[0]
        assert moved.tolist() == ([True] * 4 if others else [True, False, False, False])


def test_plausibility_is_the_mean_log_probability_of_own_places():
    model = judge()
    table = model.log_places(SUM, STEPS)
    torch.testing.assert_close(table.exp().sum(1), torch.ones(4).double())
    total = sum(float(table[place, place]) for place in range(4))
    other = (STEPS[2], STEPS[0], STEPS[3], STEPS[1])
    moved = sum(float(table[step, place]) for place, step in enumerate((2, 0, 3, 1)))
    assert model.order_log_probabilities(SUM, [STEPS, other]) == [pytest.approx(total), pytest.approx(moved)]
    assert model.plausibility(SUM, STEPS) == pytest.approx(math.exp(total / 4))
    assert model.plausibility(SUM, STEPS[:1]) is None
    assert model.plausibility(SUM, STEPS * 2) is None
    # No bit depends on the order in which steps are given.
    assert torch.equal(model.log_places(SUM, STEPS[::-1]).flip(0), table)


def test_a_judge_believes_in_orders():
    backend = OrderJudge(judge(), temperature=2.0)
    orders = (STEPS, STEPS[::-1])
    case = Question("1", "?", (Text(SUM),), ("A", "B"), tuple("\n".join(order) for order in orders))
    (belief,) = backend.believe([case])
    found = backend.model.order_log_probabilities(SUM, orders)
    assert belief.probabilities[0] == pytest.approx(1 / (1 + math.exp((found[1] - found[0]) / 2)))
    short = Question("2", "?", (Text(SUM),), ("A", "B"), ("1+1=2", "2+2=4"))
    assert backend.believe([short])[0].abstention == "an option has 1 steps; a judge takes 2 to 6"
    none = Question("4", "?", (Text(SUM),), ("A", "B"), ("Answer: 2", "Answer: 4"))
    assert backend.believe([none])[0].abstention == "an option has 0 steps; a judge takes 2 to 6"
    other = Question("5", "?", (Text(SUM),), ("A", "B"), ("\n".join(STEPS), "\n".join(STEPS[1:])))
    assert backend.believe([other])[0].abstention == "the options are not orders of the same steps"
    assert backend.model.plausibility(SUM, ("a", "a")) is None
    assert backend.believe([Question("3", SUM)])[0].abstention == "the case has no options to compare"
    with pytest.raises(BeliefError, match="temperature must be finite and above 0"):
        OrderJudge(judge(), temperature=0)
    with pytest.raises(ConfigError, match="a solution has 8 steps, and this judge has 6 places"):
        backend.model.encode([(SUM, STEPS * 2)])


def test_the_shipped_judge_tells_orders_of_sums():
    model, _ = load_judge()
    right = 0
    for number in range(20):
        draw = random.Random(number)
        a, b, c, d, e, f = (draw.randrange(1, 30) for _ in range(6))
        steps = (f"{b}*{c}={b * c}", f"{e}*{f}={e * f}", f"{a}+{b * c}={a + b * c}", f"{a + b * c}+{d}={a + b * c + d}")
        asked = f"What is the result of {a}+{b}*{c}+{d}-{e}*{f}?"
        (other,) = shuffled(steps, 1, draw)
        ours, theirs = model.order_log_probabilities(asked, [steps, other])
        right += ours > theirs
    assert right >= 17
