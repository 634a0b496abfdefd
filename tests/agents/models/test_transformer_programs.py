"""A program is its model: on every input, as tables and as emitted Python; and each part is what the paper says."""

import itertools
import math
import runpy
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.small_data import trec
from support.small_text_models import small_program

from agents.errors import ConfigError, ModelError
from agents.models.seeded import seeded
from agents.models.transformer_programs import training
from agents.models.transformer_programs.backend import SOURCE, TransformerPrograms
from agents.models.transformer_programs.config import BOS, EOS, PAD, UNKNOWN, ProgramConfig, split
from agents.models.transformer_programs.emit import python_source
from agents.models.transformer_programs.model import Choice, Counting, Selecting, SoftProgram, choose, closeness
from agents.models.transformer_programs.program import harden, select_closest
from agents.models.transformer_programs.training import (
    GLOVE,
    PUBLISHED,
    Questions,
    Recipe,
    accuracy,
    numbered,
    published_config,
    read_trec,
    start_from_vectors,
    train,
    vocabulary,
)
from agents.question import Question

LETTERS = "abc"
CONFIG = ProgramConfig(
    (PAD, BOS, UNKNOWN, *LETTERS),
    ("yes", "no", "perhaps"),
    values=5,
    embeddings=2,
    layers=2,
    categorical_heads=3,
    counting_heads=2,
    categorical_tables=2,
    counting_tables=2,
    hidden=8,
)


def made(seed, config=CONFIG):
    torch.manual_seed(seed)
    return SoftProgram(config).eval()


def every_text(longest=4):
    """Every text of up to so many words."""
    return [list(words) for n in range(1, longest + 1) for words in itertools.product([UNKNOWN, *LETTERS], repeat=n)]


SUMMING = replace(CONFIG, words=(PAD, BOS, UNKNOWN, *LETTERS, EOS), values=6, sums=True, pooled=7, ended=True)


@pytest.mark.parametrize(("seed", "config"), [*((seed, CONFIG) for seed in range(6)), (0, SUMMING), (1, SUMMING)])
def test_program_source_and_model_agree_on_every_input(seed, config, tmp_path):
    model = made(seed, config)
    program = harden(model)
    path = tmp_path / "program.py"
    path.write_text(python_source(program))
    run = runpy.run_path(str(path))["run"]
    places = {word: place for place, word in enumerate(config.words)}
    texts = [[BOS, *text, *([EOS] if config.ended else [])] for text in every_text()]
    rows = torch.tensor([[places[w] for w in text] + [0] * (config.values - len(text)) for text in texts])
    with torch.inference_mode():
        scores = model(rows)
    assert len(texts) == 4 + 16 + 64 + 256
    for text, want in zip(texts, scores, strict=True):
        found = program.label_scores(text)
        assert found == pytest.approx(want.tolist(), abs=1e-5)
        assert list(run(text).values()) == pytest.approx(found, abs=1e-12)
        assert list(run(text)) == list(CONFIG.labels)


@torch.inference_mode()
def test_the_scores_are_those_of_the_published_code():
    """Of github princeton-nlp/TransformerPrograms @ 59970de (src/models/programs.py, argmax, pool_outputs, numerical heads that
    choose what they add up), on the same weights in float64; texts are filled up to six positions."""
    model = waved(SoftProgram(replace(SUMMING, words=(PAD, BOS, UNKNOWN, EOS, *LETTERS), pooled=6)).double().eval())
    want = [
        [0.68743044, 0.27957828, -0.47414025],
        [7.24644207, -2.09892413, -2.87197859],
        [0.20879137, 1.64412363, -1.83384167],
    ]
    found = model(torch.tensor([[1, 4, 3, 0, 0, 0], [1, 6, 5, 4, 4, 3], [1, 5, 5, 2, 3, 0]]))
    assert torch.allclose(found, torch.tensor(want, dtype=torch.float64), atol=1e-7)


def waved(model):
    """Set a model's weights to sines of their places."""
    for number, parameter in enumerate(model.parameters()):
        places = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = torch.sin(1.7 * places**1.1 + number).reshape(parameter.shape)
    return model


def test_counting_heads_add_up_what_they_choose():
    heads = harden(made(0, SUMMING)).layers[1].counting
    assert {head.value for head in heads} <= {"one", "count_0_0", "count_0_1"}
    # The model above has both kinds, or the comparison would show nothing of it.
    assert len({head.value for seed in range(4) for head in harden(made(seed, SUMMING)).layers[1].counting}) > 1
    assert [head.value for head in harden(made(0)).layers[1].counting] == ["", ""]


def test_a_model_of_one_block_without_counts_is_a_program_too():
    config = replace(CONFIG, layers=1, counting_heads=0, counting_tables=0)
    model, program = made(1, config), harden(made(1, config))
    with torch.inference_mode():
        want = model(torch.tensor([[1, 3, 4, 5]]))[0]
    assert program.label_scores([BOS, "a", "b", "c"]) == pytest.approx(want.tolist(), abs=1e-5)


