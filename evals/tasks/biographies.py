"""Biographies (Du et al., 2023): bullet points on a computer scientist, against facts that are known.

The paper asks a language model whether each fact is consistent with what was said. Here a *string criterion* stands in:
a fact is covered where at least half of its key terms (numbers, and words in capitals that are not the person's name)
stand in the response; `credit` is the share of facts that are covered, `correct` is a credit of at least one half. It sees
what is mentioned, not what is true: figures are not those of the paper. Facts without a key term are not counted.
"""

import re
from collections.abc import Sequence

from evals.datasets.dataset_task import DatasetTask, Unusable
from evals.datasets.rows import DataRow
from evals.sample import Sample, Score
from evals.scoring.thinking import spoken
from evals.task import TaskInfo

COVERED = 0.5
_TERM = re.compile(r"\b(?:[A-Z][\w'’-]+|\d[\d,.]*\d|\d)")
# Words that a sentence begins with, in capitals for that reason alone.
_BEGINNINGS = frozenset(
    "he she they his her their it its the a an in on at as and from of for with after before since during both this these".split()
)


class Biographies(DatasetTask):
    """Bullet points on a person."""

    name = "biographies"
    info = TaskInfo(
        kind="text",
        splits=("test",),
        source="composable-models/llm_multiagent_debate",
        licence="none stated; text from Wikipedia (CC BY-SA)",
        scoring="share of facts whose key terms are mentioned; correct from one half",
        needs_data=True,
    )
    files = {"test": ("article.json",)}

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a person; the target is the facts, a line each."""
        person, facts = row.text("key"), row.text("value")
        lines = [line.strip().lstrip("-*• ").strip() for line in facts.split("\n")]
        target = "\n".join(line for line in lines if line)
        if not any(_terms(fact, person) for fact in target.split("\n")):
            raise Unusable("none of its facts has a key term")
        question = (
            f"Give a bullet point biography of {person} highlighting their contributions and achievements as a "
            "computer scientist, with each fact separated with a new line character."
        )
        return Sample(self.sample_id(row), question, f"{person}\n{target}", metadata={"person": person})

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the response itself, without what is thought aloud: there is no shorter answer."""
        return spoken(response).strip() or None

    def score(self, answer: str | None, target: str) -> Score:
        """Return the score by the string criterion."""
        if answer is None:
            return Score("no answer", None, target)
        person, *facts = target.split("\n")
        said = {term.lower() for term in re.findall(r"[\w'’-]+|\d[\d,.]*\d", answer)}
        wanted = [terms for fact in facts if (terms := _terms(fact, person))]
        covered = sum(sum(term in said for term in terms) >= COVERED * len(terms) for terms in wanted)
        credit = covered / len(wanted) if wanted else 0.0
        reason = f"{covered} of {len(wanted)} facts mentioned"
        return Score("correct" if credit >= COVERED else "incorrect", answer, target, credit, reason)


def _terms(fact: str, person: str) -> set[str]:
    """Return the key terms of a fact, in lower case."""
    name = {word.lower() for word in re.findall(r"[\w'’-]+", person)}
    return {term.lower() for term in _TERM.findall(fact)} - name - _BEGINNINGS
