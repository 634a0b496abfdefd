"""Turns that somebody hears only if they are signed: refused before anybody has heard them."""

from agents.question import Question
from agents.signing import MessageRefused, refuse_unsigned
from debate.orchestrator import Debate
from debate.run_folder.method_journal import MethodJournal
from debate.runtime.faults import GivenUp
from debate.transcript import Turn


def vouched(debate: Debate, question: Question, turn: Turn, record: MethodJournal | None) -> Turn:
    """Return a turn as it is heard: with the run's signature, if the run has a key and the speaker none of its own.

    Args and errors: as `refuse_undemanded`.
    """
    if record is not None:
        turn = record.signed(question, turn)
    refuse_undemanded(debate, question, turn, record)
    return turn


def refuse_undemanded(debate: Debate, question: Question, turn: Turn, record: MethodJournal | None) -> None:
    """Give a question up over a turn without the signature that an edge from its speaker demands.

    Args:
        debate: with what is demanded of its turns.
        question: which.
        turn: what was said.
        record: where it is written; None where nothing is written down, and so no run has a name.

    Raises:
        GivenUp: the reason, in a sentence.
    """
    source = f"{turn.key.agent}, round {turn.key.round}"
    for key in sorted(debate.demanded.get(turn.key, ())):
        if record is None:
            raise GivenUp(f"{source}: signed messages are of a run: give it a folder with --out")
        try:
            refuse_unsigned(turn.message, turn.signature, record.place(question, turn.key), key, source=source)
        except MessageRefused as error:
            raise GivenUp(f"MessageRefused: {error}") from error
