"""PUT: patches that do not mix, two codebooks in one, features read as they are, holes filled code by code, its two agents."""

import math
from dataclasses import replace

import pytest
import torch
from support.random_models import generator
from support.small_data import things
from support.small_picture_models import completion_cases, hidden_cases, random_put, small_put, small_put_completions

from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError, DebateError, ModelError, ObservationError, RequestError, UnknownName
from agents.models.put import training
from agents.models.put.autoencoder import Autoencoder, masked
from agents.models.put.backend import PUTBackend
from agents.models.put.choosing import MEASURES, PUTCompletions
from agents.models.put.codebook import DEAD, EPSILON, Codebook
from agents.models.put.completion import completed, expected, log_likelihood, sampled
from agents.models.put.config import PUTConfig
from agents.models.put.fillings import FILLINGS, Drawing, square
from agents.models.put.model import PUT
from agents.models.put.training import Recipe, drawn_holes, reconstruct, requantised, tell
from agents.models.vision.holes import border_jump, drawn_square, filled_with_mean, filled_with_nearest, fillings_of
from agents.observation import Image, PartlyHidden
from agents.question import Question


def picture(seed=0, count=1, side=16):
    return torch.rand(count, 3, side, side, generator=generator(seed))


def hole(top=3, left=2, height=7, width=6, side=16):
    hidden = torch.zeros(side, side, dtype=torch.bool)
    hidden[top : top + height, left : left + width] = True
    return hidden


@torch.inference_mode()
def test_a_feature_is_of_its_own_patch_and_nothing_hidden_reaches_anybody():
    own, pixels, nothing = random_put().autoencoder, picture(), torch.zeros(1, 16, 16, dtype=torch.bool)
    changed = pixels.clone()
    changed[:, :, 4:8, 8:12] = 0.5
    moved = (own.features(pixels, nothing) != own.features(changed, nothing)).any(-1)[0]
    assert moved.nonzero()[:, 0].tolist() == [6]
    hidden = hole()[None]
    other = torch.where(hidden[:, None], 1 - pixels, pixels)
    assert torch.equal(own.features(pixels, hidden), own.features(other, hidden))
    vectors = torch.randn(1, 16, 6, generator=generator(1))
    said, said_other = own.decoded(vectors, pixels, hidden), own.decoded(vectors, other, hidden)
    assert torch.equal(said, said_other)
    # What is known stays as it is, and what is hidden is said by the vectors.
    assert torch.equal(said[:, :, ~hidden[0]], pixels[:, :, ~hidden[0]])
    assert not torch.equal(own.decoded(-vectors, pixels, hidden), said)


def test_a_patch_with_one_hidden_pixel_is_not_known():
    hidden = torch.zeros(1, 16, 16, dtype=torch.bool)
    hidden[0, 7, 8] = True
    is_known = random_put().autoencoder.known(hidden)
    assert (~is_known[0]).nonzero()[:, 0].tolist() == [6]


def test_known_and_hidden_patches_have_vectors_of_their_own_and_one_codebook_serves_both():
    book, features = Codebook(5, 3, 4), torch.randn(40, 4, generator=generator(0))
    is_known = torch.arange(40) % 2 == 0
    places = book(features, is_known).places
    for feature, known, place in zip(features.double(), is_known, places, strict=True):
        part = slice(0, 5) if known else slice(5, 8)
        away = (book.vectors[part].double() - feature).square().sum(-1)
        assert int(place) == int(away.argmin()) + (0 if known else 5)
    alone = Codebook(5, 0, 4)
    assert torch.equal(alone(features, is_known).places, alone(features, ~is_known).places)


def test_gradients_pass_straight_through_and_commitment_pulls_features_alone():
    book, features = Codebook(4, 2, 3), torch.randn(6, 3, generator=generator(0), requires_grad=True)
    found = book(features, torch.tensor([True] * 4 + [False] * 2))
    weights = torch.randn(6, 3, generator=generator(1))
    (through,) = torch.autograd.grad((found.vectors * weights).sum(), features, retain_graph=True)
    assert torch.equal(through, weights)
    (pulled,) = torch.autograd.grad(found.commitment, features)
    assert torch.allclose(pulled, 2 * (features - book.vectors[found.places]).detach() / 18, atol=1e-7)
    assert not list(book.parameters())


