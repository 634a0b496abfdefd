"""What the transformers engine makes of a model: a line of a table for people."""

from dataclasses import dataclass
from pathlib import Path

from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.proof import APART
from agents.errors import DebateError
from agents.pretrained import Progress, locate

ROWS = 16
WAYS = {"by_row": "row by row", "masked": "in one batch", "single": "one at a time"}
COLUMNS = ("model", "decoded", "batch invariant", "window", "notes")


@dataclass(frozen=True)
class Line:
    """One model.

    Attributes:
        model: its name, the last part of a path.
        decoded: how; `refused` if not at all.
        invariant: whether a message has the same bytes whatever shares its batch, on the CPU.
        windows: positions after which layers forget, by the config.
        notes: why it is not decoded in the fastest way; or why it is refused.
    """

    model: str
    decoded: str
    invariant: bool
    windows: tuple[int, ...] = ()
    notes: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line's cells, in the order of COLUMNS."""
        invariant = "" if self.decoded == "refused" else "yes" if self.invariant else "no"
        return self.model, self.decoded, invariant, ", ".join(map(str, self.windows)), self.notes


def survey(model: str, *, dtype: str = "float32", progress: Progress = lambda _: None) -> Line:
    """Return the line of a model; one that is refused has the reason in its notes."""
    name = Path(model).name
    try:
        folder = locate(model, progress=progress)
        loaded = LoadedModel(folder, name=name, dtype=dtype, device="cpu", rows=ROWS, insist=False)
    except DebateError as error:
        reason = str(error).rpartition("cannot be decoded: ")[2].removeprefix(f"{name} ")
        return Line(name, "refused", invariant=False, notes=reason)
    return line_of(loaded)


def line_of(loaded: LoadedModel) -> Line:
    """Return the line of a model that is loaded, with rows to pad to."""
    verdict = loaded.verdict
    notes = []
    if verdict.beyond:
        notes.append(f"held to {verdict.context} positions: after them {verdict.beyond}")
    if verdict.way == "single":
        notes.append(APART)
    elif verdict.variant:
        notes.append(verdict.variant)
    if verdict.switch is not None:
        notes.append(f"a text that grows past {verdict.switch} positions is read anew, by other rotary scales")
    return Line(loaded.name, WAYS[verdict.way], loaded.rows is not None, verdict.windows, "; ".join(notes))
