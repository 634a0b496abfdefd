"""Readers of documents: the equations against plain ones, what leaks and what does not, tasks, recipe, and the files."""

import json
import math
import random
import zipfile
from pathlib import Path

import pytest
import torch
from support.page_contracts import document_cases, small_documents
from support.small_data import receipts as write_receipts

from agents.beliefs.page_pictures import page_picture
from agents.errors import BeliefError, ConfigError, ModelError
from agents.models.blocks.config import EncoderConfig
from agents.models.documents import claims as documents_claims
from agents.models.documents import losses, measures, training
from agents.models.documents.backend import DocumentBackend, log_odds
from agents.models.documents.categories import CATEGORIES, categories_of
from agents.models.documents.config import SPECIAL, DocumentConfig
from agents.models.documents.fields import FIELDS, TAGS, amounts, asked_field, different, states
from agents.models.documents.layout import Layout
from agents.models.documents.model import DocumentReader
from agents.models.documents.receipts import PARTS, read_receipts
from agents.models.documents.rules import DocumentRules
from agents.observation import Document, Image
from agents.question import Question

ENCODER = EncoderConfig(8, 1, 2, 4, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_receipts(tmp_path_factory.mktemp("receipts"))


@pytest.fixture(scope="module")
def found(folder):
    return read_receipts(folder)


@pytest.fixture
def model(found):
    torch.manual_seed(0)
    words = training.vocabulary(found, 60)
    reader = DocumentReader(DocumentConfig(words, 6, 10, ENCODER, ENCODER)).eval()
    for weights in reader.parameters():
        weights.data += 0.2 * torch.randn(weights.shape)
    return reader


def test_a_box_is_the_sum_of_its_places_as_layoutlm_has_it():
    """Against transformers' LayoutLM on the same tables: with nothing else in it, its embeddings are our layout."""
    from transformers import LayoutLMConfig
    from transformers.models.layoutlm.modeling_layoutlm import LayoutLMEmbeddings

    torch.manual_seed(0)
    ours = Layout(1000, 16).double()
    config = LayoutLMConfig(
        vocab_size=3, hidden_size=16, max_2d_position_embeddings=1001, hidden_dropout_prob=0.0, layer_norm_eps=1e-5
    )
    theirs = LayoutLMEmbeddings(config).double().eval()
    torch.nn.init.normal_(ours.norm.weight)
    torch.nn.init.normal_(ours.norm.bias)
    for name, table in (
        ("x_position_embeddings", ours.across), ("y_position_embeddings", ours.down),
        ("w_position_embeddings", ours.wide), ("h_position_embeddings", ours.high),
    ):  # fmt: skip
        getattr(theirs, name).weight.data = table.weight.data
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        getattr(theirs, name).weight.data.zero_()
    theirs.LayerNorm.load_state_dict(ours.norm.state_dict())
    edges = torch.randint(0, 500, (2, 7, 4), generator=torch.Generator().manual_seed(1))
    boxes = torch.cat([edges[..., :2], 500 + edges[..., 2:]], -1)
    with torch.no_grad():
        wanted = theirs(torch.zeros(2, 7, dtype=torch.long), bbox=boxes)
        assert float((ours((boxes / 1000).float()) - wanted).abs().max()) < 1e-12


def test_what_is_read_is_a_word_its_place_and_the_place_of_its_line(model):
    page = Document(("total 1", "tea"), torch.tensor([[0.1, 0.2, 0.5, 0.3], [0.0, 0.9, 1.0, 1.0]]))
    pages = model.encode([page])
    assert pages.words.shape == (1, 2, 2)
    assert pages.words[0, 1, 1] == 0
    h = model.inputs(pages).double()
    state = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for line, (box, count) in enumerate(zip(page.boxes.tolist(), (2, 1), strict=True)):
        left, top, right, bottom = (round(10 * edge) for edge in box)
        six = state["layout.across.weight"][left] + state["layout.down.weight"][top]
        six = six + state["layout.across.weight"][right] + state["layout.down.weight"][bottom]
        six = six + state["layout.wide.weight"][right - left] + state["layout.high.weight"][bottom - top]
        six = (six - six.mean()) / (six.var(correction=0) + 1e-5).sqrt()
        six = six * state["layout.norm.weight"] + state["layout.norm.bias"]
        for place in range(count):
            word = state["words.weight"][pages.words[0, line, place]]
            torch.testing.assert_close(h[0, line, place], word + state["inside.weight"][place] + six, atol=1e-5, rtol=0)


def test_padding_changes_no_state(model):
    small = Document(("tea", "total 1"), torch.tensor([[0.1, 0.2, 0.5, 0.3], [0.0, 0.9, 1.0, 1.0]]))
    large = Document(("date: 1 2 3", "tea", "0", "1", "2"), torch.full((5, 4), 0.5))
    both, alone = model(model.encode([small, large]))[0, :2], model(model.encode([small]))[0]
    torch.testing.assert_close(both, alone)


def test_nothing_but_boxes_tells_the_order_of_lines(model, found):
    """The order in which lines are given changes no bit of a belief, and without boxes no state."""
    backend = DocumentBackend(model)
    receipt = found[0]
    order = random.Random(1).sample(range(len(receipt.lines)), len(receipt.lines))
    question = Question("q", "Which line is the total?", options=different(receipt.lines))
    beliefs = [
        backend.believe([Question("q", question.text, (receipt.shuffled(each),), options=question.options)])[0]
        for each in (range(len(receipt.lines)), order)
    ]
    assert beliefs[0] == beliefs[1]
    blind = DocumentReader(DocumentConfig(model.config.words, 6, 10, ENCODER, ENCODER, layout=False)).eval()
    moved = Document(receipt.lines, receipt.boxes.flip(0))
    torch.testing.assert_close(
        blind(blind.encode([receipt.shuffled(range(len(receipt.lines)))])), blind(blind.encode([moved])), rtol=0, atol=0
    )
    assert not torch.equal(
        model(model.encode([receipt.shuffled(range(len(receipt.lines)))])), model(model.encode([moved]))
    )


def test_lines_are_shuffled_and_labels_go_with_them(model, found):
    generator = torch.Generator().manual_seed(0)
    receipt = found[3]
    batch = training.batch_of(model, [receipt, found[4]], generator)
    ranks = batch.ranks[0].tolist()
    assert sorted(ranks) == list(range(len(receipt.lines)))
    assert ranks != sorted(ranks)
    again = training.batch_of(model, [receipt], generator).ranks[0].tolist()
    assert again != ranks
    for place, rank in enumerate(ranks):
        assert TAGS[int(batch.tags[0, place])] == receipt.tags[rank]
        wanted = model.vocabulary.numbers(receipt.lines[rank], 6)
        assert [n for n in batch.pages.words[0, place].tolist() if n] == wanted
        assert torch.equal(batch.pages.boxes[0, place], receipt.boxes[rank])


def test_each_loss_is_one_where_nothing_is_known():
    there = torch.tensor([[0, 1, 2], [1, 0, -1]])
    labels = torch.tensor([[0, 1, 2], [3, 4, -100]])
    alike = [
        losses.tag_loss(torch.zeros(2, 3, len(TAGS)), labels),
        losses.tag_loss(torch.zeros(2, 3, len(TAGS)), labels, torch.tensor([1.0, 2, 3, 4, 5])),
        losses.category_loss(torch.zeros(2, 3, len(CATEGORIES)), labels),
        losses.order_loss(torch.zeros(2, 3, 3), there),
        losses.words_loss(torch.zeros(4, 2, 1000), torch.tensor([[1, 2], [3, -100], [7, 999], [0, -100]])),
    ]
    for loss in alike:
        assert float(loss) == pytest.approx(1.0, abs=1e-6)
    # Unnormalised, words would count ten times as much as order.
    assert math.log(1000) / math.log(2) > 9
    both = losses.collective({"tags": alike[0], "order": alike[3]}, {"order": 0.5})
    assert float(both) == pytest.approx(1.5)


def test_the_order_loss_is_that_of_its_pairs():
    generator = torch.Generator().manual_seed(0)
    scores, ranks = (
        torch.randn(3, 4, 4, generator=generator),
        torch.tensor([[2, 0, 3, 1], [1, 0, -1, -1], [0, -1, -1, -1]]),
    )
    pages = []
    for s, rank in zip(scores.double().tolist(), ranks.tolist(), strict=True):
        pairs = [(i, j) for i in range(4) for j in range(4) if i != j and min(rank[i], rank[j]) >= 0]
        each = [math.log1p(math.exp(-s[i][j] if rank[i] < rank[j] else s[i][j])) for i, j in pairs]
        if each:
            pages.append(sum(each) / len(each))
    assert float(losses.order_loss(scores, ranks)) == pytest.approx(sum(pages) / len(pages) / math.log(2), rel=1e-5)


def test_the_order_of_two_lines_is_bilinear_in_their_states(model):
    states = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    u, w, order = states[0].double(), model.before.detach().double(), model.order(states).detach()
    for i in range(3):
        for j in range(3):
            assert float(order[0, i, j]) == pytest.approx(float(u[i] @ w @ u[j]), abs=1e-5)


def test_hidden_words_are_told_by_nothing_and_said_one_after_the_other(model):
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.3], [0.0, 0.9, 1.0, 1.0]])
    one = model.encode([Document(("tea", "total 1 2"), boxes)])
    other = model.encode([Document(("tea", "date"), boxes)])
    hidden = torch.tensor([[False, True]])
    # Neither what stands there nor how long it is.
    torch.testing.assert_close(model(one.hiding(hidden)), model(other.hiding(hidden)), rtol=0, atol=1e-6)
    states, line = model(one.hiding(hidden)), torch.tensor([[0, 1]])
    words = one.words[0, 1:2]
    scores = model.said(states, one.there, line, words)
    changed = words.clone()
    changed[0, 1] = 7
    # A word depends on those before it alone.
    torch.testing.assert_close(model.said(states, one.there, line, changed)[:, :2], scores[:, :2])
    assert not torch.allclose(model.said(states, one.there, line, changed)[:, 2:], scores[:, 2:])
    end = SPECIAL.index("</s>")
    assert model.wanted(torch.tensor([[9, 8, 0], [7, 6, 5]])).tolist() == [[9, 8, end, -100], [7, 6, 5, end]]


