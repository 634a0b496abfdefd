"""ARC easy and challenge (Clark et al., 2018): science questions of 3 to 5 options, and OpenBookQA (Mihaylov et al., 2018).

Rows of the hub have `choices` with text and label; files of LLM-Adapters' layout have an `instruction` that lists
`Answer1: … Answer2: …`, and `answer` as `answer3`.
"""

from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.hub import HubSource
from evals.datasets.instructions import instruction_options, numbered
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

_COMMIT = "210d026faf9955653af8916fad021475a3f00453"
_SPLITS = {"test": "test", "validation": "validation", "train": "train"}


class LabelledChoice(ChoiceTask):
    """Rows with `choices: {text, label}` and `answerKey`, or instructions."""

    most_options = 5

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row of either layout."""
        if row.has("instruction"):
            stem, options = instruction_options(row.text("instruction"))
            return self.choice(row, stem, options, numbered(row.text("answer")))
        stem = row.get("question", "question_stem")
        choices = row.values.get("choices")
        if isinstance(stem, dict):
            # CommonsenseQA's own files: the choices stand in the question, one object each.
            stem, choices = stem.get("stem", ""), stem.get("choices", [])
        if isinstance(choices, list):
            choices = {key: [choice.get(key, "") for choice in choices] for key in ("text", "label")}
        if not isinstance(choices, dict) or not {"text", "label"} <= set(choices):
            raise row.error("choices have text and label")
        answer = row.text("answerKey")
        labels = [str(label) for label in choices["label"]]
        # Some questions call their options 1, 2, 3, …
        place = labels.index(answer) if answer in labels else -1
        if place < 0:
            raise row.error(f"the answer {answer!r} is none of the options {', '.join(labels)}")
        return self.choice(row, str(stem), choices["text"], place)


class Arc(LabelledChoice):
    """Either set."""

    info = TaskInfo("choice", ("test", "validation", "train"), "allenai/ai2_arc", "CC BY-SA 4.0", "equal letters")
    shot_split = "train"


class ArcEasy(Arc):
    """The easy set: 2,376 test questions."""

    name = "arc_easy"
    files = {
        "test": ("ARC-Easy_test.json.gz", "ARC-Easy_test.json"),
        "train": ("ARC-Easy_train.json.gz", "ARC-Easy_train.json"),
    }
    hub = HubSource("allenai/ai2_arc", "ARC-Easy", _COMMIT, _SPLITS)


class ArcChallenge(Arc):
    """The challenge set: 1,172 test questions that retrieval and co-occurrence got wrong."""

    name = "arc_challenge"
    files = {
        "test": ("ARC-Challenge_test.json.gz", "ARC-Challenge_test.json"),
        "train": ("ARC-Challenge_train.json.gz", "ARC-Challenge_train.json"),
    }
    hub = HubSource("allenai/ai2_arc", "ARC-Challenge", _COMMIT, _SPLITS)


class OpenBookQA(LabelledChoice):
    """Elementary science that needs a fact beside the question: 500 test questions of four options."""

    name = "openbookqa"
    info = TaskInfo("choice", ("test", "validation", "train"), "allenai/openbookqa", "Apache-2.0", "equal letters")
    files = {"test": ("openbookqa_test.json.gz", "openbookqa_test.json")}
    shot_split = "train"
    most_options = 4
    hub = HubSource("allenai/openbookqa", "main", "388097ea7776314e93a529163e0fea805b8a6454", _SPLITS)


class CommonsenseQA(LabelledChoice):
    """Five options; the test split is published without answers, so validation is what is scored (Talmor et al., 2019)."""

    name = "commonsenseqa"
    info = TaskInfo("choice", ("validation", "train"), "tau/commonsense_qa", "MIT", "equal letters")
    files = {
        "validation": ("dev_rand_split.jsonl",),
        "train": ("train_rand_split.jsonl", "train_rand_split.jsonl.gz"),
    }
    shot_split = "train"
    hub = HubSource(
        "tau/commonsense_qa",
        None,
        "94630fe30dad47192a8546eb75f094926d47e155",
        {"validation": "validation", "train": "train"},
    )
