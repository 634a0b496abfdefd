"""The recipe: CIFAR-10 in small; the autoencoder first, then the transformer over its codes, and what is to be shown of both.

B batch, n pictures of S x S, N patches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.models.checkpoint import CONFIG, load_model, save_model
from agents.models.fusion.calibration import save_calibration, shown
from agents.models.put.autoencoder import BLACK, Autoencoder, masked
from agents.models.put.backend import PUTBackend, load_put
from agents.models.put.choosing import PUTCompletions
from agents.models.put.config import PUTConfig
from agents.models.put.measures import (
    DRAWING,
    Beliefs,
    Completed,
    beliefs,
    calibration,
    completions,
    holes_of_test,
    judged,
    reconstruction,
    share_right,
    temperatures_of,
)
from agents.models.put.model import PUT
from agents.models.seeded import seeded
from agents.models.stored import made_of
from agents.models.vision.cifar10 import divided, read_cifar10, stacked
from agents.models.vision.holes import drawn_square
from agents.models.vision.training import shape
from agents.pretrained import Progress

SIZES = PUTConfig()
SHARES = (0.1, 0.6)
"""Of a picture that a hole has in training, drawn evenly."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained: AdamW, its rate risen and then lowered along a cosine, in both parts.

    Attributes:
        steps, batch: of the autoencoder.
        told: steps of the transformer, of `batch` pictures.
        learning_rate, told_rate: highest, of the autoencoder and of the transformer.
        decay: of the codebook's moving average; the published 0.99 is for hundreds of times as many steps.
        erased: share of pictures of which a part is erased first, so that the vectors for hidden patches learn.
        bare: share of pictures of which the decoder is shown nothing beside the vectors.
        requantised: probability that a known patch's feature is replaced by its vector while the transformer learns (the
            paper's random quantisation), since what is put into a hole is a vector; a model that reads vectors is not changed.
    """

    steps: int = 400
    told: int = 300
    batch: int = 32
    learning_rate: float = 5e-3
    told_rate: float = 2e-3
    weight_decay: float = 0.01
    erased: float = 0.3
    bare: float = 0.3
    requantised: float = 0.3
    decay: float = 0.95


RECIPE = Recipe()
TESTED, FILLED, CHOSEN, FITTED = 300, 50, 150, 100
"""Test pictures whose beliefs are measured, whose holes are filled, and whose completions are told apart; held ones that
temperatures are fitted on."""


def drawn_holes(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Return so many holes [B, S, S] bool, squares of drawn shares at drawn places."""
    low, high = SHARES
    shares = (low + (high - low) * torch.rand(count, generator=generator)).tolist()
    return torch.stack([drawn_square(side, side, share, generator) for share in shares])


def reconstruct(
    model: Autoencoder, pictures: Tensor, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None
) -> Autoencoder:
    """Return the autoencoder trained on pictures [n, 3, S, S], in eval mode: mean difference of pixels, and commitment."""
    generator, side = torch.Generator().manual_seed(seed), model.config.side

    def loss(chosen: Tensor) -> Tensor:
        is_erased, is_bare = (
            torch.rand(len(chosen), generator=generator) < share for share in (recipe.erased, recipe.bare)
        )
        erased, hidden = (drawn_holes(len(chosen), side, generator) for _ in range(2))
        erased, hidden = erased & is_erased[:, None, None], hidden | is_bare[:, None, None]
        own = pictures[chosen]
        features, is_known = model.features(own, erased), model.known(erased)
        found = model.codebook(features, is_known)
        wanted = masked(own, erased)
        said = model.decoder(found.vectors, wanted.masked_fill(hidden[:, None], BLACK), hidden)
        flat, known = features.detach().flatten(0, 1), is_known.flatten()
        model.codebook.follow(flat, found.places.flatten(), decay=recipe.decay)
        model.codebook.revive(flat, known, generator)
        total: Tensor = functional.l1_loss(said, wanted) + found.commitment
        return total

    drawn = _drawn(len(pictures), recipe.batch, recipe.steps, generator)
    _descend(list(model.parameters()), loss, drawn, recipe, recipe.steps, progress)
    return model.eval()


def belief_loss(scores: Tensor, codes: Tensor, is_known: Tensor) -> Tensor:
    """Return the mean cross-entropy, nats, of scores [B, N, K] and codes [B, N] at patches that are not known [B, N]."""
    return functional.cross_entropy(scores[~is_known], codes[~is_known])