def test_the_closest_match_is_selected_left_before_right_itself_last():
    bias = closeness(7, 7)
    for query in range(7):
        order = sorted(range(7), key=lambda j: -float(bias[query, j]))
        assert order == [*sorted((j for j in range(7) if j != query), key=lambda j: (abs(j - query), j > query)), query]
    # Value 1 looks for 1; 0 looks for 2, which nobody has.
    assert select_closest([1, 0, 1, 1, 0], [1, 0, 1, 1, 0], (2, 1)) == [2, 0, 3, 2, 0]
    assert select_closest([0, 1], [0, 1], (0, 1)) == [0, 1]


def hard_inputs(seed, positions=6, values=4, variables=2):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, values, (positions, variables), generator=generator)
    return ids, torch.nn.functional.one_hot(ids, values).double()[None]


@pytest.mark.parametrize("seed", range(4))
def test_hard_heads_are_their_definition_in_float64(seed):
    ids, categorical = hard_inputs(seed)
    torch.manual_seed(seed)
    selecting, counting = Selecting(3, 2, 4).double().eval(), Counting(3, 2, 4).double().eval()
    there = torch.tensor([[True] * 5 + [False]])
    found, counts = selecting(categorical, there, 1.0)[0], counting(categorical, torch.ones(1, 6, 1), there, 1.0)[0]
    for head in range(3):
        for heads, kind in ((selecting, "select"), (counting, "count")):
            query, key = ids[:, int(heads.query.chosen[head])], ids[:, int(heads.key.chosen[head])]
            predicate = heads.predicate.chosen[head]
            for i in range(5):
                matches = [j for j in range(5) if key[j] == predicate[query[i]]]
                if kind == "count":
                    assert float(counts[i, head]) == len(matches)
                    continue
                others = sorted((j for j in matches if j != i), key=lambda j: (abs(j - i), j > i))
                chosen = others[0] if others else (i if matches else 0)
                value = ids[chosen, int(selecting.value.chosen[head])]
                assert torch.equal(found[i, head], torch.nn.functional.one_hot(value, 4).double())


def test_soft_choices_become_hard_as_the_temperature_falls():
    scores = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    warm, cold = (choose(scores, temperature, is_training=True) for temperature in (3.0, 0.01))
    assert torch.allclose(warm.sum(-1), torch.ones(2000))
    assert float(warm.max(-1).values.mean()) < 0.6
    assert float(cold.max(-1).values.mean()) > 0.99
    # What is sampled cold is distributed as softmax of the scores (Jang et al., 2017).
    one = torch.tensor([2.0, 1.0, 0.0]).expand(20_000, -1)
    shares = choose(one, 0.01, is_training=True).argmax(-1).bincount(minlength=3) / 20_000
    assert shares.tolist() == pytest.approx(torch.softmax(one[0], 0).tolist(), abs=0.015)
    assert torch.equal(choose(scores, 3.0, is_training=False).argmax(-1), scores.argmax(-1))


def test_training_is_random_and_evaluation_is_not():
    model = made(0)
    words = torch.tensor([[1, 3, 4]])
    assert torch.equal(model(words), model(words))
    model.train().temperature = 1.0
    assert not torch.equal(model(words), model(words))


def test_padding_changes_nothing():
    model = made(2)
    with torch.inference_mode():
        alone = model(torch.tensor([[1, 3, 4]]))
        padded = model(torch.tensor([[1, 3, 4, 0, 0], [1, 5, 5, 5, 5]]))
    assert torch.allclose(alone[0], padded[0], atol=1e-6)


def test_what_is_given_as_reasons_is_the_whole_score():
    program = harden(made(3))
    words = [BOS, "a", "c", "b"]
    values, counts = program.run(words)
    everything = program.reasons(words, 1, count=10_000)
    assert len(everything) == (len(values) + len(counts)) * len(words)
    total = sum(added[1] for _, _, _, added in program._added(words)) / len(words)
    assert total == pytest.approx(program.label_scores(words)[1])
    assert everything[0].count("(+") == 1


def test_texts_are_read_as_words_and_unknown_ones_are_known_to_be():
    assert split("What's an   A?") == ["what", "'", "s", "an", "a", "?"]
    program = harden(made(0))
    assert program.words("A zebra, b!") == [BOS, "a", UNKNOWN, UNKNOWN, "b"]
    assert len(program.words("a " * 50)) == CONFIG.values


