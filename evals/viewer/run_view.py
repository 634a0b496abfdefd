"""Everything that the viewer shows of one run, as JSON values: the same for the server and for an exported page."""

import time
from pathlib import Path
from typing import Any

from agents.errors import MessageError, RunError
from debate.run_folder.journal import Record
from debate.run_folder.runs import runs_below
from debate.transcript import TurnKey
from evals.viewer.debates import Plans, debate_json
from evals.viewer.index import RunIndex
from evals.viewer.messages import ALTERNATIVES, Messages
from evals.viewer.prompts import PromptMaker

# Turns whose answers are read ahead at a time, and the pause after them.
WARM_TURNS, WARM_PAUSE_S = 100, 0.004


class RunView:
    """One run.

    Args:
        path: the run folder.

    Attributes:
        index: its questions.

    Raises:
        RunError: not a run, or a damaged journal.
    """

    def __init__(self, path: Path) -> None:
        self.index = RunIndex(path)
        self._plans = Plans(self.index)
        self._messages = Messages(self.index)
        self._prompts = PromptMaker(self.index, self._plans, self._messages)

    def debate(self, method: str, question: str) -> dict[str, Any]:
        """Return a debate.

        Raises:
            RunError: there is none, or its records are damaged.
        """
        return debate_json(self.index, self._plans, method, question, *self.index.records(method, question))

    def whole(self, method: str, question: str, *, alternatives: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a debate, and `ROUND/AGENT` → message of all of its turns."""
        records, end = self.index.records(method, question)
        said = {(record["round"], record["agent"]): record for record in records}
        debate = debate_json(self.index, self._plans, method, question, records, end)
        messages = {
            f"{number}/{agent}": self._message(method, record, said, alternatives)
            for (number, agent), record in said.items()
        }
        return debate, messages

    def message(self, method: str, question: str, turn: TurnKey, *, alternatives: int = ALTERNATIVES) -> dict[str, Any]:
        """Return a message and the prompt that it answers.

        Raises:
            RunError: there is no such turn.
        """
        records, _ = self.index.records(method, question)
        said = {(record["round"], record["agent"]): record for record in records}
        record = said.get((turn.round, turn.agent))
        if record is None:
            raise RunError(f"{turn.agent[:80]} has not spoken in round {turn.round} of this debate")
        return self._message(method, record, said, alternatives)

    def _message(
        self, method: str, record: Record, said: dict[tuple[int, str], Record], alternatives: int
    ) -> dict[str, Any]:
        try:
            message = self._messages.read(record)
        except MessageError as error:
            return {"missing": str(error), "prompt": {"none": "The message is missing."}}
        return {
            **self._messages.of(method, message, alternatives),
            "prompt": self._prompts.of(method, record, said, message.model),
        }

    def warm(self) -> None:
        """Read ahead what the first message would wait for: answers, tokenizers."""
        while self.index.read_answers(WARM_TURNS):
            # Whoever asks for something waits for the same lock, and is let in.
            time.sleep(WARM_PAUSE_S)
        for name in list(self.index.state.methods):
            for model in list(self.index.state.models.values()):
                self._messages.names(name).tokenizer(model)


def run_paths(given: list[Path]) -> list[Path]:
    """Return the runs that some folders are or hold.

    Raises:
        RunError: one of them neither is nor holds any.
    """
    found: list[Path] = []
    for path in given:
        inside = list(runs_below(path))
        if not inside:
            raise RunError(
                f"{path} is not a run: it has no journal.log, nor has any folder in it. Name a run folder, or make a run "
                "with `debate eval smoke --limit 4`."
            )
        found += [run for run in inside if run not in found]
    return found