def tell(model: PUT, pictures: Tensor, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None) -> PUT:
    """Return the model after learning codes of hidden patches of pictures [n, 3, S, S], in eval mode; the autoencoder stays."""
    generator, side = torch.Generator().manual_seed(seed), model.config.side
    autoencoder = model.autoencoder.eval()
    with torch.no_grad():
        codes = torch.cat([autoencoder.codes(part) for part in torch.split(pictures, 100)])

    def loss(chosen: Tensor) -> Tensor:
        hidden = drawn_holes(len(chosen), side, generator)
        with torch.no_grad():
            seen, is_known = model.seen(pictures[chosen], hidden)
            seen = requantised(model, seen, is_known, recipe.requantised, generator)
        return belief_loss(model(seen), codes[chosen], is_known)

    drawn, own = (
        _drawn(len(pictures), recipe.batch, recipe.told, generator),
        replace(recipe, learning_rate=recipe.told_rate),
    )
    _descend(model.trained, loss, drawn, own, recipe.told, progress)
    return model.eval()


def requantised(model: PUT, seen: Tensor, is_known: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return features [B, N, C] of which a drawn share of the known patches' are replaced by their vectors; others never are."""
    vectors, _ = model.autoencoder.quantised(seen, is_known)
    is_chosen = is_known & (torch.rand(is_known.shape, generator=generator) < share)
    return torch.where(is_chosen[..., None], vectors, seen)


@dataclass(frozen=True)
class Measured:
    """What one seed came to: of the model, of that which reads vectors, and of an autoencoder with one codebook."""

    rebuilt: float
    rebuilt_one: float
    believed: Beliefs
    believed_quantised: Beliefs
    filled: Completed
    right: dict[str, float]
    calibration: tuple[float, float]


def _error(ours: str, baseline: str) -> Callable[[Measured], tuple[float, float]]:
    return lambda found: (-found.filled.errors[ours], -found.filled.errors[baseline])


def _right(baseline: str) -> Callable[[Measured], tuple[float, float]]:
    return lambda found: (found.right["likelihood"], found.right[baseline])


# Text of a claim → the figures, `least`. Errors are mean squares of pixels from 0 to 1, in holes of a quarter of the picture.
ASKED: dict[str, tuple[Callable[[Measured], tuple[float, float]], float]] = {
    "hidden codes, nats (log p): features read above vectors read": (
        lambda found: (found.believed.nats, found.believed_quantised.nats), 0.02,
    ),
    "hidden codes told: features read above vectors read": (
        lambda found: (found.believed.right, found.believed_quantised.right), 0.01,
    ),
    "error of a hole decoded from its codes (negated): dual codebook above one of as many vectors": (
        lambda found: (-found.rebuilt, -found.rebuilt_one), 0.0,
    ),
    "error of a filled hole (negated): expected vectors above a sampled completion": (_error("expected", "sampled"), 0.0),
    "error of a filled hole (negated): expected vectors above the mean colour": (_error("expected", "mean"), 0.0),
    "error of a filled hole (negated): expected vectors above the nearest patch": (_error("expected", "nearest"), 0.0),
    "error of a filled hole (negated): a sampled completion above one of shuffled vectors": (
        _error("sampled", "shuffled"), 0.0,
    ),
    "error of a filled hole (negated): the best of four completions above the mean colour": (
        lambda found: (-found.filled.best, -found.filled.errors["mean"]), 0.0,
    ),
    "the true of four completions: likelihood above nearness to the mean colour": (_right("mean"), 0.05),
    "the true of four completions: likelihood above nearness to the nearest patch": (_right("nearest"), 0.05),
    "the true of four completions: likelihood above the smallest jump at the border": (_right("border"), 0.0),
    "the true of four completions: likelihood above that of shuffled codes": (_right("shuffled"), 0.1),
    "calibration error of that belief (negated): with its temperature below that without": (
        lambda found: (-found.calibration[1], -found.calibration[0]), 0.0,
    ),
}  # fmt: skip


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds on CIFAR-10 in small; every model is kept under `out`.

    `completions.md` has the errors of every filling, how far completions are apart, and how often each measure is right.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of the pictures.
        progress: told of each step that takes time.
    """
    pictures, held = (stacked(part)[0] for part in divided(read_cifar10(data, "train")))
    test = stacked(read_cifar10(data, "test"))[0]
    test = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))]
    found = []
    for seed in range(seeds):
        model, vectors, one = models(out, pictures, held, RECIPE, seed, progress)
        progress(f"measuring seed {seed}")
        found.append(_measured(model, vectors, one, test, out / f"completions-{seed}"))
    _write(out, found)
    return claims_of(
        {text: [take(each) for each in found] for text, (take, _) in ASKED.items()},
        {text: (least, None) for text, (_, least) in ASKED.items()},
    )


def models(
    out: Path, pictures: Tensor, held: Tensor, recipe: Recipe, seed: int, progress: Progress
) -> tuple[PUT, PUT, Autoencoder]:
    """Return the model, that which reads vectors in place of features, and an autoencoder with one codebook of as many vectors.

    The first two have one autoencoder. `out` then has the folders `cifar10-SEED`, `quantised-SEED`, `one-codebook-SEED` and
    `completions-SEED`, the first again with temperatures for telling completions apart.
    """
    joined = replace(SIZES, codes=SIZES.codes + SIZES.hidden_codes, hidden_codes=0)
    autoencoders = []
    for name, config in (("autoencoder", SIZES), ("one-codebook", joined)):
        folder = out / f"{name}-{seed}"
        if not (folder / CONFIG).is_file():
            progress(f"training {folder.name}")
            fresh = seeded(partial(Autoencoder, config), seed)
            save_model(folder, reconstruct(fresh, pictures, recipe, seed=seed, progress=progress), config.sizes)
        autoencoders.append(load_model(folder, "autoencoder", lambda sizes: Autoencoder(made_of(PUTConfig, sizes)))[0])
    autoencoder, one = autoencoders
    tellers = []
    for name, config in (("cifar10", SIZES), ("quantised", replace(SIZES, quantised=True))):
        folder = out / f"{name}-{seed}"
        if not (folder / CONFIG).is_file():
            progress(f"training {folder.name}")
            fresh_put = seeded(partial(PUT, config), seed)
            fresh_put.autoencoder.load_state_dict(autoencoder.state_dict())
            save_model(folder, tell(fresh_put, pictures, recipe, seed=seed, progress=progress), config.sizes)
        tellers.append(load_put(str(folder), "put", PUTBackend)[0])
    model, vectors = tellers
    folder = out / f"completions-{seed}"
    if not (folder / CONFIG).is_file():
        PUTCompletions(model, temperatures=temperatures_of(model, held, FITTED)).save_pretrained(folder)
    return model, vectors, one.eval()


def _measured(model: PUT, vectors: PUT, one: Autoencoder, test: Tensor, folder: Path) -> Measured:
    tested = test[:TESTED]
    hidden = holes_of_test(len(tested), model.config.side)
    scores, right = judged(model, test, CHOSEN, seed=2)
    temperature = PUTCompletions.from_pretrained(str(folder)).temperature
    return Measured(
        rebuilt=reconstruction(model.autoencoder, tested, hidden),
        rebuilt_one=reconstruction(one, tested, hidden),
        believed=beliefs(model, tested, hidden),
        believed_quantised=beliefs(vectors, tested, hidden),
        filled=completions(model, tested[:FILLED], hidden[:FILLED]),
        right={name: share_right(each, right) for name, each in scores.items()},
        calibration=calibration(scores["likelihood"], right, temperature),
    )


def _write(out: Path, found: Sequence[Measured]) -> None:
    lines = ["| filling of a hole | error | ", "|---|---|"]
    for name in found[0].filled.errors:
        lines.append(f"| {name} | {shown([each.filled.errors[name] for each in found], '{:.4f}')} |")
    lines.append(
        f"| the best of {DRAWING.completions} sampled | {shown([each.filled.best for each in found], '{:.4f}')} |"
    )
    lines.append(f"| between two sampled | {shown([each.filled.apart for each in found], '{:.4f}')} |")
    lines += ["", "| measure of a completion | the true of four found |", "|---|---|"]
    for name in found[0].right:
        lines.append(f"| {name} | {shown([each.right[name] for each in found], '{:.3f}')} |")
    (out / "completions.md").write_text("\n".join(lines) + "\n")
    save_calibration(out, {"the true of four completions": [each.calibration for each in found]})


def _drawn(count: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the numbers of each step's pictures: all are seen before one is seen again."""
    left: list[Tensor] = []
    for _ in range(steps):
        if not left:
            left = list(torch.split(torch.randperm(count, generator=generator), batch))
        yield left.pop(0)


def _descend(
    parameters: list[nn.Parameter],
    loss: Callable[[Tensor], Tensor],
    drawn: Iterator[Tensor],
    recipe: Recipe,
    steps: int,
    progress: Progress,
) -> None:
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step, chosen in enumerate(drawn):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * shape(step / steps)
        found = loss(chosen)
        optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 100 == 99:
            progress(f"step {step + 1} of {steps}: loss {found.item():.3f}")