def test_a_belief_is_the_softmax_of_scores_and_says_why(tmp_path):
    small_program(tmp_path)
    backend = TransformerPrograms.from_pretrained(str(tmp_path))
    (belief,) = backend.believe([Question("case", "a b?")])
    scores = torch.tensor(backend.program.label_scores(backend.program.words("a b?")), dtype=torch.float64)
    assert belief.probabilities == pytest.approx(torch.softmax(scores / 0.5, 0).tolist(), abs=1e-9)
    assert belief.grounds.count(" is ") == 3
    assert (tmp_path / SOURCE).read_text().startswith('"""A transformer program: person, place.')


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: TransformerPrograms.from_pretrained(), ModelError, "ships no program: give checkpoint"),
        (lambda: TransformerPrograms.from_pretrained("/nowhere"), ModelError, "/nowhere/program.json is no program"),
        (lambda: ProgramConfig(("a",), ("x",)), ConfigError, "the first words are"),
        (lambda: replace(CONFIG, ended=True), ConfigError, "whose texts end with </s> knows that word"),
        (lambda: replace(CONFIG, pooled=-1), ConfigError, "pooled is at least 0; got -1"),
        (lambda: replace(CONFIG, values=32, sums=True), ConfigError, "reach 1,024 in layer 2. Take counting_tables: 0"),
        (lambda: read_trec(None, "train"), ModelError, "give --data with nltk_data's"),
    ],
)
def test_mistakes_are_sentences(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_training_finds_a_program_for_what_one_word_decides():
    """Whether an `a` is there; the seed alone decides the weights, and they are judged with every choice hard."""
    generator = torch.Generator().manual_seed(0)
    config = replace(CONFIG, labels=("no", "yes"), layers=1, categorical_tables=1, counting_tables=1)
    words = torch.cat([torch.ones(900, 1, dtype=torch.int64), torch.randint(2, 6, (900, 4), generator=generator)], 1)
    questions = Questions(words, (words == 3).any(1).long())
    recipe = Recipe(epochs=24, batch=100)
    found = []
    for before in range(2):
        # Whatever torch's own generator was at, the noise of the choices is the seed's.
        torch.manual_seed(before)
        model = train(seeded(lambda: SoftProgram(config), 0), questions, recipe, seed=0)
        found.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert accuracy(model, questions) > 0.9


def test_words_that_occur_twice_are_known():
    pairs = [("person", "Who is she?"), ("place", "Where is it?")]
    words = vocabulary(pairs)
    assert words == (PAD, BOS, UNKNOWN, "?", "is")
    config = ProgramConfig(words, ("person", "place"), values=4)
    rows = numbered(pairs, config)
    assert rows.words.tolist() == [[1, 2, 4, 2], [1, 2, 4, 2]]
    assert rows.labels.tolist() == [0, 1]
    assert isinstance(Choice(2, 3).chosen, torch.Tensor)
    assert math.isfinite(float(closeness(3, 3).sum()))


def test_the_published_recipe_reads_cased_words_and_begins_at_published_vectors(cli, tmp_path, monkeypatch):
    pairs = read_trec(trec(tmp_path), "train")
    config = published_config(pairs)
    assert (config.values, config.embeddings, config.layers, config.counting_heads, config.hidden) == (64, 4, 2, 0, 64)
    assert {"yes", "Yes", EOS} <= set(config.words)
    assert config.pooled == 8
    assert config.read("Yes , he") == [BOS, "Yes", UNKNOWN, "he", EOS]
    (tmp_path / GLOVE).write_text("he 1.0 2.0 3.0\nYes 0.5 0.0 -1.0\nzebra 1 1 1\n", encoding="utf-8")
    model = SoftProgram(config)
    assert start_from_vectors(model, tmp_path / GLOVE, seed=0) == 2
    projection = torch.from_numpy(np.random.RandomState(0).normal(0.0, 256**-0.5, (256, 3))).float()
    found = model.embedding.scores[config.words.index("he")].flatten()
    assert torch.allclose(found, projection @ torch.tensor([1.0, 2.0, 3.0]), atol=1e-6)
    (tmp_path / "empty.txt").write_text("zebra 1 1 1\n")
    with pytest.raises(ModelError, match="no vectors of one length for the words of the questions"):
        start_from_vectors(model, tmp_path / "empty.txt", seed=0)
    monkeypatch.setattr(training, "PUBLISHED", replace(PUBLISHED, epochs=2))
    monkeypatch.setattr(training, "VALIDATION", 100)
    code, out, err = cli(
        "train", "transformer_programs", "--published", "--data", tmp_path, "--out", tmp_path / "o", "--seeds", 1
    )
    assert code == 0
    assert "above the commonest kind" in " ".join(out.split())
    assert "2 of" in out + err
    assert TransformerPrograms.from_pretrained(str(tmp_path / "o" / "published-trec-0")).program.config == config


def test_the_published_temperature_falls_from_epoch_to_epoch_and_stays():
    found = [PUBLISHED.temperature(step, 5) for step in range(50)]
    assert found[0] == pytest.approx(3.0)
    # The end of an epoch is the beginning of the next one; the last epoch is cold throughout.
    assert found[4] == pytest.approx(found[5])
    assert found[5] == pytest.approx(3.0 * (0.01 / 3.0) ** (1 / 9))
    assert found[45:] == pytest.approx([0.01] * 5)
    evenly = [Recipe(epochs=2).temperature(step, 5) for step in range(10)]
    assert [b / a for a, b in itertools.pairwise(evenly)] == pytest.approx([(0.01 / 3.0) ** (1 / 9)] * 9)