def test_a_belief_is_the_odds_of_one_line_alone(model):
    """Of independent tags of which one line has the field: enumerated."""
    case = document_cases()[0]
    (page,) = case.observations
    odds = DocumentBackend(model).odds(page)[:, FIELDS.index("total")]
    p = torch.sigmoid(odds).tolist()
    one = [math.prod(p[i] if i == k else 1 - p[i] for i in range(len(p))) for k in range(len(p))]
    belief = DocumentBackend(model).believe([case])[0]
    wanted = dict.fromkeys(case.labels, 0.0)
    for line, weight in zip(page.lines, one, strict=True):
        wanted[next(label for label in case.labels if label.casefold() == line.casefold())] += weight / sum(one)
    assert dict(zip(belief.labels, belief.probabilities, strict=True)) == pytest.approx(wanted)
    scores = torch.randn(3, 5, dtype=torch.float64)
    softmax = torch.softmax(scores, -1)
    torch.testing.assert_close(log_odds(scores), torch.logit(softmax)[:, :4])


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ("Which line is the total?", "total"), ("which DATE?\n- total 3", "date"), ("Where was it?\n- company", None),
        ("The date or the total?", None), ("Which line is in total?", "total"), ("subtotals", None),
    ],
)  # fmt: skip
def test_the_first_line_of_a_question_names_the_field(question, field):
    assert asked_field(question) == field


