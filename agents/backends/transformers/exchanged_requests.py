"""Which requests a model with an exchanged attention or a quantised cache cannot take."""

from agents.backend import Request
from agents.backends.transformers.decoder import Decoder
from agents.errors import RequestError


def refuse_exchanged(request: Request, model: Decoder) -> None:
    """Refuse a request that reads positions again that the model's cache has forgotten, or searches beside it.

    Raises:
        RequestError: the message says which option is in the way.
    """
    if model.stair is not None and (request.choices or request.tokens):
        raise RequestError(
            "choices and tokens are weighed one after the other behind one prompt, and a quantised cache changes with each: "
            "leave the option `cache` out"
        )
    if request.decoding is not None and (model.stair is not None or model.exchanged is not None):
        option = "attention" if model.stair is None else "cache"
        raise RequestError(
            f"decoding {request.decoding} has not been made for the option `{option}`: leave one of them out"
        )
