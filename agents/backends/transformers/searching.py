"""A row whose text is searched for (`decoding: acbs`): its prefixes are rows of the cache beside the running ones.

They go through the model apart from the running rows, in steps of the engine's own width, so that a text does not depend on
what else is running.
"""

from collections.abc import Iterator

import torch

from agents.backend import Request
from agents.backends.transformers.cache import SlotCache
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.row import Row
from agents.decoding.acbs import ConditionalBeam, Found, beam_steps
from agents.decoding.ending import kept_before_stop
from agents.decoding.rules import Decoding
from agents.errors import RequestError
from kernels.belief import check_maxima
from kernels.errors import InvalidBelief


def beam_of(request: Request, decoding: Decoding | None) -> ConditionalBeam | None:
    """Return what a request's text is searched for by; None where nothing is searched for, as of what is read or forced.

    Raises:
        RequestError: a text cannot be searched for as the request asks.
    """
    sampling = request.sampling
    if not isinstance(decoding, ConditionalBeam) or request.choices or request.tokens or request.forced is not None:
        return None
    if request.encoder is not None:
        raise RequestError(
            "decoding acbs searches for a text, and a CIPHER message is made of expectations: ask for text, or leave `decoding` "
            "out"
        )
    if sampling.top_p is not None or sampling.top_k is not None:
        raise RequestError("decoding acbs draws no token, so that top_p and top_k mean nothing to it: leave them out")
    return decoding


def search(
    model: LoadedModel, cache: SlotCache, row: Row, settings: ConditionalBeam, logits: torch.Tensor, slot: int
) -> Iterator[None]:
    """Yield between the steps of a search, and end the row with the text that is found behind its prompt.

    Args:
        model, cache: of the engine.
        row: the row.
        settings: what is searched for.
        logits: [V], of the prompt's last position.
        slot: the slot that holds the prompt; those behind it are nobody's, and are written over.
    """
    length, sampling = len(row.keys), row.request.sampling
    if model.crosses(length + sampling.max_tokens, since=length):
        row.fail("its model reads a text anew beyond some length, which a search cannot do")
        return
    width = settings.width
    cache.reserve(slot + 1 + 2 * width, length + sampling.max_tokens)
    step, row.decoded = 0, 1

    def bank(number: int) -> range:
        """Return the slots of a step's prefixes; those of the step before are copied into them."""
        start = slot + 1 + width * (number % 2)
        return range(start, start + width)

    try:
        steps = beam_steps(
            _likely(logits[None])[0],
            settings,
            ends=() if sampling.ignore_eos else model.stop_ids,
            limit=sampling.max_tokens,
            cut=lambda tokens: kept_before_stop(tokens, sampling.stop, model.tokenizer),
        )
        parents, tokens = next(steps)
        while True:
            position, new = length + step, bank(step)
            for place, parent in enumerate(parents):
                cache.copy(bank(step - 1)[parent] if step else slot, new[place], position)
            inputs = model.table.weight[torch.tensor(tokens, device=model.device)]
            found = []
            for start in range(0, len(tokens), model.rows or width):
                part = slice(start, start + (model.rows or width))
                slots = list(new[: len(tokens)][part])
                positions = torch.full((len(slots),), position, device=model.device)
                found.append(model.decode(cache, inputs[part], positions, [row.request.adapter] * len(slots), slots))
            step, row.decoded = step + 1, row.decoded + len(tokens)
            parents, tokens = steps.send((_likely(torch.cat(found)), None))
            yield
    except InvalidBelief as error:
        row.fail(f"step {step}: {error}")
    except StopIteration as done:
        text: Found = done.value
        row.ids, row.kept, row.finish = list(text.tokens), text.kept, text.finish
        if sampling.likelihood:
            row.likely = list(text.steps)


def _likely(logits: torch.Tensor) -> torch.Tensor:
    """Return log p(next token) [n, V] at temperature 1."""
    check_maxima(logits.amax(dim=1))
    return torch.log_softmax(logits.double(), dim=1)