def test_it_abstains_where_it_cannot_tell_what_is_meant(model):
    (page,) = document_cases()[0].observations
    for backend in (DocumentBackend(model), DocumentRules()):
        asked = [
            Question("q", "Why?", (page,), ("A", "B"), ("total", "3.00")),
            Question("q", "The total?", (page,), ("A", "B"), ("total", "4.00")),
            Question("q", "The total?", (page,)),
        ]
        first, second, third = backend.believe(asked)
        assert "names not one of company, date, address, total" in first.abstention
        assert second.abstention == "the option '4.00' is no line of the page"
        assert third.labels == ("Shop of tea", "DATE: 1.2.2018", "tea 3.00", "TOTAL", "3.00", "total 3.00")
        with pytest.raises(BeliefError, match="4 finite numbers above 0"):
            type(backend)(*([model] if backend.name == "documents" else []), temperatures=(1.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("field", "value", "line", "is_stated"),
    [
        ("total", "RM31.60", "TOTAL: 31.60", True), ("total", "1,031.60", "1031.60", True), ("total", "9.00", "19.00", False),
        ("total", "43.7", "TOTAL 43.70", False), ("total", "43.7", "43.00", False), ("total", "RM 43", "43.00", True),
        ("total", "12,50", "12.00", False), ("total", "12,50", "SUMME 12,50 EUR", True), ("total", "1.234,50", "1.00", False),
        ("total", "1.234,50", "1.234,50", True), ("total", "1,234", "1,234.00", True), ("total", "1,234", "1.00", False),
        ("date", "12 JAN 2018", "12Jan2018 10:00", True),
        ("date", "12/01/18", "2/01/18", False),
        ("company", "BOOK TA .K (TAMAN DAYA) SDN BHD", "BOOK TA .K(TAMAN DAYA) SDN BND", True),
        ("company", "BOOK TA .K (TAMAN DAYA) SDN BHD", "TAMAN DAYA", False),
        ("address", "12, JALAN X, 81100 JOHOR", "81100 JOHOR.", True),
        ("address", "12, JALAN X, MY", "MY", False), ("company", "AB", "ab", True), ("company", "", "", False),
    ],
)  # fmt: skip
def test_a_line_states_a_value(field, value, line, is_stated):
    assert states(field, value, line) is is_stated


def test_amounts_and_categories_are_read():
    assert amounts("RM1,234.50, 0.05 and 3.141") == (123450, 5)
    assert amounts("EUR 1.234,50, 0,05 and 3,141 or 1,00,000") == (123450, 5)
    lines, heights = ("RM 3.00", "TOTAL: 3.00", "SHOP", "TEA", "THANK YOU"), (0.5, 0.5, 0.1, 0.5, 0.9)
    boxes = torch.tensor([[0.0, height, 1.0, height] for height in heights])
    assert [CATEGORIES[each] for each in categories_of(lines, boxes)] == list(CATEGORIES)


def test_a_receipt_is_in_one_part_whatever_it_is_called(folder, found):
    parts = {part: {each.name for each in read_receipts(folder, part)} for part in PARTS}
    assert sum(map(len, parts.values())) == len(found) == len(set().union(*parts.values()))
    assert all(parts.values())
    assert found[0].part == type(found[0])("other", found[0].lines, found[0].boxes, {}, (0, 0, 1, 1)).part
    assert found[1].tags == ("company", "address", "date", "other", "other", "other", "total", "other", "other")
    assert float(found[0].boxes.min()) == 0
    assert float(found[0].boxes.max()) == 1


def archive(tmp_path, boxes="0,0,1,0,1,1,0,1,A", key='{"total": "1.00"}', names=("box/1.csv", "key/1.json")):
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as file:
        for name, content in zip(names, (boxes, key), strict=True):
            file.writestr(name, content)
    return tmp_path / "own.zip"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"boxes": "0,0,1,0,1,1,0,A"}, "line 1 of receipt '1': eight whole numbers and a text, between commas; got '0,0,"),
        ({"boxes": "0,0,1,0,1,1,0,9999999,A"}, "a corner lies within 1,000,000 pixels; got 9999999"),
        ({"boxes": "\n"}, "receipt '1' has 0 lines, and 1 to 400 are read"),
        ({"boxes": b"\xff"}, "it is not UTF-8"),
        ({"key": "[]"}, "a mapping of company, date, address, total; got a list"),
        ({"key": '{"total": 3}'}, "total is a text; got '3'"),
        ({"key": "{"}, "the key of receipt '1': "),
        ({"names": ("box/1.csv", "key/2.json")}, "'1' has a file in box alone; each receipt has one in both"),
        ({"names": ("box/\x1b1.csv", "key/1.json")}, "a receipt's name has 1 to 100 letters without accents"),
        ({"names": ("box/1.csv", "a/box/1.csv")}, "two files of box are called '1'"),
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_a_sentence(tmp_path, given, sentence):
    with pytest.raises(ModelError) as error:
        read_receipts(archive(tmp_path, **given))
    assert sentence in str(error.value)


