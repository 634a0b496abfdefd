"""The frozen table: its pictures and components, what separately trained models can say to each other over it, its recipe."""

import asyncio
import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.small_text_models import small_glyphs

from agents.backend import Prompt, Request, Sampling
from agents.beliefs.cards import create_belief_backend
from agents.errors import BeliefError, ConfigError, ModelError, RequestError
from agents.models.glyphs import official, table, training
from agents.question import Question
from agents.registry import create_backend

pytest.importorskip("matplotlib")
SMALL = training.Recipe(width=16, layers=1, heads=2, context=64, steps=3, batch=2, window=8, heard=4)
SPEECH = torch.tensor(table.character_tokenizer()("What say you, my lord? Speak on. ")["input_ids"] * 20)


def test_pixels_are_read_outwards_from_the_centre():
    order = table.outwards().tolist()
    assert sorted(order) == list(range(1024))
    radii = [math.hypot(i // 32 - 15.5, i % 32 - 15.5) for i in order]
    assert radii == sorted(radii)
    assert {(i // 32, i % 32) for i in order[:4]} == {(15, 15), (15, 16), (16, 15), (16, 16)}


def test_a_picture_shows_the_character():
    black = {name: float(table.bitmap(name).sum()) for name in "M.i \n"}
    assert black["M"] > black["i"] > black["."] > 0
    assert black[" "] == black["\n"] == 0
    # The bar of a T is above.
    square = torch.zeros(1024)
    square[table.outwards()] = table.bitmap("T")
    square = square.view(32, 32)
    assert float(square[:16].sum()) > float(square[16:].sum())


def test_components_are_those_of_the_covariance():
    rows = torch.rand(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = table.principal(rows, 3)
    centred = rows - rows.mean(0)
    values, axes = torch.linalg.eigh(centred.T @ centred)
    for place in range(3):
        want = centred @ axes[:, -1 - place]
        assert torch.allclose(found[:, place], want) or torch.allclose(found[:, place], -want)
        assert float((found[:, place] ** 2).sum()) == pytest.approx(float(values[-1 - place]))


def test_the_table_is_the_same_for_all_with_rows_of_length_1_that_differ():
    one, two = table.glyph_table(48), table.glyph_table(48)
    assert torch.equal(one, two)
    assert one.shape == (len(table.SPECIAL) + len(table.CHARACTERS), 48)
    torch.testing.assert_close(one.norm(dim=-1), torch.ones(len(one)))
    assert float((torch.cdist(one, one) + 9 * torch.eye(len(one))).min()) > 0.01


def test_what_looks_alike_and_what_is_too_wide_is_refused():
    with pytest.raises(ConfigError, match="'Ð' and 'Đ' look the same"):
        table.glyph_table(2, ("Ð", "a", "Đ", "b"))
    with pytest.raises(ConfigError, match="3 pictures have at most 2 components; got width 3"):
        table.glyph_table(3, ("a", "b", "c", " "))


def test_one_token_is_one_character():
    tokenizer = table.character_tokenizer()
    text = "Ça va?\nÀ bientôt"
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer("字")["input_ids"] == [3]
    assert ids[0] == 4 + table.CHARACTERS.index("Ç")


def test_the_table_is_never_trained_and_a_trained_one_is():
    for kind in training.TABLES:
        model = training.language_model(kind, SMALL, seed=1)
        before = model.get_input_embeddings().weight.clone()
        head = model.lm_head.weight.clone()
        training.train(model, SPEECH, SMALL, seed=1)
        assert torch.equal(model.get_input_embeddings().weight, before) == (kind != "trained")
        assert not torch.equal(model.lm_head.weight, head)


def test_soft_messages_are_heard_exactly_where_the_table_is_shared():
    heard = {}
    for kind in training.TABLES:
        speaker, hearer = (
            training.train(training.language_model(kind, SMALL, seed=seed), SPEECH, SMALL, seed=seed) for seed in (1, 2)
        )
        heard[kind] = training.hear(speaker, hearer, SPEECH, SMALL)
    for kind in ("glyphs", "random"):
        assert heard[kind][1] == heard[kind][2]
    assert heard["trained"][1] != heard["trained"][2]


def test_two_agents_of_separate_training_exchange_vectors_in_a_debates_engine(tmp_path):
    """The whole belief arrives, its tail too: no table of the receiver's has to be looked up."""

    async def exchange(kinds):
        made = []
        for seed, kind in enumerate(kinds):
            folder = tmp_path / f"{kind}-{seed}"
            model = training.train(training.language_model(kind, SMALL, seed=seed), SPEECH, SMALL, seed=seed)
            model.save_pretrained(folder)
            table.character_tokenizer().save_pretrained(folder)
            made.append(create_backend("transformers", model=str(folder), dtype="float32"))
        speaker, hearer = made
        sampling = Sampling(max_tokens=5, top_beliefs=2, ignore_eos=True)
        said = (await speaker.submit(Request(Prompt.of("Speak"), sampling, encoder="expectation"))).message
        shared = said.model.same_table(hearer.fingerprint)
        if shared:
            answer = await hearer.submit(Request(Prompt.of("Hear: ", said), Sampling(max_tokens=2)))
            assert answer.usage.prompt_tokens >= 5
        for backend in made:
            await backend.close()
        return shared

    assert asyncio.run(exchange(["glyphs", "glyphs"]))
    assert not asyncio.run(exchange(["trained", "trained"]))


def test_the_belief_is_the_softmax_of_mean_log_likelihoods(tmp_path):
    backend = create_belief_backend("glyphs", **small_glyphs(tmp_path), temperature=0.5)
    case = Question("case", "who?", labels=("A", "B"), options=("me", "you all"))
    scores = []
    for option in case.options:
        text = backend.tokenizer("who?\n" + option)["input_ids"]
        with torch.inference_mode():
            p = torch.softmax(backend.model(torch.tensor([[1, *text]])).logits[0].double(), -1)
        scores.append(sum(math.log(float(p[t, text[t]])) for t in range(5, len(text))) / len(option))
    weights = [math.exp(score / 0.5) for score in scores]
    (belief,) = backend.believe([case])
    assert belief.probabilities == pytest.approx([w / sum(weights) for w in weights], abs=1e-6)


def test_mistakes_are_sentences(tmp_path):
    options = small_glyphs(tmp_path)
    with pytest.raises(ModelError, match="ships no weights"):
        create_belief_backend("glyphs")
    with pytest.raises(ModelError, match="no language model on glyphs in"):
        create_belief_backend("glyphs", checkpoint=str(tmp_path / "nowhere"))
    with pytest.raises(BeliefError, match="temperature must be finite and above 0; got 0"):
        create_belief_backend("glyphs", **options, temperature=0)
    with pytest.raises(RequestError, match="at most 64 characters, question and option; these have 74"):
        create_belief_backend("glyphs", **options).believe(
            [Question("case", "q" * 12, labels=("A",), options=("o" * 60,))]
        )
    with pytest.raises(ModelError, match="the text is not there: give --data"):
        training.read_text(tmp_path)


def test_a_model_that_lacks_weights_is_refused(tmp_path):
    """They would be drawn at random, others in each load."""
    options = small_glyphs(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    lost = weights.pop("model.layers.0.mlp.down_proj.weight")
    assert lost.numel()
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lacks weights \(model\.layers\.0\.mlp\.down_proj\.weight\), which would be random"
    ):
        create_belief_backend("glyphs", **options)


def test_the_recipe_trains_the_same_twice_and_prints_its_table(cli, tmp_path, monkeypatch):
    (tmp_path / "input.txt").write_text("What say you, my lord? Speak on.\n" * 60)
    monkeypatch.setattr(training, "Recipe", lambda: SMALL)
    for out in ("one", "two"):
        code, shown, _ = cli("train", "glyphs", "--out", tmp_path / out, "--data", tmp_path, "--seeds", 2)
        assert code == 0
        assert shown.count("null") + shown.count("pass") == 5
    one, two = (tmp_path / out / "glyphs-1-b" for out in ("one", "two"))
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert json.loads((one / "glyphs.json").read_text()) == {"temperature": 1.0}


def published(rows=65_536, width=48):
    """Return a table with a published one's names of rows, by code point; the space and the line break show nothing."""
    made = torch.nn.functional.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(3)), dim=-1)
    made[[10, 32]] = 0
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_published_table_is_read_by_code_points(tmp_path, dtype):
    stored = published().to(dtype)
    torch.save(stored, tmp_path / official.PUBLISHED)
    found = official.published_table(tmp_path / official.PUBLISHED)
    assert found.shape == (4 + len(table.CHARACTERS), 48)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(len(found)))
    for character in "aÇz~":
        row = found[table.character_tokenizer()(character)["input_ids"][0]]
        torch.testing.assert_close(row, stored[ord(character)].float(), atol=1e-3, rtol=0)
    # What shows nothing has the row that it has in the drawn table, so that no two are alike.
    assert torch.equal(found[:4], official.published_table(tmp_path / official.PUBLISHED, None, "xyz")[:4])
    assert not torch.equal(*found[[4 + table.CHARACTERS.index(name) for name in " \n"]])
    fewer = official.published_table(tmp_path / official.PUBLISHED, 16)
    assert fewer.shape == (len(found), 16)
    pictures = [4 + place for place, name in enumerate(table.CHARACTERS) if name not in " \n"]
    rows = torch.nn.functional.normalize(
        table.principal(stored[[ord(c) for c in table.CHARACTERS if c not in " \n"]].double(), 16), dim=-1
    )
    torch.testing.assert_close(fewer[pictures], rows.float())


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"weight": torch.zeros(2, 2)}, r"holds no table \[V, d\] of numbers"),
        (torch.zeros(7), r"holds no table \[V, d\] of numbers"),
        (published(100), "it has 100 rows, none of them number"),
        (2 * published(), "the row of '!' has length 2.000, not 1"),
        (published().index_fill(0, torch.tensor(97), math.nan), "the row of 'a' has length nan, not 1"),
    ],
)
def test_another_published_file_is_refused(tmp_path, stored, said):
    torch.save(stored, tmp_path / official.PUBLISHED)
    with pytest.raises(ModelError, match=said):
        official.published_table(tmp_path / official.PUBLISHED)


def test_the_recipe_learns_on_a_published_table_that_is_there(tmp_path, monkeypatch):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text("What say you, my lord? Speak on. " * 200)
    (tmp_path / "bvv241-max").mkdir()
    torch.save(published(), tmp_path / "bvv241-max" / official.PUBLISHED)
    monkeypatch.setattr(training, "Recipe", lambda: SMALL)
    found = training.claims(tmp_path / "out", seeds=1, data=tmp_path)
    assert [claim.text for claim in found[5:]] == [
        "loss on held-out text: the published table near frozen random rows",
        "soft messages, the same: the published table",
    ]
    assert found[6].ours == found[6].baseline
    backend = create_belief_backend("glyphs", checkpoint=str(tmp_path / "out" / "published-0-a"))
    rows = backend.model.get_input_embeddings().weight
    assert torch.equal(rows, official.published_table(tmp_path / "bvv241-max" / official.PUBLISHED, SMALL.width))
