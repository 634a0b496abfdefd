"""KaLM-Embedding-V2: its equations against float64 written out, its mask, its checkpoints, its recipe."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.small_text_models import small_kalm

from agents.beliefs.cards import create_belief_backend
from agents.errors import ConfigError, ModelError, RequestError, UnknownName
from agents.models.kalm import training
from agents.models.kalm.backend import KaLM
from agents.models.kalm.losses import (
    PUBLISHED_TEMPERATURE,
    PUBLISHED_WEIGHTS,
    Loss,
    focal,
    mixed_list,
    mixed_pairs,
    soup,
)
from agents.models.kalm.model import Reading
from agents.models.sentences.batch import batch, last_pooled, mean_pooled
from agents.models.sentences.contrastive import best_temperature, candidate_logits, cosent, info_nce, prefix
from agents.models.sentences.corpora import AnswerSet, ScoredPair
from agents.observation import Audio, Text
from agents.question import Question


def vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@pytest.fixture
def kalm(tmp_path):
    return KaLM.from_pretrained(small_kalm(tmp_path / "kalm")["checkpoint"])


def by_hand(q, p, n, groups, temperature):
    """-log p of each query's positive, in plain floats."""
    found = []
    for i in range(len(q)):
        others = [j for j in range(len(q)) if j == i or groups[j] != groups[i]]
        scores = [float(q[i] @ p[j]) / temperature for j in others] + [float(q[i] @ row) / temperature for row in n]
        found.append(math.log(math.fsum(map(math.exp, scores))) - float(q[i] @ p[i]) / temperature)
    return found


def test_info_nce_leaves_out_another_positive_of_the_same_question():
    q, p, n, groups = vectors(4, 6), vectors(4, 6, seed=1), vectors(3, 6, seed=2), torch.tensor([0, 1, 0, 2])
    logits = candidate_logits(q, p, n, temperature=0.2, groups=groups)
    assert info_nce(logits).tolist() == pytest.approx(by_hand(q, p, n, groups.tolist(), 0.2), abs=1e-12)
    assert math.isinf(float(logits[0, 2]))
    assert float(info_nce(logits)[0]) < by_hand(q, p, n, [0, 1, 2, 3], 0.2)[0]


def test_the_focal_weight_is_a_number_and_not_learned_through():
    logits = torch.randn(5, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    each = info_nce(logits).detach()
    shares = [1 - math.exp(-float(loss)) for loss in each]
    want = sum(share**0.5 * float(loss) for share, loss in zip(shares, each, strict=True)) / 5
    assert float(focal(logits.detach(), 0.5)) == pytest.approx(want, abs=1e-12)
    (got,) = torch.autograd.grad(focal(logits, 0.5), logits)
    weights = torch.tensor(shares, dtype=torch.float64) ** 0.5
    (constant,) = torch.autograd.grad((weights * info_nce(logits)).mean(), logits)
    torch.testing.assert_close(got, constant)
    assert float(focal(logits.detach(), 0.0)) == pytest.approx(float(each.mean()))


def test_mixed_negatives_are_of_unit_length_and_between_hard_negatives_only():
    q, n = vectors(3, 5), vectors(3, 4, 5, seed=1)
    pairs = mixed_pairs(n, torch.Generator().manual_seed(0))
    shares = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).double()
    for i in range(3):
        for m in range(4):
            mixed = shares[i, m] * n[i, m] + (1 - shares[i, m]) * n[i, m - 1]
            torch.testing.assert_close(pairs[i, m], mixed / mixed.norm())
        weights = torch.tensor([math.exp(float(q[i] @ n[i, m]) / 0.1) for m in range(4)], dtype=torch.float64)
        listed = sum(weights[m] / weights.sum() * n[i, m] for m in range(4))
        torch.testing.assert_close(mixed_list(q, n, 0.1)[i], listed / listed.norm())