def test_a_file_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "own.zip").write_bytes(b"PK")
    with pytest.raises(ModelError, match="cannot read"):
        read_receipts(tmp_path / "own.zip")
    with pytest.raises(ModelError, match="the receipts are not there: give --data with box_and_key.zip"):
        read_receipts(Path("/nowhere"))
    with pytest.raises(ConfigError, match="the first words are <pad>"):
        DocumentConfig(("a", "b"))


def test_answers_are_measured_as_agents_say_them(model, found):
    backend = DocumentBackend(model, temperatures=(0.5, 1.0, 2.0, 0.3))
    asked = measures.asked_of(backend.odds, found[:12])
    for field, temperature in zip(FIELDS, backend.temperatures, strict=True):
        sure, right = asked[field].said(temperature)
        for row, receipt in enumerate(found[:12]):
            page = receipt.shuffled(range(len(receipt.lines)))
            belief = backend.believe([Question("q", f"the {field}?", (page,), options=different(receipt.lines))])[0]
            assert float(sure[row]) == pytest.approx(max(belief.probabilities))
            assert bool(right[row]) is states(field, receipt.values[field], belief.best)


def test_temperatures_make_beliefs_as_right_as_they_say():
    """Half of the answers are right, and all are said as if certain."""
    odds = torch.tensor([[4.0, 0.0]] * 40, dtype=torch.float64)
    right = torch.tensor([[n % 2 == 0, n % 2 == 1] for n in range(40)])
    table = measures.Asked(odds, torch.tensor([[0, 1]] * 40), right)
    asked = dict.fromkeys(FIELDS, table)
    before, after = (
        measures.calibration_error(asked, each) for each in ((1.0,) * 4, measures.fitted_temperatures(asked))
    )
    assert before == pytest.approx(torch.softmax(odds[0], 0).max().item() - 0.5)
    assert after < 0.25