def test_vectors_follow_their_features_as_the_formula_says_in_float64():
    book = Codebook(3, 2, 2).double()
    counts, sums = torch.zeros(5).double(), book.vectors.clone()
    for step in range(4):
        features = torch.randn(12, 2, generator=generator(step)).double()
        places = torch.randint(5, (12,), generator=generator(step))
        book.follow(features, places)
        for code in range(5):
            own = features[places == code]
            counts[code] = 0.99 * counts[code] + 0.01 * len(own)
            sums[code] = 0.99 * sums[code] + 0.01 * own.sum(0)
        total = counts.sum()
        for code in range(5):
            want = sums[code] / ((counts[code] + EPSILON) / (total + 5 * EPSILON) * total)
            assert torch.allclose(book.vectors[code], want, atol=1e-12)


def test_vectors_to_which_nothing_falls_begin_anew_at_features_of_their_half():
    book = Codebook(4, 2, 3)
    features, is_known = torch.randn(30, 3, generator=generator(0)), torch.arange(30) < 20
    book.counts[:] = torch.tensor([5.0, 5.0, DEAD * 4, 0.0, 5.0, 0.0])
    before = book.vectors.clone()
    assert book.revive(features, is_known, generator(1)) == 3
    assert torch.equal(book.vectors[[0, 1, 4]], before[[0, 1, 4]])
    for place, part in ((2, features[:20]), (3, features[:20]), (5, features[20:])):
        assert (book.vectors[place] == part).all(1).any()
    # Of a batch in which nothing is hidden the other half stays.
    before = book.vectors.clone()
    book.counts.zero_()
    assert book.revive(features, torch.ones(30).bool(), generator(1)) == 4
    assert torch.equal(book.vectors[4:], before[4:])


@torch.inference_mode()
def test_scores_are_the_plain_transformers_in_float64():
    model = random_put(width=6, heads=2).double()
    features = torch.randn(1, 16, 6, generator=generator(0)).double()
    (block,) = model.blocks

    def norm(x, layer):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias

    def map_of(x, layer):
        return x @ layer.weight.T + layer.bias

    x = map_of(features[0], model.enter) + model.positions[0]
    h = norm(x, block.norm1)
    q, k, v = (map_of(h, layer) for layer in (block.attention.q, block.attention.k, block.attention.v))
    heads = []
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        heads.append(torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(3), -1) @ v[:, part])
    x = x + map_of(torch.cat(heads, 1), block.attention.out)
    up = map_of(norm(x, block.norm2), block.up)
    x = x + map_of(up / (1 + torch.exp(-1.702 * up)), block.down)
    assert torch.allclose(model(features)[0], map_of(norm(x, model.norm), model.head), atol=1e-10)


@torch.inference_mode()
def test_features_are_read_as_they_are_and_the_baseline_reads_vectors():
    pixels, hidden = picture(), hole()[None]
    for quantised in (False, True):
        model = random_put(quantised=quantised)
        features, vectors = model.autoencoder.features(pixels, hidden), model.autoencoder.codebook.vectors
        seen, is_known = model.seen(pixels, hidden)
        own = torch.cdist(seen[0], vectors).min(-1)
        assert torch.equal(seen, features) is not quantised
        assert bool((own.values < 1e-3).all()) is quantised
        if quantised:
            assert torch.equal(own.indices < 12, is_known[0])


def test_only_known_patches_are_quantised_at_random():
    model, pixels, hidden = random_put(), picture(), hole()[None]
    seen, is_known = model.seen(pixels, hidden)
    assert torch.equal(requantised(model, seen, is_known, 0.0, generator(0)), seen)
    found = requantised(model, seen, is_known, 1.0, generator(0))
    assert torch.equal(found[~is_known], seen[~is_known])
    places = model.autoencoder.quantised(seen, is_known)[1]
    assert torch.allclose(found[is_known], model.autoencoder.codebook.vectors[places[is_known]], atol=1e-6)


