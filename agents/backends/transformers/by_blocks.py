"""A row that is said by blocks (`decoding: ftp_blocks`): n steps of one state, and then one reading of all that they said.

One row is worked on at a time, one block between two steps of the others, so that it does not depend on its company.
"""

from collections.abc import Callable, Iterator

import torch

from agents.backend import Request
from agents.backends.transformers.cache import SlotCache
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.row import Row
from agents.decoding.future_blocks import FutureBlocks, refusal
from agents.decoding.rules import Decoding
from agents.errors import RequestError

Answer = Callable[[list[Row], torch.Tensor], None]


def blocks_of(request: Request, decoding: Decoding | None, horizon: int) -> FutureBlocks | None:
    """Return what a request's message is said by; None where it is not, as of what is read or forced.

    Raises:
        RequestError: the model, which foretells `horizon` tokens of a state, cannot.
    """
    if not isinstance(decoding, FutureBlocks) or request.choices or request.tokens or request.forced is not None:
        return None
    if why := refusal(decoding, horizon):
        raise RequestError(why)
    return decoding


def say_by_blocks(
    model: LoadedModel,
    cache: SlotCache,
    row: Row,
    settings: FutureBlocks,
    logits: torch.Tensor,
    slot: int,
    answer: Answer,
) -> Iterator[None]:
    """Yield between the blocks of a message, until the row has ended.

    Args:
        model, cache: of the engine; the model's last forward pass was of the row's prompt.
        row: the row.
        settings: n, and what steps are fed.
        logits: [V], of the prompt's last position.
        slot: the slot that holds the prompt.
        answer: turns logits [1, V] into the row's next step.
    """
    length, adapter = len(row.keys), row.request.adapter
    if model.crosses(length + row.request.sampling.max_tokens, since=length):
        row.fail("its model reads a text anew beyond some length, which a message by blocks cannot do")
        return
    state = model.last_state()
    while True:
        given: list[torch.Tensor] = []
        said: list[torch.Tensor] = []
        for place in range(settings.n):
            if place:
                logits = model.foretell(state, torch.stack(given), adapter)
            answer([row], logits[None])
            if row.finish is not None:
                return
            own = model.table.weight[row.ids[-1]]
            said.append(own if row.next_input is None else row.next_input)
            likeliest = row.next_input is not None and settings.feed == "argmax"
            given.append(model.table.weight[int(logits.argmax())] if likeliest else said[-1])
        start = length + row.step - settings.n
        inputs = torch.stack(said)
        if settings.n == 1:
            # Read as a step of any other row is, and so to the same bits.
            positions = torch.tensor([start], device=model.device)
            logits = model.decode(cache, inputs, positions, [adapter], [slot])[0]
        else:
            logits = model.read(cache, slot, start, inputs, adapter, keep=1)[0]
        state = model.last_state()
        yield
