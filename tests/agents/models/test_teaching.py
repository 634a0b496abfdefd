"""A teacher's examples: what identifies a conjunction, said in text, heard by a learner; a debate of both, and the recipes."""

import asyncio
import json

import pytest
import torch

from agents.beliefs.belief import Belief
from agents.errors import ConfigError, RequestError
from agents.models.discrete_functions import cancer, prompted, teaching, training
from agents.models.discrete_functions.backend import DiscreteFunctions, read_examples, write_examples
from agents.models.discrete_functions.config import LearnerConfig
from agents.models.discrete_functions.families import Points, lesson, monotone, satisfies, taught
from agents.models.discrete_functions.model import Learner
from agents.models.discrete_functions.optimal import Evidence, bayes, hypotheses
from agents.models.discrete_functions.teacher import Teacher, read_clause, write_clause
from agents.models.discrete_functions.training import TAUGHT, Recipe, is_right
from agents.observation import Table, Text
from agents.question import Question
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate
from evals.task import create_task


def every_clause(dims):
    return [clause for clause in torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * dims) if clause.any()]


def learner(**options):
    torch.manual_seed(0)
    return Learner(LearnerConfig(width=16, layers=1, heads=2, **options)).eval()


# --- lessons


def test_a_lesson_fits_one_monotone_conjunction_alone_and_no_shorter_part_does():
    for clause in every_clause(5):
        said = lesson(clause)
        assert said.x.shape == (1, int(clause.sum()) + 1, 5)

        def fits(count, points=said):
            return [
                other
                for other in every_clause(5)
                if torch.equal(satisfies(points.x[0, :count], other).float() * 2 - 1, points.y[0, :count])
            ]

        (only,) = fits(said.x.shape[1])
        assert torch.equal(only, clause)
        # The clause of all variables is known by its positive example and one fewer: no other has so many literals.
        assert len(fits(said.x.shape[1] - 1)) > 1 or int(clause.sum()) == 1


def test_a_taught_functions_first_points_are_its_lesson():
    points, lengths = taught(30, 12, 6, torch.Generator().manual_seed(0))
    for b in range(30):
        count = int(lengths[b])
        clause = (points.x[b, 0] > 0).float()
        want = lesson(clause)
        assert torch.equal(points.x[b, :count], want.x[0])
        assert torch.equal(points.y[b, :count], want.y[0])


def test_monotone_conjunctions_have_their_clauses_labels():
    clause, points = monotone(2000, 9, 6, torch.Generator().manual_seed(0))
    assert set(clause.unique().tolist()) == {0.0, 1.0}
    for b in range(50):
        assert torch.equal(satisfies(points.x[b], clause[b]).float() * 2 - 1, points.y[b])
    # Four in ten are forced, and of the others as many as satisfy it by chance.
    chance = float((0.5 ** clause.sum(-1)).mean())
    assert float((points.y > 0).float().mean()) == pytest.approx(0.4 + 0.6 * chance, abs=0.02)


# --- in words


def test_examples_and_clauses_are_read_as_they_were_written():
    _, points = monotone(1, 7, 8, torch.Generator().manual_seed(0))
    text = write_examples(points)
    assert text.startswith("Input: ")
    found = read_examples(f"Well:\n{text}\nInput: 0 1\nWhat is its label?")
    assert [x for x, _ in found] == points.x[0].tolist()
    assert [label for _, label in found] == ["01"[int(y > 0)] for y in points.y[0].tolist()]
    assert read_examples("Answer: 1") == []
    for clause in every_clause(4):
        assert torch.equal(read_clause(write_clause(clause)), clause)
    for text in ("x5 of 4", "x0 of 4", "x2 or x3 of 4", ""):
        with pytest.raises(RequestError, match="a teacher is told a function as in 'x2 and x5 of 8'"):
            read_clause(text)


def case(text="x2 and x5 of 6", rows=4):
    x = torch.cat([torch.ones(rows, 6), -torch.ones(1, 6)])
    return Question("case", "?", (Table(x, tuple("abcdef"), ("1",) * rows), Text(text)))