@torch.inference_mode()
def test_the_surest_patch_is_filled_first_and_what_was_put_there_is_read():
    """The sampler written out, for one candidate a patch."""
    model, pixels, hidden = random_put(2), picture(), hole()
    # So large that patches hear each other.
    for layer in (model.blocks[0].attention.q, model.blocks[0].attention.v):
        layer.weight *= 3
    own, book = model.autoencoder, model.autoencoder.codebook.vectors[:12]
    seen, is_known = model.seen(pixels, hidden[None])
    seen, left, order = seen[0].clone(), [int(place) for place in (~is_known[0]).nonzero()[:, 0]], []
    while left:
        scores = model(seen[None])[0]
        place = max(left, key=lambda each: float(scores[each].max()))
        seen[place] = book[int(scores[place].argmax())]
        left.remove(place)
        order.append(place)
    assert order != sorted(order)
    known = own.quantised(own.features(pixels, hidden[None]), is_known)[0]
    want = own.decoded(torch.where(is_known[..., None], known, seen[None]), pixels, hidden[None])
    assert torch.allclose(completed(model, pixels, hidden, sampled(book, generator(0), top_k=1)), want, atol=1e-6)
    # All at once nothing that was put is read.
    once = completed(model, pixels, hidden, sampled(book, generator(0), top_k=1), at_once=16)
    assert not torch.allclose(once, want, atol=1e-3)


@torch.inference_mode()
def test_what_is_expected_is_the_mean_vector_of_the_belief_and_of_many_samples():
    model, hidden = random_put(), hole()
    book = model.autoencoder.codebook.vectors[:12]
    scores = torch.randn(1, 3, 12, generator=generator(0))
    places = torch.zeros(1, 3, dtype=torch.long)
    want = sum(torch.softmax(scores, -1)[..., code, None] * book[code] for code in range(12))
    assert torch.allclose(expected(book)(scores, places), want, atol=1e-6)
    many = sampled(book, generator(1), top_k=12)(scores.expand(4000, -1, -1), places.expand(4000, -1)).mean(0)
    assert torch.allclose(many, want[0], atol=0.15 * float(book.std()))
    few = sampled(book, generator(1), top_k=2)(scores.expand(200, -1, -1), places.expand(200, -1))
    best = scores[0].topk(2, -1).indices
    for place in range(3):
        assert set(torch.cdist(few[:, place], book).argmin(-1).tolist()) == set(best[place].tolist())
    one, other = completed(model, picture().expand(2, -1, -1, -1), hidden, sampled(book, generator(0), top_k=12))
    assert not torch.equal(one[:, hidden], other[:, hidden])
    assert torch.equal(one[:, ~hidden], other[:, ~hidden])


@torch.inference_mode()
def test_the_likelihoods_of_all_fillings_sum_to_one_and_are_the_chain_of_beliefs():
    model, hidden = random_put(codes=3), hole(0, 0, 3, 6)
    codes = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    rows = torch.zeros(9, 16, dtype=torch.long)
    rows[:, :2] = codes
    for at_once in (1, 2):
        found = log_likelihood(model, picture().expand(9, -1, -1, -1), hidden, rows, at_once=at_once)
        assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-6)
    seen, _ = model.seen(picture(), hidden[None])
    at_once = torch.log_softmax(model(seen)[0, :2].double(), -1)
    assert found.tolist() == pytest.approx([float(at_once[0, a] + at_once[1, b]) for a, b in codes], abs=1e-5)
    # Other patches' codes are not looked at.
    rows[:, 2:] = 2
    again = log_likelihood(model, picture().expand(9, -1, -1, -1), hidden, rows, at_once=2)
    assert torch.equal(again, found)