def test_the_loss_is_a_sum_over_prefixes_of_unit_length():
    q, p, n, groups = vectors(4, 8), vectors(4, 8, seed=1), vectors(4, 2, 8, seed=2), torch.arange(4)
    found = Loss((8, 3), gamma=0.0, mixing=False)(q, p, n, groups, torch.Generator())
    want = 0.0
    for dim in (8, 3):
        cut = [v[..., :dim] / v[..., :dim].norm(dim=-1, keepdim=True) for v in (q, p, n)]
        want += sum(by_hand(cut[0], cut[1], cut[2].flatten(0, 1), [0, 1, 2, 3], 0.05)) / 4
    assert float(found) == pytest.approx(want, abs=1e-10)
    torch.testing.assert_close(prefix(q, 3).norm(dim=-1), torch.ones(4, dtype=torch.float64))
    mixing = Loss((8, 3))(q, p, n, groups, torch.Generator().manual_seed(0))
    assert float(mixing) != float(found)


def test_cosent_counts_each_pair_of_pairs_in_the_wrong_order():
    a, b, scores = vectors(4, 5), vectors(4, 5, seed=1), torch.tensor([1.0, 3.0, 3.0, 5.0])
    cos = [float(a[i] @ b[i]) for i in range(4)]
    total = 1 + sum(math.exp(20 * (cos[j] - cos[i])) for i in range(4) for j in range(4) if scores[i] > scores[j])
    assert float(cosent(a, b, scores)) == pytest.approx(math.log(total), abs=1e-10)