def test_a_teacher_says_examples_and_not_the_answer():
    (belief,) = Teacher().believe([case()])
    assert belief.probabilities == (1.0, 0.0)
    told = read_examples(belief.grounds)
    assert [label for _, label in told] == ["1", "0", "0"]
    assert told[0][0] == [-1, 1, -1, -1, 1, -1]
    (random,) = Teacher("random").believe([case()])
    again, other = Teacher("random").believe([case(), Question("x", "another", case().observations)])
    assert len(read_examples(random.grounds)) == 3
    assert random == again
    assert random.grounds != other.grounds
    for x, label in read_examples(random.grounds):
        assert label == "01"[int(x[1] > 0 and x[4] > 0)]
    with pytest.raises(ConfigError, match="sends is lesson or random; got 'all'"):
        Teacher("all")
    with pytest.raises(RequestError, match="asked about a table of 7 values"):
        Teacher().believe([case("x2 of 7")])
    with pytest.raises(ConfigError, match="has no checkpoint"):
        Teacher.from_pretrained("somewhere")


def test_a_learner_hears_examples_before_its_own_and_drops_those_that_do_not_fit():
    network = learner(dims=6, points=8)
    hears = DiscreteFunctions(learner=network, hears=True, share=(0, 2))
    asked, said = case(rows=12), write_examples(lesson(read_clause("x2 and x5 of 6")))
    whole = hears.hearing(asked, ["No answer.", said])
    table = whole.observation("table")
    # Three heard, four of six own, and the one that is asked for.
    assert table.values.shape == (8, 6)
    assert table.labels == ("1", "0", "0", "1", "1", "1", "1")
    assert whole.observation("text") is asked.observation("text")
    (found,) = hears.believe([whole])
    with torch.inference_mode():
        y = torch.tensor([[1.0, -1, -1, 1, 1, 1, 1, 0]])
        want = float(torch.sigmoid(network(table.values[None], y)[0, -1]))
    assert found.probabilities[1] == pytest.approx(want, abs=1e-6)
    assert hears.hearing(asked, ["Answer: 1"]) is asked
    assert DiscreteFunctions(learner=network).hearing(asked, [said]) is asked
    exact = DiscreteFunctions("bayes", hears=True, share=(0, 2))
    assert len(exact.hearing(asked, [said]).observation("table").labels) == 9
    with pytest.raises(RequestError, match="told an example of 2 values; the table has 6"):
        hears.hearing(asked, ["Input: 0 1\nLabel: 1"])


def test_what_a_learner_hears_is_kept_with_it(tmp_path):
    DiscreteFunctions(learner=learner(), hears=True).save_pretrained(tmp_path)
    assert DiscreteFunctions.from_pretrained(str(tmp_path)).hears
    # Another rule in place of the network that lies there.
    assert DiscreteFunctions.from_pretrained(str(tmp_path), rule="elimination").learner is None


# --- the debate


def test_a_teachers_examples_are_said_in_text_and_learned_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = "runs/discrete_functions/conjunction-taught_conjunction-0"
    DiscreteFunctions(learner=learner()).save_pretrained(tmp_path / checkpoint)
    config = load_config(configs_folder() / "specialists" / "functions_taught.yaml")
    asyncio.run(evaluate(config, out=tmp_path / "run", limit=3, methods=["lesson", "random", "elimination"]))
    samples = create_task("discrete_functions:monotone_conjunction").samples(3)
    for method in ("lesson", "random"):
        path = tmp_path / "run" / method / "transcript.jsonl"
        turns = [line for line in map(json.loads, path.read_text().splitlines()) if line["kind"] == "turn"]
        said = [line["text"] for line in turns if line["agent"] == "tess"]
        assert all(text.startswith("Input: ") and "Answer" not in text for text in said)
        clauses = [read_clause(sample.observation.text) for sample in _clauses(samples)]
        assert sorted({len(read_examples(text)) for text in said}) == sorted({int(each.sum()) + 1 for each in clauses})


def _clauses(samples):
    return [type("Told", (), {"observation": sample.observations[1]}) for sample in samples]


# --- recipes


def test_the_recipes_make_their_claims(tmp_path, monkeypatch):
    tiny = Recipe(steps=2, batch=4, warmup=1)
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    monkeypatch.setattr(training, "FRESH", 40)
    assert {claim.text for claim in teaching.claims(tmp_path, seeds=1)} == set(teaching.ASKED)
    assert (tmp_path / f"conjunction-{TAUGHT}-0" / "model.safetensors").is_file()
    pytest.importorskip("sklearn")
    monkeypatch.setattr(cancer, "RECIPE", tiny)
    monkeypatch.setattr(cancer, "CONTEXTS", 4)
    assert {claim.text for claim in cancer.claims(tmp_path, seeds=1)} == set(cancer.ASKED)