def test_plain_fillings_are_what_they_say():
    pixels = torch.arange(16.0).reshape(1, 4, 4) / 16
    hidden = torch.zeros(4, 4, dtype=torch.bool)
    hidden[0:2, 1:4] = True
    mean = filled_with_mean(pixels, hidden)
    known = pixels[0][~hidden]
    assert mean[0, 0, 2] == known.mean()
    assert torch.equal(mean[0][~hidden], known)
    # Both upper patches have a hidden pixel; each is a copy of the one below, where it is hidden.
    near = filled_with_nearest(pixels, hidden, 2)
    assert torch.equal(near[0, 0:2, 2:4], pixels[0, 2:4, 2:4])
    assert near[0, 0].tolist() == [0.0, 9 / 16, 10 / 16, 11 / 16]
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert (filled_with_nearest(pixels, everything, 2) == 0.5).all()
    across = [abs(near[0, 1, column] - near[0, 2, column]) for column in (1, 2, 3)]
    across += [abs(near[0, row, 1] - near[0, row, 0]) for row in (0, 1)]
    assert border_jump(near, hidden) == pytest.approx(float(sum(across) / 5))
    assert border_jump(pixels, everything) == 0.0
    assert int(drawn_square(32, 32, 0.5, generator(0)).sum()) == 23**2


def test_fillings_are_of_other_pictures_and_each_once():
    pictures, hidden = list(picture(count=6)), hole()
    for place in range(6):
        panels, sources = fillings_of(pictures, place, hidden, 4, generator(place))
        assert place in sources
        assert len(set(sources)) == 4
        for panel, source in zip(panels, sources, strict=True):
            assert torch.equal(panel[:, hidden], pictures[source][:, hidden])
            assert torch.equal(panel[:, ~hidden], pictures[place][:, ~hidden])


def test_a_picture_of_another_size_hides_whatever_a_hidden_pixel_touches():
    hidden = hole(10, 10, 21, 21, side=64)
    image = PartlyHidden(torch.full((3, 64, 64), 0.2).masked_fill(hidden, 1.0), hidden)
    pixels, found = square(image, 16)
    assert torch.allclose(pixels[:, ~found], torch.tensor(0.2), atol=1e-6)
    assert 6 * 6 <= int(found.sum()) <= 10 * 10
    whole = Image(torch.rand(3, 16, 16))
    assert torch.equal(square(whole, 16)[0], whole.pixels)
    assert not square(whole, 16)[1].any()
    with pytest.raises(ObservationError, match=r"\[H, W\] in bool, as the picture's \[4, 4\]; got \[4, 5\] in bool"):
        PartlyHidden(torch.zeros(3, 4, 4), torch.zeros(4, 5, dtype=torch.bool))
    with pytest.raises(ObservationError, match="got \\[4, 4\\] in float32"):
        PartlyHidden(torch.zeros(3, 4, 4), torch.zeros(4, 4))


def test_its_belief_is_the_mean_of_the_experts_about_completions(tmp_path):
    options = small_put(tmp_path)
    (case, whole) = hidden_cases()[0], hidden_cases()[3]
    seen = case.observation("image")
    backend = create_belief_backend("put", **options, completions=3, seed=5)
    shown = backend.completions(seen)
    assert len(shown) == 3
    assert len({tuple(each.pixels.flatten().tolist()) for each in shown}) == 3
    beliefs = backend.expert.believe([Question("x", "?", (each,)) for each in shown])
    (found,) = backend.believe([case])
    for label, probability in enumerate(found.probabilities):
        assert probability == pytest.approx(sum(each.probabilities[label] for each in beliefs) / 3)
    assert found.grounds.startswith("Of 3 completions the best label is ")
    # Whole, and with its hole as it is, a picture is the expert's.
    assert backend.believe([whole]) == backend.expert.believe([whole])
    raw = create_belief_backend("put", **options, filling="none")
    assert raw.believe([case]) == raw.expert.believe([case])
    # Draws follow from seed and picture.
    again, other = (create_belief_backend("put", **options, completions=3, seed=seed) for seed in (5, 6))
    assert again.believe([case]) == [found] != other.believe([case])
    said = {}
    for filling in FILLINGS:
        (one,) = create_belief_backend("put", **options, filling=filling).believe([case])
        said[one.probabilities] = filling
    assert len(said) == len(FILLINGS)


