"""A backend for recorded runs: the mock, whose words depend on everything that it is shown and on the request's seed."""

import hashlib
import re

from agents import Message
from agents.backends.mock import MockBackend

EXPRESSION = re.compile(r"(\d+)\+(\d+)\*(\d+)\+(\d+)-(\d+)\*(\d+)")


class Listener(MockBackend):
    """A mock that says what it heard, a hash of all it was shown, and an answer drawn from that hash.

    Args:
        model: its name.
        ballots: also say a ranking, points, an approval and a confidence.
        choice: answer with a letter.
        options: of the mock.
    """

    def __init__(self, model="mock", *, ballots=False, choice=False, **options):
        def reply(read, request):
            shown = [[turn.role, *map(_described, turn.parts)] for turn in request.prompt.turns]
            heard = [part[0] for part in shown[-1][1:] if isinstance(part, tuple)]
            # An option that is younger than the recordings, and left as it is, changes nothing.
            sampling = repr(request.sampling).replace(", likelihood=False", "")
            asked = f"({shown!r}, {request.encoder!r}, {sampling})"
            drawn = hashlib.sha256(asked.encode()).digest()
            answer = "ABCD"[drawn[8] % 4] if choice else _answer(read, drawn)
            said = f"Heard {' '.join(heard) or 'nobody'}, {drawn.hex()[:6]}. Answer: {answer}"
            if ballots:
                other = drawn[9] % 7
                said += f"\nRanking: {answer} > {other} > 5\nPoints: {answer}=3, {other}=4\nApprove: {other}, 5"
                said += f"\nConfidence: {drawn[7] % 100}%"
            return said

        super().__init__(model, reply=reply, **options)


# As the recorded configs name it.
listener = Listener


def shortest(question, response):
    """Score a response by its length; a verifier for `verifier(score=…)`."""
    return -len(response)


def _described(part):
    if not isinstance(part, Message):
        return part
    kind = f"{'vectors' if part.is_cipher else 'words'} {part.num_tokens}"
    return (kind, part.text, part.encoder, part.model.model, part.temperature)


def _answer(read, drawn):
    """Return the right answer to the last expression read in half of all cases, else one of four near it."""
    a, b, c, d, e, f = map(int, EXPRESSION.findall(read)[-1])
    return a + b * c + d - e * f + (0 if drawn[7] < 128 else 1 + drawn[8] % 4)
