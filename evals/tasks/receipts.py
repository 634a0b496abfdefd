"""Which line of a receipt is the company, the date, the address or the total? (SROIE: Huang et al., ICDAR 2019.)

The question lists the receipt's lines that read differently, in an order that is drawn, as the page that the sample carries has
them, with their boxes: the order of the file would tell where they stand. Any line is right that states the field's value, or of
a company or an address a part of it. Whole receipts are in one split; `receipts:total` asks for that field alone.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agents.errors import ModelError, ObservationError, TaskError
from agents.models.documents.fields import FIELDS, different, plain_line
from agents.models.documents.pictures import picture_names, read_page
from agents.models.documents.receipts import archive_of, read_receipts
from agents.observation import Document
from evals.datasets.dataset_task import DatasetTask, Unusable
from evals.datasets.observed import PAGE, page_of
from evals.datasets.rows import DataRow
from evals.sample import Sample, Score
from evals.scoring.text import last_line, said
from evals.scoring.words import mentions
from evals.task import TaskInfo

CUE = "Answer:"
MOST_OPTIONS = 120
"""Different lines of a receipt; one with more is left out."""
SHORTEST = 3
"""Letters of a part of an answer, or of a line, by which one is told from the other."""


class Receipts(DatasetTask):
    """One of a receipt's lines."""

    name = "receipts"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation", "train"),
        source="SROIE by zzzDavid/ICDAR-2019-SROIE",
        licence="MIT (the carrier); the receipts' own terms not stated",
        scoring="any line that states the value",
        needs_data=True,
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the fields that may be asked for alone."""
        return FIELDS

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a receipt and a field."""
        receipt, field = row.get("receipt"), row.text("field")
        order = random.Random(f"receipts|{receipt.name}").sample(range(len(receipt.lines)), len(receipt.lines))
        page = receipt.shuffled(order)
        options = different(page.lines)
        stated = receipt.stated[field]
        stating = {plain_line(line) for line, states in zip(receipt.lines, stated, strict=True) if states}
        right = [option for option in options if plain_line(option) in stating]
        if not right:
            raise Unusable(f"no line states its {field}")
        if not 2 <= len(options) <= MOST_OPTIONS:
            raise Unusable(f"it has not 2 to {MOST_OPTIONS} lines that differ")
        listed = "\n".join(f"- {option}" for option in options)
        return Sample(
            f"receipts{'' if self.split == self.info.splits[0] else f'-{self.split}'}-{receipt.name}-{field}",
            f"Which line of this receipt is the {field}, or states it? Answer with that line.\n{listed}",
            right[0],
            options,
            {
                "receipt": receipt.name,
                "right": right,
                PAGE: page_of(page),
            },
            (page,),
        )

    def shows(self, row: DataRow) -> bool:
        """Return whether the receipt's picture is in the archive."""
        return row.get("picture") is not None

    def look(self, row: DataRow, sample: Sample) -> Sample:
        """Return a sample whose page has its picture."""
        (page,) = sample.observations
        assert isinstance(page, Document)
        try:
            picture = read_page(archive_of(self.data), row.text("picture"), row.get("receipt"))
        except (ModelError, ObservationError) as error:
            raise TaskError(str(error)) from error
        return replace(sample, observations=(replace(page, image=picture),))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the lines themselves."""
        return sample.options

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the line after the last `Answer:`, else the last line said: as an option that reads like it, or is in it.

        Of several that are in it the longest; of an answer that is no more than a part of one option, that one. A part has three
        letters.
        """
        text = said(response)
        _, cue, after = text.rpartition(CUE)
        stated = plain_line(after.strip().partition("\n")[0] if cue else last_line(text))
        if not stated:
            return None
        if not options:
            return stated
        spelled = {plain_line(said(option)) or plain_line(option): option for option in options}
        if stated in spelled:
            return spelled[stated]
        inside = [each for each in spelled if len(each) >= SHORTEST and mentions(stated, each)]
        if inside:
            return spelled[max(inside, key=len)]
        around = [each for each in spelled if len(stated) >= SHORTEST and mentions(each, stated)]
        return spelled[around[0]] if len(around) == 1 else None

    def score_sample(self, answer: str | None, sample: Sample) -> Score:
        """Return the score of a line: correct where it is one of those that state the field."""
        if answer is None:
            return Score("no answer", None, sample.target)
        right = {plain_line(each) for each in sample.metadata.get("right", ())} or {plain_line(sample.target)}
        return Score("correct" if plain_line(answer) in right else "incorrect", answer, sample.target)

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is None:
            raise TaskError("receipts has no hub source: give a folder with box_and_key.zip with --data")
        try:
            path = archive_of(self.data)
            receipts = read_receipts(self.data, split)
            pictures = picture_names(path)
        except ModelError as error:
            raise TaskError(str(error)) from error
        fields = FIELDS if self.variant is None else (self.variant,)
        random.Random(f"receipts|{self.seed}").shuffle(receipts)
        asked = [(receipt, field) for receipt in receipts for field in fields]
        return str(path), (
            DataRow(
                {"receipt": receipt, "field": field, "picture": pictures.get(receipt.name)},
                number,
                f"{path}: the {field} of receipt {receipt.name!r}",
            )
            for number, (receipt, field) in enumerate(asked, start=1)
        )
