"""From a checked request to debates that are played."""

from agents.question import Question
from debate.serving.debates import Job, Player
from debate.serving.limits import Limits
from debate.serving.models import Catalogue
from debate.serving.requests import ChatAsked, CompletionAsked, question_id
from debate.serving.tokens import texts_of


async def started(
    catalogue: Catalogue,
    player: Player,
    limits: Limits,
    asked: ChatAsked | CompletionAsked,
    *,
    background: bool = True,
) -> Job:
    """Begin what a request asks for.

    Args:
        catalogue: the models.
        player: who plays.
        limits: what is allowed.
        asked: the request.
        background: whether a chat interface may ask, whose prompts for itself one agent answers.

    Raises:
        ApiError: no such model, something that is not allowed, or no place in the queue.
        DebateError: an override that the config does not take.
    """
    model = catalogue.get(asked.model)
    if isinstance(asked, ChatAsked):
        plan = model.plan(asked, limits, instructions=asked.instructions, alone=background and asked.is_background)
        return player.start(plan, [_question(asked, asked.instructions, asked.question)], follows=asked.stream)
    plan = model.plan(asked, limits)
    length = sum(map(len, asked.prompts))
    texts = await player.long_texts.read(length, lambda: texts_of(asked, plan, limits.max_body))
    return player.start(plan, [_question(asked, "", text) for text in texts], follows=asked.stream)


def _question(asked: ChatAsked | CompletionAsked, instructions: str, text: str) -> Question:
    return Question(question_id(asked, instructions, text), text)