@torch.inference_mode()
def test_the_control_believes_the_same_and_puts_other_vectors():
    model, pixels, hidden = random_put(), picture()[0], hole(0, 0, 4, 4)
    one, other = (
        FILLINGS[name](model, pixels, hidden, Drawing(1, 1, 1), generator(0)) for name in ("sampled", "shuffled")
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"filling": "samples"}, UnknownName, "unknown filling 'samples'.*Did you mean 'sampled'"),
        ({"completions": 0}, ConfigError, "completions is a whole number of at least 1; got 0"),
        ({"completions": 65}, ConfigError, "completions are at most 64; got 65"),
        ({"top_k": True}, ConfigError, "top_k is a whole number"),
        ({"at_once": 1.5}, ConfigError, "at_once is a whole number"),
        ({"seed": 0.5}, ConfigError, "seed is a whole number"),
        ({"expert": "put_completions"}, ConfigError, "looks at pictures as they are, and put_completions does not"),
        ({"expert": "cass_nat"}, ConfigError, "an expert of completions looks at pictures; cass_nat looks at audio"),
        ({"expert": None}, ModelError, "name it too"),
        ({"expert": None, "expert_checkpoint": None}, ModelError, "has an expert look at it: give options"),
    ],
)
def test_options_that_are_none_are_refused(tmp_path, options, kind, sentence):
    with pytest.raises(kind, match=sentence):
        create_belief_backend("put", **{**small_put(tmp_path), **options})


def test_weights_are_asked_for():
    for name in ("put", "put_completions"):
        with pytest.raises(ModelError, match=f"{name} ships no weights: give checkpoint: FOLDER"):
            create_belief_backend(name)


def test_the_likeliest_completion_is_believed_and_rules_need_no_model(tmp_path):
    options, case = small_put_completions(tmp_path), completion_cases()[0]
    backend = create_belief_backend("put_completions", **options)
    panels, hidden = backend.panels(case.observation("image"), 4)
    assert int(hidden.sum()) == 48
    codes = backend.model.autoencoder.codes(panels)
    scores = log_likelihood(backend.model, panels, hidden, codes, at_once=7)
    (found,) = backend.believe([case])
    assert found.labels == ("A", "B", "C", "D")
    assert found.probabilities == pytest.approx(torch.softmax(scores / 5.0, 0).tolist(), abs=1e-6)
    said = set()
    for measure in MEASURES:
        one = create_belief_backend("put_completions", **options, measure=measure)
        said.add(one.believe([case])[0].probabilities)
        assert one.temperature == {"likelihood": 5.0, "border": 0.1}.get(measure, 1.0)
    assert len(said) == len(MEASURES)
    smooth = PartlyHidden(torch.full((3, 16, 32), 0.4), hole(width=12, side=16).repeat(1, 2))
    jump = PartlyHidden(smooth.pixels.clone(), smooth.hidden)
    jump.pixels[:, 3:10, 2:14] = 0.9
    one = create_belief_backend("put_completions", **options, measure="border")
    assert one.believe([Question("x", "?", (jump,), ("A", "B"))])[0].best == "B"