def test_the_recipe_trains_and_says_its_claims(tmp_path, folder, found, monkeypatch):
    small = training.Recipe(words=40, steps=2, batch=2)
    monkeypatch.setattr(documents_claims, "Recipe", lambda: small)
    monkeypatch.setattr(documents_claims, "FEW", 3)
    made = documents_claims.DocumentConfig
    monkeypatch.setattr(
        documents_claims, "DocumentConfig", lambda words, layout: made(words, 6, 10, ENCODER, ENCODER, layout)
    )
    claims = documents_claims.claims(tmp_path / "out", seeds=1, data=folder)
    assert [claim.text for claim in claims] == list(documents_claims.ASKED)
    lines = (tmp_path / "out" / "tables.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in ("rules", *documents_claims.MODELS)]
    saved = json.loads((tmp_path / "out" / "documents-0" / "config.json").read_text())
    assert len(saved["temperatures"]) == len(FIELDS)
    # What is there is not trained again, and comes to the same.
    assert documents_claims.claims(tmp_path / "out", seeds=1, data=folder) == claims


def test_tags_of_few_receipts_are_learned_and_more_tasks_change_the_reader(model, found):
    recipe = training.Recipe(steps=30, batch=4, rate=1e-2)
    parts = [each for each in found if each.part == "train"]
    trained = training.train(model.config, parts, parts, recipe, seed=0)
    held = [each for each in found if each.part == "test"]
    assert measures.macro_f1(trained, held) > measures.macro_f1(model, held) + 0.2
    more = training.train(model.config, parts, parts, training.Recipe(steps=2, batch=2), seed=0, tasks=("order",))
    none = training.train(model.config, parts, parts, training.Recipe(steps=2, batch=2), seed=0)
    assert not torch.equal(more.before, none.before)
    with pytest.raises(ModelError, match="learns from receipts; got 0 with labels"):
        training.train(model.config, [], parts, recipe, seed=0)


def test_rules_look_at_words_alone(found):
    rules = DocumentRules()
    receipt = found[5]
    page = receipt.shuffled(range(len(receipt.lines)))
    moved = Document(page.lines, page.boxes.flip(0))
    assert torch.equal(rules.odds(page), rules.odds(moved))
    asked = measures.asked_of(rules.odds, found)
    assert measures.found_share(asked, "company", "date", "address") == 1


def test_a_page_is_drawn_with_its_boxes():
    page = Document(("a", "b"), torch.tensor([[0.0, 0.0, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0]]))
    drawn = page_picture(page, longest=8)
    assert drawn.pixels.shape == (3, 8, 6)
    inked = drawn.pixels[0] < 1
    assert inked[:4, :3].all()
    assert inked[7, 5]
    assert int(inked.sum()) == 13
    over = page_picture(Document(page.lines, page.boxes, Image(torch.zeros(1, 40, 20))), longest=8)
    assert over.pixels.shape == (3, 8, 4)
    assert float(over.pixels[2, 0, 0]) > 0
    assert float(over.pixels[:, 0, 3].sum()) == 0


def test_a_folder_of_something_else_is_refused(tmp_path):
    saved = small_documents(tmp_path / "one")
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    (tmp_path / "one" / "config.json").write_text(json.dumps({**config, "temperatures": [1.0, 2.0]}))
    with pytest.raises(
        BeliefError, match=r"4 finite numbers above 0, of company, date, address, total; got \(1.0, 2.0\)"
    ):
        DocumentBackend.from_pretrained(**saved)
    with pytest.raises(ModelError, match="ships no weights"):
        DocumentBackend.from_pretrained()
    with pytest.raises(ModelError, match="no rules of documents in"):
        DocumentRules.from_pretrained(str(tmp_path / "nothing"))


def test_places_begin_as_large_as_words():
    torch.manual_seed(0)
    reader = DocumentReader(DocumentConfig((*SPECIAL, *(f"w{n}" for n in range(500)))))
    with torch.no_grad():
        places = reader.layout(torch.rand(1, 300, 4).sort(-1).values).std()
    assert 0.8 < float(places / reader.words.weight[1:].detach().std()) < 1.25
