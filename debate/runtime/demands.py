"""Turns that somebody hears only if they are signed: refused before anybody has heard them."""

from agents.question import Question
from agents.signature import Place
from agents.signing import MessageRefused, refuse_unsigned
from debate.orchestrator import Debate
from debate.runtime.faults import GivenUp
from debate.transcript import Turn


def refuse_undemanded(debate: Debate, question: Question, turn: Turn, place: Place | None) -> None:
    """Give a question up over a turn without the signature that an edge from its speaker demands.

    Args:
        debate: with what is demanded of its turns.
        question: which.
        turn: what was said.
        place: where, in this run; None where nothing is written down, and so no run has a name.

    Raises:
        GivenUp: the reason, in a sentence.
    """
    source = f"{turn.key.agent}, round {turn.key.round}"
    for key in sorted(debate.demanded.get(turn.key, ())):
        if place is None:
            raise GivenUp(f"{source}: signed messages are of a run: give it a folder with --out")
        try:
            refuse_unsigned(turn.message, turn.signature, place, key, source=source)
        except MessageRefused as error:
            raise GivenUp(f"MessageRefused: {error}") from error
