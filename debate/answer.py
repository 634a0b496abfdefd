"""What one debate came to, for people at a prompt or in a notebook."""

from dataclasses import dataclass
from html import escape
from typing import Any

from debate.decision.decision import Decision
from debate.transcript import Transcript, turn_fields


@dataclass(frozen=True)
class Answer:
    """The outcome of a debate: the decision, and everything that was said."""

    decision: Decision
    transcript: Transcript

    @property
    def answer(self) -> str | None:
        """The answer of the debate; None if there is none, and `decision.reason` says why."""
        return self.decision.answer

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The turns as flat rows: `pandas.DataFrame(answer.turns)` is a table of them."""
        return [turn_fields(turn) for turn in self.transcript.turns]

    def _repr_html_(self) -> str:
        """Return the debate as HTML for a notebook; what models and questions say is text in it, never markup."""
        rows = "".join(
            f"<tr><td>{turn['round']}</td><td>{_text(turn['agent'])}</td>"
            f"<td>{_text(turn['encoder'] or 'text')}</td><td>{_text(turn['text'].strip())}</td></tr>"
            for turn in self.turns
        )
        answer = "no answer" if self.answer is None else self.answer
        return (
            f"<p>{_text(self.transcript.question.text)}</p>"
            "<table><thead><tr><th>round</th><th>agent</th><th>message</th><th>reads as</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            f"<p><b>{_text(answer)}</b> ({_text(self.decision.reason)})</p>"
        )


def _text(text: str) -> str:
    """Return a text as HTML, its lines kept; letters that run the other way reorder nothing around it."""
    return f'<bdi style="white-space: pre-wrap; text-align: left">{escape(str(text), quote=True)}</bdi>'
