"""How likely the deciding agent finds a text as what it says next, at the end of a debate."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.backend import Request, Sampling
from agents.control_tokens import control_tokens
from agents.decoding.rules import of_reading
from agents.errors import BackendFailed, ConfigError, RequestError
from agents.speakers.agent import Agent
from agents.tokenizers import tokenizer_of
from debate.serving.models import Plan
from debate.transcript import Transcript


@dataclass(frozen=True)
class Weighed:
    """A text after a prompt.

    Attributes:
        log_likelihood: of its tokens, summed, in nats, at temperature 1.
        is_greedy: whether greedy decoding says it.
    """

    log_likelihood: float
    is_greedy: bool


async def weigh(plan: Plan, transcript: Transcript, continuations: Sequence[str]) -> list[Weighed]:
    """Return how likely each text is as the beginning of the deciding agent's last turn, given all that it heard before.

    The agent's prompt is that of its last turn, the CIPHER vectors that it heard included; each text is read behind it as the
    beginning of what the agent says.

    Args:
        plan: what was played.
        transcript: of the debate.
        continuations: texts, none empty.

    Raises:
        ConfigError: the deciding agent is no language model, or its backend does not tell how likely a text is.
        RequestError: an empty text; or the prompt had no room for all that was heard.
    """
    agent, request = await _last_request(plan, transcript)
    tokenizer = tokenizer_of(agent.backend)
    if not agent.backend.capabilities.weighs or tokenizer is None:
        raise ConfigError(
            f"agent {agent.name!r} decides, and its backend does not tell how likely a text is. The backends transformers, vllm "
            "and mock do."
        )
    if not all(continuations):
        raise RequestError("a continuation is empty, and how likely it is says nothing")
    ids = [tuple(control_tokens(tokenizer).ids_of(text, tokenizer)) for text in continuations]
    greedy = Sampling(temperature=0.0, max_tokens=max(map(len, ids)), ignore_eos=True, seed=request.sampling.seed)
    base = replace(request, encoder=None, hearers=(), decoding=of_reading(request.decoding))
    pending = [
        agent.submit(replace(base, sampling=greedy)),
        *(agent.submit(replace(base, choices=(text,))) for text in continuations),
    ]
    try:
        said, *found = await asyncio.gather(*pending)
    except BaseException:
        for one in pending:
            one.cancel()
        raise
    if any(one.finish_reason == "cancelled" for one in (said, *found)):
        raise BackendFailed("the engine was stopped; ask again")
    tokens = said.message.whole.token_ids
    return [Weighed(one.log_likelihoods[0], tokens[: len(own)] == own) for one, own in zip(found, ids, strict=True)]


async def _last_request(plan: Plan, transcript: Transcript) -> tuple[Agent, Request]:
    """Return the deciding agent, and what it was asked in its last turn."""
    turn = transcript.last_of(plan.config.deciding_agent)
    agent = plan.debate.speaker(turn.key)
    if not isinstance(agent, Agent):
        raise ConfigError(
            f"agent {agent.name!r} decides, and is no language model that generates: how likely it finds a text is not known"
        )
    if turn.left_out or turn.summary is not None:
        raise RequestError("the prompt of the last turn had no room for all that was heard; use shorter messages")
    inbox, said = plan.debate.protocol.inbox(turn.key), {one.key: one for one in transcript.turns}
    if agent.remembers:
        agent, forgotten = await plan.debate.recalling(transcript.question, inbox, agent, said)
        agent = agent.remembering((agent.past or ())[turn.forgotten - forgotten :])
    heard = [found.content for found in plan.debate.heard(inbox, agent, said)]
    own = None if inbox.own is None else plan.debate.hearing.own(said[inbox.own].message, agent).content
    return agent, agent.request(transcript.question.text, own, heard, turn.seed)