def test_completions_that_are_none_are_refused_or_abstained_from(tmp_path):
    backend = create_belief_backend("put_completions", **small_put_completions(tmp_path))
    case = completion_cases()[0]
    image = case.observation("image")

    def believe(pixels, hidden, labels="ABCD"):
        return backend.believe([Question("x", "?", (PartlyHidden(pixels, hidden),), tuple(labels))])[0]

    with pytest.raises(RequestError, match="a square for each of the 3 options, side by side; this has 64 x 16"):
        believe(image.pixels, image.hidden, "ABC")
    moved = image.hidden.clone()
    moved[0, 0] = True
    with pytest.raises(RequestError, match="alike but for what was hidden, the same in all"):
        believe(image.pixels, moved)
    changed = image.pixels.clone()
    changed[:, 0, 17] = 0.0
    with pytest.raises(RequestError, match="alike but for what was hidden"):
        believe(changed, image.hidden)
    same = image.pixels[..., :16].repeat(1, 1, 4)
    assert believe(same, torch.zeros_like(image.hidden)).abstention == "nothing is hidden in the picture"
    assert believe(image.pixels, image.hidden, "").abstention == "the case has no options to compare"
    for options, sentence in (
        ({"measure": "borders"}, "unknown measure of completions 'borders'"),
        ({"at_once": 0}, "at_once is a whole number of at least 1; got 0"),
        ({"temperature": 0.0}, "temperature must be finite and above 0"),
    ):
        with pytest.raises(DebateError, match=sentence):
            PUTCompletions(random_put(), **options)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"patch": 3}, "patch is a power of two"),
        ({"patch": 1}, "patch is a power of two"),
        ({"side": 18}, "side a multiple of it"),
        ({"heads": 3}, "width is a multiple of heads"),
        ({"features": 7}, "features even"),
        ({"codes": 1}, "codes at least 2"),
        ({"hidden_codes": -1}, "hidden_codes at least 0"),
        ({"codes": 1 << 20}, "codes is at most 65,536; got 1,048,576"),
        ({"depth": 0}, "sizes are at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        PUTConfig(**sizes)


SMALL = PUTConfig(16, 4, 12, 4, 6, 8, 1, 1, 4, 8, 1, 2)


def test_training_is_seeded_brings_codes_nearer_and_leaves_the_autoencoder():
    pictures = (
        picture(count=24).mean((1, 2, 3), keepdim=True).expand(-1, 3, 16, 16)
        * torch.linspace(0, 1.5, 24)[:, None, None, None]
    )
    recipe = Recipe(steps=60, told=20, batch=8, learning_rate=2e-2, bare=1.0)

    def made(steps):
        torch.manual_seed(0)
        return reconstruct(Autoencoder(SMALL), pictures, replace(recipe, steps=steps), seed=0)

    @torch.no_grad()
    def wrong(model):
        nothing, everything = torch.zeros(24, 16, 16).bool(), torch.ones(24, 16, 16).bool()
        vectors = model.quantised(model.features(pictures, nothing), model.known(nothing))[0]
        return float((model.decoded(vectors, pictures, everything) - pictures).abs().mean())

    first, again, untrained = made(60), made(60), made(1)
    states = [each.state_dict() for each in (first, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert wrong(first) < 0.9 * wrong(untrained)
    torch.manual_seed(0)
    model = PUT(SMALL)
    model.autoencoder.load_state_dict(states[0])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tell(model, pictures, recipe, seed=0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) is name.startswith("autoencoder."), name
    # More than one vector is in use, of each half.
    with torch.inference_mode():
        own, holes = model.autoencoder, drawn_holes(24, 16, generator(0))
        places = own.quantised(own.features(pictures, holes), own.known(holes))[1]
    assert len(own.codes(pictures).unique()) > 1
    assert len(places[places >= 12].unique()) > 1
    assert float(masked(pictures, holes)[0, :, holes[0]].max()) == -1.0


def test_the_claims_are_measured_on_other_pictures(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    for name in ("TESTED", "FILLED", "CHOSEN", "FITTED"):
        monkeypatch.setattr(training, name, 3)
    monkeypatch.setattr(training, "SIZES", PUTConfig(32, 8, 12, 4, 6, 8, 1, 1, 4, 8, 1, 2))
    monkeypatch.setattr(training, "RECIPE", Recipe(steps=2, told=2, batch=4))
    found = training.claims(tmp_path / "out", seeds=2, data=things(tmp_path, each=10))
    assert [claim.text for claim in found] == list(training.ASKED)
    assert all(len(claim.ours) == 2 for claim in found)
    for name in ("autoencoder-0", "one-codebook-1", "cifar10-0", "quantised-1", "completions-0"):
        assert (tmp_path / "out" / name / "config.json").is_file()
    assert (
        PUTCompletions.from_pretrained(str(tmp_path / "out" / "completions-0")).temperatures.keys() == MEASURES.keys()
    )
    assert "| between two sampled |" in (tmp_path / "out" / "completions.md").read_text()
    with pytest.raises(ModelError, match="has an expert look at it"):
        PUTBackend.from_pretrained(str(tmp_path / "out" / "cifar10-0"))
