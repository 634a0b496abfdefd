"""Agents over HTTP: what one hears and says as message files, CIPHER vectors included, for debates that run elsewhere."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agents.backend import Generation
from agents.errors import MessageError, MessageMismatch
from agents.message import Message
from agents.message_file import check_receiver, from_bytes, to_bytes
from agents.remote_request import FINISH, PLACE, USAGE, RemoteRequest
from agents.signature import Place, is_valid
from agents.signing import MessageRefused, Receiver
from agents.speakers.agent import Agent
from agents.tokenizer_wire import tokenizer_body
from agents.tokenizers import tokenizer_of
from debate.serving.debates import Player
from debate.serving.engines import answered_by
from debate.serving.errors import ApiError
from debate.serving.limits import Limits
from debate.serving.models import ServedModel
from debate.serving.requests import Asked

# Of all messages that are kept, vectors and beliefs; the oldest go.
LARGEST_MEMORY = 1 << 28


class Ears:
    """What agents of a server have heard, by digest, until memory is full.

    Args:
        keys: agent → public key, of debates in which only signed messages are heard; empty to hear anybody.
        room: bytes.
    """

    def __init__(self, keys: Mapping[str, str] | None = None, room: int = LARGEST_MEMORY) -> None:
        self._receiver = Receiver(keys) if keys else None
        self._room, self._bytes = room, 0
        self._heard: OrderedDict[str, tuple[Message, int]] = OrderedDict()

    def hear(self, blob: bytes, place: str | None, agent: Agent) -> Message:
        """Return a message that is kept from now on.

        Args:
            blob: its file.
            place: where it was said, as JSON, if it is signed for a place.
            agent: the hearer.

        Raises:
            ApiError: 400, no message, or of a model whose tokenizer is another; 403, without the signature that is demanded.
        """
        try:
            message = from_bytes(blob)
            # First, so that a message which came to the wrong agent is not taken as said.
            check_receiver(message, agent.backend.fingerprint)
            if self._receiver is not None:
                message = self._receiver.accept(blob, read_place(place))
        except MessageRefused as error:
            raise ApiError(403, str(error), code="message_refused") from error
        except MessageMismatch as error:
            raise ApiError(400, str(error), code="message_mismatch") from error
        except MessageError as error:
            raise ApiError(400, str(error), code="invalid_message") from error
        self.keep(message, len(blob))
        return message

    def keep(self, message: Message, size: int) -> None:
        """Keep a message, and let the oldest go where there is no room.

        Args:
            message: heard, or said here.
            size: bytes of its file.
        """
        if message.digest in self._heard:
            self._heard.move_to_end(message.digest)
            return
        self._heard[message.digest] = message, size
        self._bytes += size
        while self._bytes > self._room and len(self._heard) > 1:
            _, (_, gone) = self._heard.popitem(last=False)
            self._bytes -= gone

    def all_of(self, digests: list[str]) -> dict[str, Message]:
        """Return messages by digest.

        Raises:
            ApiError: 409, some were not heard, or are no longer kept; the error's detail names them.
        """
        missing = [digest for digest in digests if digest not in self._heard]
        if missing:
            raise ApiError(
                409,
                f"{len(missing)} messages of the prompt were not heard here, or are no longer kept: send them to /v1/cipher/hear",
                code="not_heard",
                param="prompt",
                detail={"digests": missing},
            )
        for digest in digests:
            self._heard.move_to_end(digest)
        return {digest: self._heard[digest][0] for digest in digests}


def read_place(text: str | None) -> Place:
    """Return the place of a signed message.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        fields = json.loads(text or "")
        texts = {name: fields[name] for name in ("run", "debate", "question", "agent")}
        if type(fields["round"]) is not int or not all(
            isinstance(one, str) and is_valid(one) for one in texts.values()
        ):
            raise TypeError
        return Place(round=fields["round"], **texts)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ApiError(
            400,
            f"this server hears signed messages alone: {PLACE} is a JSON object with run, debate, question, round and agent",
            code="invalid_place",
        ) from error


def speaking_agent(model: ServedModel, limits: Limits) -> Agent:
    """Return the agent of a model.

    Raises:
        ApiError: 400, it is a debate, or an agent that has no vectors.
    """
    agent = model.plan(Asked(model=model.id), limits).decider
    if model.agent is None or not isinstance(agent, Agent) or not agent.backend.capabilities.vectors_out:
        raise ApiError(
            400,
            f"{model.id} does not exchange vectors: ask one agent, as CONFIG/AGENT, on the backends transformers, vllm or mock",
            code="no_vectors",
            param="model",
        )
    if agent.adapter is not None:
        raise ApiError(
            400,
            f"{model.id} speaks through an adapter, and agents of other machines do not: serve a model with merged weights",
            code="adapter",
            param="model",
        )
    if agent.decoding is not None:
        raise ApiError(
            400,
            f"{model.id} has a way of decoding ({agent.decoding}), which agents of other machines cannot ask for: serve it "
            "without",
            code="decoding",
            param="model",
        )
    return agent


def card(model: ServedModel, limits: Limits) -> dict[str, Any]:
    """Return what another machine needs to know of an agent before it debates with it."""
    backend = speaking_agent(model, limits).backend
    can = backend.capabilities
    return {
        "id": model.id,
        "model": backend.fingerprint.sender(),
        "capabilities": {"vectors_in": can.vectors_in, "vectors_out": can.vectors_out, "context": can.context},
    }


def tokenizer_card(model: ServedModel, limits: Limits) -> dict[str, Any]:
    """Return an agent's tokenizer.

    Raises:
        ApiError: 400, it is none that can be sent.
    """
    body = tokenizer_body(tokenizer_of(speaking_agent(model, limits).backend))
    if body is None:
        raise ApiError(400, f"the tokenizer of {model.id} cannot be sent", code="no_tokenizer", param="model")
    return body


async def spoken(
    asked: RemoteRequest, model: ServedModel, ears: Ears, player: Player, limits: Limits
) -> tuple[bytes, dict[str, str]]:
    """Return what an agent says as a message file, and the headers that say what it cost.

    Args:
        asked: the request.
        model: one agent alone.
        ears: what it has heard.
        player: with the places of debates, of which this takes one.
        limits: of the server.

    Raises:
        ApiError: it is not allowed, or names messages that were not heard.
        DebateError: the engine refuses it, or failed.
    """
    agent = speaking_agent(model, limits)
    if limits.max_tokens is not None and asked.sampling.max_tokens > limits.max_tokens:
        raise ApiError(
            400,
            f"sampling.max_tokens is {asked.sampling.max_tokens}; this server allows {limits.max_tokens}",
            code="too_many_tokens",
            param="sampling.max_tokens",
        )
    heard = ears.all_of(asked.heard)
    for message in heard.values():
        # It was heard by an agent, and need not be one that this agent understands.
        check_receiver(message, agent.backend.fingerprint)
    request = asked.request(heard)
    await player.long_texts.check_prompt(agent.backend, request.prompt, request.sampling.max_tokens)
    found: Generation
    (found,) = await player.side_by_side([answered_by(agent.backend, request, f"remote-{asked.sampling.seed}")])
    if found.finish_reason == "cancelled":
        raise ApiError(503, "the engine was stopped; ask again", code="stopping")
    blob = to_bytes(found.message)
    ears.keep(found.message, len(blob))
    return blob, {USAGE: json.dumps(asdict(found.usage)), FINISH: found.finish_reason}