def test_rows_of_the_table_are_above_their_medians_or_not():
    datasets = pytest.importorskip("sklearn.datasets")
    points = cancer.rows(6, 41, seed=0)
    assert points.x.shape == (6, 41, 10)
    assert set(points.x.unique().tolist()) == {-1.0, 1.0}
    bunch = datasets.load_breast_cancer()
    benign = float((points.y > 0).float().mean())
    assert benign == pytest.approx(float(bunch.target.mean()), abs=0.15)
    # Large tumours are malignant: the first feature, the radius, tells most of them.
    assert float((points.x[..., 0] == -points.y).float().mean()) > 0.75


def test_answers_are_read_at_every_label_of_one_prompt():
    """A tokenizer of single characters and a model that says what the last label was: the answer at each is the one before."""

    class Characters:
        def __call__(self, text, *, add_special_tokens, return_offsets_mapping=False):
            made = {"input_ids": [ord(c) for c in text]}
            return made | ({"offset_mapping": [(i, i + 1) for i in range(len(text))]} if return_offsets_mapping else {})

    class Repeats:
        def __call__(self, input_ids):
            logits, last = torch.zeros(1, input_ids.shape[1], 128), ord("0")
            text = "".join(chr(i) for i in input_ids[0].tolist())
            for place, character in enumerate(text):
                if text[:place].endswith("Label: "):
                    last = ord(character)
                logits[0, place, last] = 1.0
            return type("Said", (), {"logits": logits})

    _, points = monotone(1, 9, 5, torch.Generator().manual_seed(3))
    truth = [bool(y > 0) for y in points.y[0].tolist()]
    assert True in truth[:-1]
    assert prompted.answers(Repeats(), Characters(), points) == [False, *truth[:-1]]


def test_a_pupils_answers_are_right_by_label():
    network = learner(dims=4, points=6)
    points = Points(torch.ones(2, 6, 4), torch.ones(2, 6))
    with torch.inference_mode():
        want = (network(points.x, points.y) > 0).float()
    assert torch.equal(is_right(network, points), want)


def test_grounds_are_said_alone_and_only_by_belief_backends(tmp_path):
    from agents.models.in_context.messages import verbaliser

    belief = Belief(("0", "1"), (0.2, 0.8), grounds="Input: 0\nLabel: 1")
    say = {"sender": "x", "temperature": 1.0, "encoder": None}
    assert verbaliser().say(belief, words="grounds", **say).text == "Input: 0\nLabel: 1"
    assert verbaliser().say(Belief(("0", "1"), (0.2, 0.8)), words="grounds", **say).text == "No answer."


def test_the_exact_belief_of_monotone_conjunctions_is_bayes_rule_over_all_of_them():
    """Written out: prior, how inputs are drawn, labels; after a lesson it is certain."""
    clause, points = monotone(12, 6, 4, torch.Generator().manual_seed(5))
    for b in range(12):
        weights, right = [], []
        for other in every_clause(4):
            size = int(other.sum())
            weight = 0.3**size * 0.7 ** (4 - size) + (0.7**4 / 4 if size == 1 else 0.0)
            for k, (x, y) in enumerate(zip(points.x[b], points.y[b], strict=True)):
                holds = bool(satisfies(x, other))
                drawn = 0.6 / 16 + (0.4 / 2 ** (4 - size) if holds else 0.0)
                weight *= drawn * (k == 5 or holds == bool(y > 0))
            weights.append(weight)
            right.append(bool(satisfies(points.x[b, 5], other)))
        want = sum(w for w, holds in zip(weights, right, strict=True) if holds) / sum(weights)
        assert bayes(Evidence(points.x[b, :5], points.y[b, :5]), points.x[b, 5], monotone=True) == pytest.approx(want)
        told = lesson(clause[b])
        for x, y in zip(points.x[b], points.y[b], strict=True):
            assert bayes(Evidence(told.x[0], told.y[0]), x, monotone=True) == pytest.approx(float(y > 0))
    assert hypotheses(4, True)[1].exp().sum() == pytest.approx(1)
