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
from agents.decoding.attributes import read_classifier, refusal
from agents.decoding.ending import kept_before_stop
from agents.decoding.rules import Decoding
from agents.errors import ConfigError, RequestError
from agents.fingerprint import ModelFingerprint
from kernels.belief import check_maxima
from kernels.errors import InvalidBelief


def beam_of(request: Request, decoding: Decoding | None, model: ModelFingerprint) -> ConditionalBeam | None:
    """Return what a request's text is searched for by, on a model; None where nothing is, as of what is read or forced.

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
    if decoding.classifier and sampling.ignore_eos:
        raise RequestError("decoding acbs: a classifier knows of texts that end: leave ignore_eos out, or `classifier`")
    try:
        why = refusal(decoding, model, adapted=request.adapter is not None)
    except ConfigError as error:
        raise RequestError(str(error)) from error
    if why:
        raise RequestError(why)
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
    width, q = settings.wide, read_classifier(settings.classifier)[0] if settings.classifier else None
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
            found, states = [], []
            for start in range(0, len(tokens), model.rows or width):
                part = slice(start, start + (model.rows or width))
                slots = list(new[: len(tokens)][part])
                positions = torch.full((len(slots),), position, device=model.device)
                asked = (cache, inputs[part], positions, [row.request.adapter] * len(slots), slots)
                if q is None:
                    found.append(model.decode(*asked))
                else:
                    logits, state = model.decode_with_states(*asked)
                    found.append(logits)
                    states.append(state)
            step, row.decoded = step + 1, row.decoded + len(tokens)
            log_q = None
            if q is not None:
                left = settings.to_come(step, sampling.max_tokens)
                log_q = q.log_q(torch.cat(states).cpu(), *left, loop=settings.loop)
            parents, tokens = steps.send((_likely(torch.cat(found)), log_q))
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