def test_a_soup_is_the_mean_of_weights():
    made = soup([{"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 6.0])}])
    assert made["w"].tolist() == [2.0, 4.0]
    with pytest.raises(ConfigError, match="same names"):
        soup([{"w": torch.ones(1)}, {"v": torch.ones(1)}])


def test_pooling_never_sees_padding():
    states, there = torch.randn(2, 4, 3), torch.tensor([[True, True, False, False], [True] * 4])
    torch.testing.assert_close(mean_pooled(states, there)[0], states[0, :2].mean(0))
    torch.testing.assert_close(last_pooled(states, there), torch.stack([states[0, 1], states[1, 3]]))


def test_every_position_sees_every_other_and_no_padding(kalm):
    encoder, tokenizer = kalm.questions.encoder, kalm.questions.tokenizer
    (one, there), (other, _) = (batch(tokenizer, [text], 20) for text in ("the dog barks", "the dog sleeps"))
    both = torch.inference_mode()
    with both:
        before, after = (encoder.states(tokens, there)[0, 0] for tokens in (one, other))
        encoder.reading = Reading(bidirectional=False)
        causal_before, causal_after = (encoder.states(tokens, there)[0, 0] for tokens in (one, other))
        encoder.reading = Reading()
        padded = encoder(*batch(tokenizer, ["the dog barks", "a much longer text about a cat that sleeps"], 20))[0]
        alone = encoder(one, there)[0]
    assert not torch.equal(before, after)
    assert torch.equal(causal_before, causal_after)
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


def test_padding_goes_to_the_right_of_tokenizers_that_put_it_left(kalm):
    kalm.questions.tokenizer.padding_side = "left"
    _, there = batch(kalm.questions.tokenizer, ["dog", "the cat sleeps"], 20)
    assert there[0].tolist()[0]
    assert not there[0].tolist()[-1]


def test_the_belief_is_the_softmax_of_cosines_of_prefixes(tmp_path):
    backend = create_belief_backend("kalm", **small_kalm(tmp_path), dim=4, temperature=0.3, instruction="Query: ")
    case = Question("case", "what barks?", labels=("A", "B"), options=("the dog", "a cat"))
    (belief,) = backend.believe([case])
    (question,) = backend.questions.embed([Text("what barks?")]).double()
    options = backend.texts.embed([Text("the dog"), Text("a cat")]).double()
    assert options.shape == (2, 4)
    assert belief.probabilities == pytest.approx(torch.softmax(options @ question / 0.3, 0).tolist(), abs=1e-6)
    plain = create_belief_backend("kalm", checkpoint=str(tmp_path), dim=4)
    assert not torch.equal(plain.questions.embed([Text("what barks?")]), question[None].float())


def published(folder, *, pooling=None, config=None, prompts=None, module="Pooling"):
    """Write a Qwen2 in sentence-transformers' layout; bidirectional and mean-pooled by default."""
    small_kalm(folder, seed=5)
    (folder / "kalm.json").unlink()
    sizes = json.loads((folder / "config.json").read_text()) | ({"is_causal": False} if config is None else config)
    files = {
        "config.json": sizes,
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"sentence_transformers.models.{module}"},
        ],
        "1_Pooling/config.json": pooling or {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": prompts or {}},
    }
    (folder / "1_Pooling").mkdir()
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    return folder


LAST = {"embedding_dimension": 16, "pooling_mode": "lasttoken"}


@pytest.mark.parametrize(
    ("pooling", "config", "reading"),
    [
        (None, None, Reading(longest=20)),
        (None, {}, Reading(bidirectional=False, longest=20)),
        (LAST, {}, Reading(bidirectional=False, pooling="last", longest=20)),
        ({"word_embedding_dimension": 16, "pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, {"is_causal": True},
         Reading(bidirectional=False, pooling="last", longest=20)),
    ],
)  # fmt: skip
def test_pooling_and_causality_are_the_checkpoints_as_its_library_reads_it(tmp_path, pooling, config, reading):
    folder = published(tmp_path / "x", pooling=pooling, config=config, prompts={"query": "who? "})
    backend = KaLM.from_pretrained(str(folder))
    assert backend.questions.encoder.reading == reading
    assert (backend.questions.instruction, backend.texts.instruction) == ("who? ", "")
    library = pytest.importorskip("sentence_transformers").SentenceTransformer(str(folder), device="cpu")
    said = torch.from_numpy(library.encode(["the dog barks", "a cat"], normalize_embeddings=True))
    found = backend.texts.embed([Text("the dog barks"), Text("a cat")])
    torch.testing.assert_close(found, said, atol=1e-5, rtol=1e-5)


def test_what_a_checkpoint_does_not_say_has_to_be_said(tmp_path):
    own_code = {"auto_map": {"AutoModel": "modeling.Qwen2Model"}}
    folder = published(tmp_path / "code", config=own_code)
    with pytest.raises(ModelError, match=r"code of its own, which is not run: give options: \{bidirectional: true\}"):
        KaLM.from_pretrained(str(folder))
    assert KaLM.from_pretrained(str(folder), bidirectional=True).questions.encoder.reading == Reading(longest=20)
    (folder / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"does not say how it pools: give options: \{pooling: mean\} or last"):
        KaLM.from_pretrained(str(folder), bidirectional=True)
    said = KaLM.from_pretrained(str(folder), bidirectional=False, pooling="last", longest=7)
    assert said.questions.encoder.reading == Reading(False, "last", 7)
    with pytest.raises(ModelError, match="pools by cls; kalm reads mean, lasttoken"):
        KaLM.from_pretrained(str(published(tmp_path / "cls", pooling={"pooling_mode_cls_token": True})))
    with pytest.raises(ModelError, match="leaves its prompt out of the pooling"):
        KaLM.from_pretrained(str(published(tmp_path / "out", pooling={**LAST, "include_prompt": False})))
    with pytest.raises(ModelError, match="has a module Dense; kalm reads Transformer"):
        KaLM.from_pretrained(str(published(tmp_path / "dense", module="Dense")))


def test_the_loss_is_the_published_one():
    """Of github HITsz-TMG/KaLM-Embedding @ 56ef224 (train/losses.py, in-batch negatives), the same numbers in float64."""
    generator = torch.Generator().manual_seed(0)
    q, p, n = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((5, 32), (5, 32), (5, 3, 32))
    )
    p, n = p + q, n + 0.5 * q[:, None]
    plain = Loss((32, 16, 8), gamma=0.0, mixing=False)
    assert float(plain(q, p, n, torch.arange(5), generator)) == pytest.approx(3.844069574038884, abs=1e-12)
    weighted = replace(plain, dims=(32, 16, 8, 4, 2), weights=PUBLISHED_WEIGHTS, temperature=PUBLISHED_TEMPERATURE)
    assert float(weighted(q, p, n, torch.arange(5), generator)) == pytest.approx(12.551530525409733, abs=1e-12)
    with pytest.raises(ConfigError, match="a weight a prefix: 3 prefixes and 1 weights"):
        replace(plain, weights=(1.0,))


@pytest.mark.parametrize("before", ["", "model."])
def test_a_published_checkpoint_is_a_qwen2_and_read_as_it_says(tmp_path, kalm, before):
    """The names of Qwen2's weights, with and without the prefix of its causal model, and no file of this project."""
    folder = published(tmp_path / "published")
    weights = {f"{before}{name}": value + 0.01 for name, value in kalm.questions.encoder.body.state_dict().items()}
    assert f"{before}layers.0.self_attn.q_proj.bias" in weights
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = KaLM.from_pretrained(str(folder))
    assert loaded.questions.encoder.reading == Reading(longest=20)
    for name, value in loaded.questions.encoder.body.state_dict().items():
        assert torch.equal(value, weights[before + name])


def test_mistakes_are_sentences(tmp_path, kalm):
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("kalm")
    with pytest.raises(ConfigError, match="dim is between 1 and the model's width, 16; got 17"):
        create_belief_backend("kalm", **small_kalm(tmp_path / "a"), dim=17)
    with pytest.raises(UnknownName, match="unknown pooling 'median'"):
        Reading(pooling="median")
    with pytest.raises(RequestError, match="looks at text; got audio"):
        kalm.questions.embed([Audio(torch.zeros(3), 8000)])
    config = Path(small_kalm(tmp_path / "b")["checkpoint"]) / "config.json"
    config.write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="reads models of type qwen2"):
        create_belief_backend("kalm", checkpoint=str(tmp_path / "b"))
    with pytest.raises(ModelError, match=r"trecqa_wang/train.csv is not there: give --data"):
        training.read_answers(tmp_path, "train")


def test_a_temperature_fits_what_is_right():
    sure, torn = [torch.tensor([0.9, 0.1])] * 20, [torch.tensor([0.6, 0.5]), torch.tensor([0.5, 0.6])] * 10
    assert best_temperature(sure, [0] * 20) < 0.01
    assert best_temperature(torn, [0] * 20) == pytest.approx(1.0, abs=0.01)


def test_a_random_order_has_the_mean_of_all_orders():
    from itertools import permutations

    sets = [AnswerSet("q", ("a", "b"), ("x", "y", "z"))]
    orders = list(permutations([1, 1, 0, 0, 0]))
    want = sum(1 / (order.index(1) + 1) for order in orders) / len(orders)
    assert training.expected_reciprocal_rank(sets) == pytest.approx(want)


def test_examples_keep_what_is_right_out_of_what_is_wrong():
    pairs = [ScoredPair("a", "b", 4.5), ScoredPair("a", "c", 1.0), ScoredPair("a", "a", 5.0), ScoredPair("d", "e", 3.5)]
    found = training.read_examples([AnswerSet("q", ("r", "s"), ("w",))], pairs)
    assert [(e.query, e.positive, e.negatives) for e in found] == [
        ("q", "r", ("w",)), ("q", "s", ("w",)), ("a", "b", ("c",)),
    ]  # fmt: skip
    assert found[0].group == found[1].group != found[2].group


def test_the_recipe_trains_the_same_twice_and_prints_its_table(cli, tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev", "test"):
        rows = [
            f"who is {n} ?,{label},{n} is a {w}"
            for n in ("ann", "bob")
            for label, w in ((1, "poet"), (0, "dog"), (0, "cat"))
        ]
        (data / f"{split}.csv").write_text("qtext,label,atext\n" + "\n".join(rows) + "\n")
    (data / "SICK_train.txt").write_text(
        "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
        + "".join(f"{i}\ta man number {i} runs\ta person number {i} is running\t4.5\tENTAILMENT\n" for i in range(30))
    )
    (data / "2012").mkdir()
    for name in ("MSRpar", "SMTeuroparl"):
        (data / "2012" / f"{name}.train.tsv").write_text(
            "4.2\tthe vote is open\tvoting is open\n1.0\tthe vote is open\train\n"
        )
    (data / "valid.txt").write_text("the quick brown fox jumps over the lazy dog again and again\n" * 5)
    tiny = training.Recipe(
        vocabulary=120, width=16, layers=1, heads=2, prose_steps=2, steps=5, batch=4, dims=(16, 8, 4)
    )
    monkeypatch.setattr(training, "Recipe", lambda: tiny)
    for out in ("one", "two"):
        code, shown, _ = cli("train", "kalm", "--out", tmp_path / out, "--data", data, "--seeds", 2)
        assert code == 0
        assert shown.count("null") + shown.count("pass") == 6
    code, shown, _ = cli("train", "kalm", "--out", tmp_path / "theirs", "--data", data, "--seeds", 2, "--published")
    assert code == 0
    one, two, theirs = (tmp_path / out / "kalm-1" / "model.safetensors" for out in ("one", "two", "theirs"))
    assert one.read_bytes() == two.read_bytes() != theirs.read_bytes()
