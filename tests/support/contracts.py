"""What the contract test needs to know of each belief backend: cases that it takes, and observations that it refuses."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import create_belief_backend
from agents.models.discrete_functions.families import draw
from agents.models.in_context.families import draw as draw_regression
from agents.models.in_context.families import kinds_of as regression
from agents.observation import Audio, Image, Observation, Series, Table, Text
from agents.question import Question

THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Contract:
    """One backend under test.

    Attributes:
        backend: its registered name.
        options: of `create_belief_backend`.
        cases: some that differ, in length too where it takes several.
        empty: an observation of its modality with nothing in it.
        refused: observations of its modality that it does not take, with what it says.
        other: an observation of another modality.
        prepare: makes a checkpoint in a folder, where none is shipped, and returns the options that name it.
    """

    backend: str
    options: dict[str, Any]
    cases: Callable[[], list[Question]]
    empty: Observation
    refused: tuple[tuple[Observation, str], ...]
    other: Observation = field(default_factory=lambda: Series(torch.zeros(4, 1), ("x",)))
    prepare: Callable[[Path], dict[str, Any]] = lambda folder: {}

    def make(self, folder: Path) -> BeliefBackend:
        """Return the backend; what `prepare` makes lies in a folder."""
        return create_belief_backend(self.backend, **{**self.options, **self.prepare(folder)})


def table_cases() -> list[Question]:
    """Return examples of conjunctions, of different numbers."""
    found = []
    for count in (1, 3, 7, 15):
        points = draw("conjunction", 1, count + 1, 8, torch.Generator().manual_seed(count))
        labels = tuple("01"[int(y > 0)] for y in points.y[0, :-1])
        found.append(Question("case", "?", (Table(points.x[0], tuple("abcdefgh"), labels),)))
    return found


def _table(values: torch.Tensor, label: str = "0") -> Table:
    rows, columns = values.shape
    return Table(values, tuple(f"x{i}" for i in range(columns)), (label,) * (rows - 1))


def _functions(rule: str, **options: Any) -> Contract:
    refused = [
        (_table(torch.full((3, 8), 0.5)), "points of -1 and \\+1"),
        (_table(torch.ones(3, 8), "spam"), "knows the labels 0 and 1; the table has 'spam'"),
    ]
    if rule == "learner":
        refused += [(_table(torch.ones(3, 5)), "points of 8 values"), (_table(torch.ones(40, 8)), "at most 16")]
    if rule == "bayes":
        refused += [(_table(torch.ones(3, 11)), "at most 10 dimensions")]
    return Contract(
        "discrete_functions",
        {"rule": rule, **options},
        table_cases,
        Table(torch.ones(1, 8), tuple("abcdefgh"), ()),
        tuple(refused),
    )


def regression_cases() -> list[Question]:
    """Return examples of linear functions, of different numbers."""
    found = []
    for count in (5, 7, 11, 15):
        points = draw_regression(regression("mixture", 4), 1, count + 1, torch.Generator().manual_seed(count))
        labels = tuple(f"{value:.6g}" for value in points.y[0, :-1].tolist())
        found.append(Question("case", "?", (Table(points.x[0].float(), tuple("abcd"), labels),)))
    return found


def small_in_context(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random learner of two families."""
    from agents.models.in_context.backend import InContext
    from agents.models.in_context.config import LearnerConfig
    from agents.models.in_context.model import Learner

    torch.manual_seed(seed)
    config = LearnerConfig(("linear", "sparse"), width=16, layers=2, heads=2)
    InContext(learner=Learner(config).eval()).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def _in_context(rule: str, **options: Any) -> Contract:
    refused = [
        (_table(torch.ones(3, 4), "spam"), "labels that are numbers of at most 1000; the table has 'spam'"),
        (_table(torch.ones(3, 4), "nan"), "labels that are numbers of at most 1000; the table has 'nan'"),
        (_table(torch.full((3, 4), 1e6)), "numbers of at most 1000; standardise the table"),
        (_table(torch.ones(3, 17)), "points of at most 16 values; the table has 17"),
    ]
    if rule == "learner":
        refused += [(_table(torch.ones(3, 5)), "points of 4 values"), (_table(torch.ones(40, 4)), "at most 16")]
    prepare = options.pop("prepare", lambda folder: {})
    return Contract(
        "in_context",
        {"rule": rule, **options},
        regression_cases,
        Table(torch.ones(1, 4), tuple("abcd"), ()),
        tuple(refused),
        prepare=prepare,
    )


def small_program(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random program over a few words."""
    from agents.models.transformer_programs.backend import TransformerPrograms
    from agents.models.transformer_programs.config import BOS, PAD, UNKNOWN, ProgramConfig
    from agents.models.transformer_programs.model import SoftProgram
    from agents.models.transformer_programs.program import harden

    config = ProgramConfig(
        (PAD, BOS, UNKNOWN, *"abcde", "?"), ("person", "place"), values=6, embeddings=2, categorical_heads=2, counting_heads=2,
        hidden=8,
    )  # fmt: skip
    torch.manual_seed(seed)
    TransformerPrograms(harden(SoftProgram(config).eval()), temperature=0.5).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_lmuformer(folder: Path, *, seed: int = 0, spiking: bool = False) -> dict[str, Any]:
    """Write a random LMUFormer for sound of 8 kHz."""
    from agents.models.lmuformer.backend import LMUFormerBackend
    from agents.models.lmuformer.config import LMUFormerConfig
    from agents.models.lmuformer.network import network

    torch.manual_seed(seed)
    model = network(LMUFormerConfig(("low", "middle", "high"), mels=8, width=16, theta=16, spiking=spiking))
    if spiking:
        # So strong that neurons fire, without a training.
        for name, weights in model.named_parameters():
            if "norm." in name:
                weights.data.fill_(3.0 if name.endswith("weight") else 1.0)
    LMUFormerBackend(model, temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_passt(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random PaSST for sound of 8 kHz."""
    from agents.models.passt.backend import PaSSTBackend
    from agents.models.passt.config import PaSSTConfig
    from agents.models.passt.model import PaSST

    torch.manual_seed(seed)
    model = PaSST(PaSSTConfig(("low", "middle", "high"), width=16, depth=1, heads=2, frames=32, drop_times=1))
    PaSSTBackend(model, temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_crossvit(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random CrossViT for pictures of 16 x 16."""
    from agents.models.crossvit.backend import CrossViTBackend
    from agents.models.crossvit.config import CrossViTConfig
    from agents.models.crossvit.model import CrossViT

    torch.manual_seed(seed)
    sizes = {"sides": (16, 16), "widths": (8, 16), "depths": (1, 1), "hidden": (8, 16), "stages": 1, "heads": 2}
    model = CrossViT(CrossViTConfig(labels, **sizes))
    CrossViTBackend(_shaken(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_tnt(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random TNT for pictures of 16 x 16."""
    from agents.models.tnt.backend import TNTBackend
    from agents.models.tnt.config import TNTConfig
    from agents.models.tnt.model import TNT

    torch.manual_seed(seed)
    model = TNT(TNTConfig(labels, side=16, width=16, depth=1, heads=2, inner_width=8, inner_heads=2))
    TNTBackend(_shaken(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_mp3(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random classifier of pictures of 16 x 16 with patches of 4."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.mp3.backend import MP3Backend
    from agents.models.mp3.config import MP3Config
    from agents.models.mp3.model import MP3

    torch.manual_seed(seed)
    model = MP3(MP3Config(labels, side=16, patch=4, encoder=EncoderConfig(16, 1, 2, 8, 16)))
    MP3Backend(_shaken(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_order(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random judge of order over a few words."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.mp3.order import OrderConfig, StepOrder
    from agents.models.mp3.order_backend import OrderJudge

    torch.manual_seed(seed)
    encoder = EncoderConfig(8, 1, 2, 4, 8)
    config = OrderConfig(("<pad>", "<unk>", *"0123456789+*=", "dog"), 6, 12, 30, encoder, encoder)
    OrderJudge(_shaken(StepOrder(config)), temperature=2.0).save_pretrained(folder)  # type: ignore[arg-type]
    return {"checkpoint": str(folder)}


def small_text_encoder(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random WideNet over a few words."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.text_encoder.backend import TextEncoderBackend
    from agents.models.text_encoder.config import TextEncoderConfig
    from agents.models.text_encoder.model import TextEncoder

    torch.manual_seed(seed)
    encoder = EncoderConfig(8, 2, 2, 4, 8, experts=4, chosen=2, shared=True)
    config = TextEncoderConfig(("negative", "positive"), ("<pad>", "<unk>", *"abcde"), 8, encoder)
    TextEncoderBackend(_shaken(TextEncoder(config)), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def order_cases() -> list[Question]:
    """Return solutions in orders to choose from, of different numbers and lengths, and options that are none."""
    texts = ("1+2=3\n3*4=12", "3*4=12\n1+2=3")
    longer = ("a dog barks\n1+1=2\nit sleeps\n2*2=4", "1+1=2\na dog barks\n2*2=4\nit sleeps")
    return [
        Question("case", "?", (Text("What is 1+2*4?"),), ("A", "B"), texts),
        Question("case", "?", (Text("who barks?"),), ("A", "B", "C"), (*longer, longer[0].replace("dog", "cat"))),
        Question("case", "who barks?", labels=("A", "B"), options=("the dog", "the cat")),
    ]


def _shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Return a model with weights so large that pictures differ; those of a training's beginning are all but 0."""
    for weights in model.parameters():
        weights.data += 0.3 * torch.randn(weights.shape)
    return model


def picture_cases() -> list[Question]:
    """Return pictures of several sizes, one of one colour, and questions that name some of the classes."""
    shapes = ((3, 16, 16), (1, 20, 33), (3, 7, 5), (3, 40, 16))
    pictures = [torch.rand(shape, generator=torch.Generator().manual_seed(shape[1])) for shape in shapes]
    options = ("horse", "airplane", "cat")
    return [
        *(Question("case", "?", (Image(pixels),)) for pixels in pictures),
        Question("case", "?", (Image(pictures[0]),), ("A", "B", "C"), options),
        Question("case", "?", (Image(pictures[1]),), options),
        # An option that is no class of its own: its belief is over all classes.
        Question("case", "?", (Image(pictures[2]),), ("A", "B"), ("cat", "castle")),
    ]


def _pictures(name: str, prepare: Callable[..., dict[str, Any]]) -> Contract:
    return Contract(
        name,
        {},
        picture_cases,
        Image(torch.zeros(3, 0, 0)),
        (
            (Image(torch.zeros(3, 8, 4097)), "at most 4096 pixels a side; this has 4097 x 8"),
            (Image(torch.zeros(3, 100, 6)), "one side is at most 16 times the other; this has 6 x 100"),
        ),
        prepare=prepare,
    )


def small_scenes(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random PaSST that knows six recordings of two classes."""
    from agents.models.passt.backend import PaSSTBackend
    from agents.models.passt.scenes import PaSSTEmbedding, PaSSTScenes

    embedding = PaSSTEmbedding(PaSSTBackend.from_pretrained(small_passt(folder, seed=seed)["checkpoint"]))
    vectors = embedding.embed([_noise(2000 + place) for place in range(6)])
    PaSSTScenes(embedding, vectors, ("hiss", "rush") * 3, neighbours=3).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_itransformer(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random iTransformer that sees eight steps and forecasts four."""
    from agents.models.itransformer.backend import ITransformerBackend
    from agents.models.itransformer.config import ITransformerConfig
    from agents.models.itransformer.model import ITransformer

    torch.manual_seed(seed)
    model = ITransformer(ITransformerConfig(lookback=8, horizon=4, width=16, hidden=16, depth=1, heads=2))
    model.spread.copy_(torch.tensor([0.5, 0.8, 1.0, 1.5]))
    ITransformerBackend(model, variate="x", step=3, borders=(-0.5, 0.0, 0.5)).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_ridge(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random linear map of eight steps to four."""
    from agents.models.classical_forecasters.backend import ClassicalForecaster
    from agents.models.classical_forecasters.model import LinearForecast

    model = LinearForecast(8, 4)
    model.weights.copy_(torch.randn(4, 8, generator=torch.Generator().manual_seed(seed)) / 3)
    model.spread.copy_(torch.tensor([0.5, 0.8, 1.0, 1.5]))
    ClassicalForecaster(model, variate="x", step=3, borders=(-0.5, 0.0, 0.5)).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def _walk(length: int, variates: int = 3) -> Series:
    steps = torch.randn(length, variates, generator=torch.Generator().manual_seed(length))
    return Series(steps.cumsum(0), ("x", "y", "z", "u", "v")[:variates])


SENTENCES = "the dog barks at a cat that sleeps, what barks? who sleeps?"
# Of an encoder; weights so large that layers differ.
THREE_LAYERS: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "initializer_range": 0.2,
}


def small_kalm(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random KaLM of one layer over a few words."""
    from transformers import Qwen2Config, Qwen2Model

    from agents.models.kalm.backend import KaLM
    from agents.models.kalm.model import Encoder, Reading
    from agents.models.sentences.vocabulary import trained_tokenizer

    tokenizer = trained_tokenizer([SENTENCES] * 2, 80)
    torch.manual_seed(seed)
    body = Qwen2Model(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=3,
        )
    )
    KaLM(Encoder(body, Reading(longest=20)), tokenizer, temperature=0.2).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_matryoshka(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random BERT of three layers over a few words."""
    from transformers import BertConfig, BertModel

    from agents.models.matryoshka_2d.backend import Matryoshka2D
    from agents.models.sentences.encoder import Encoder
    from agents.models.sentences.vocabulary import trained_tokenizer

    tokenizer = trained_tokenizer([SENTENCES] * 2, 80, starts=True)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        **THREE_LAYERS,
        max_position_embeddings=32,
    )
    body = BertModel(config, add_pooling_layer=False)
    Matryoshka2D(Encoder(body, longest=20), tokenizer, temperature=0.2).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_langsamp(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random XLM-R of three layers over a few words, with tables of three languages and two scripts."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from agents.models.langsamp.backend import LangSAMP
    from agents.models.langsamp.model import MaskedModel
    from agents.models.sentences.vocabulary import trained_tokenizer

    tokenizer = trained_tokenizer([SENTENCES] * 2, 80, starts=True)
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        **THREE_LAYERS,
        max_position_embeddings=24,
        type_vocab_size=1,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    model = MaskedModel(XLMRobertaForMaskedLM(config), languages=3, scripts=2, longest=20)
    LangSAMP(
        model, tokenizer, languages=("bel", "eng", "rus"), scripts=("CYRILLIC", "LATIN"), temperature=0.2
    ).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_sentence_transformer(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the same BERT in the layout of sentence-transformers, with a prompt."""
    small_matryoshka(folder, seed=seed)
    (folder / "matryoshka_2d.json").unlink()
    (folder / "1_Pooling").mkdir(exist_ok=True)
    kinds = ("", "Transformer"), ("1_Pooling", "Pooling")
    files = {
        "modules.json": [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for place, (path, kind) in enumerate(kinds)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "who? "}},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    return {"checkpoint": str(folder)}


def small_static_vectors(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write random vectors of a few words as GloVe's files have them."""
    folder.mkdir(parents=True, exist_ok=True)
    words = sorted(set(SENTENCES.replace("?", " ?").replace(",", " ,").split()))
    rows = torch.randn(len(words), 5, generator=torch.Generator().manual_seed(seed)).tolist()
    lines = [f"{word} {' '.join(f'{number:.5f}' for number in row)}\n" for word, row in zip(words, rows, strict=True)]
    (folder / "glove.txt").write_text("".join(lines))
    return {"checkpoint": str(folder / "glove.txt")}


def small_glyphs(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random language model of one layer on glyphs."""
    from agents.models.glyphs.backend import Glyphs
    from agents.models.glyphs.table import character_tokenizer
    from agents.models.glyphs.training import Recipe, language_model

    model = language_model("glyphs", Recipe(width=16, layers=1, heads=2, context=64), seed=seed)
    Glyphs(model, character_tokenizer(), temperature=0.1).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def option_cases() -> list[Question]:
    """Return questions with options, of different numbers and lengths."""
    return [
        Question("case", "what barks?", labels=("A", "B"), options=("the dog", "a cat that sleeps")),
        Question(
            "case", "who sleeps at what?", labels=("A", "B", "C"), options=("cat", "the dog barks at the cat", "the")
        ),
        Question("case", "the cat", labels=("dog", "cat")),
    ]


def gap_cases() -> list[Question]:
    """Return texts with a gap, and words that may stand there, of one token and of several."""
    return [
        Question("case", "?", (Text("the ___ barks", "eng", "LATIN"),), ("A", "B"), ("dog", "sleeps")),
        Question("case", "?", (Text("___?", "rus", "CYRILLIC"),), ("A", "B", "C"), ("what", "zebra", "a")),
        Question("case", "?", (Text("at a cat that ___", "bel", "CYRILLIC"),), ("cat", "barks")),
    ]


def _noise(length: int) -> Audio:
    return Audio(torch.randn(length, generator=torch.Generator().manual_seed(length)), 8000)


def _lmuformer(**options: Any) -> Contract:
    return Contract(
        "lmuformer",
        {},
        lambda: [Question("case", "?", (_noise(length),)) for length in (1, 300, 2000, 5000)],
        Audio(torch.zeros(0), 8000),
        (
            (Audio(torch.zeros(300_000), 8000), "at most 30 s"),
            (Audio(torch.zeros(1_500_000), 44100), "at most 30 s"),
        ),
        prepare=partial(small_lmuformer, **options),
    )


CONTRACTS = {
    "lmuformer": _lmuformer(),
    "lmuformer-spiking": _lmuformer(spiking=True),
    "itransformer": Contract(
        "itransformer",
        {},
        lambda: [Question("case", "?", (_walk(length, variates),)) for length, variates in ((8, 1), (9, 3), (30, 5))],
        Series(torch.zeros(0, 1), ("x",)),
        (
            (_walk(7), "looks back 8 steps; this series has 7"),
            (Series(torch.zeros(9, 1), ("y",)), "is asked about 'x'; this series has y"),
        ),
        other=Audio(torch.zeros(4), 8000),
        prepare=small_itransformer,
    ),
    "classical_forecasters": Contract(
        "classical_forecasters",
        {},
        lambda: [Question("case", "?", (_walk(length, variates),)) for length, variates in ((8, 1), (9, 3), (30, 5))],
        Series(torch.zeros(0, 1), ("x",)),
        (
            (_walk(7), "looks back 8 steps; this series has 7"),
            (Series(torch.zeros(9, 1), ("y",)), "is asked about 'x'; this series has y"),
        ),
        other=Audio(torch.zeros(4), 8000),
        prepare=small_ridge,
    ),
    "passt": Contract(
        "passt",
        {},
        lambda: [Question("case", "?", (_noise(length),)) for length in (1, 300, 2000, 9000)],
        Audio(torch.zeros(0), 8000),
        (
            (Audio(torch.zeros(500_000), 8000), "at most 60 s"),
            (Audio(torch.zeros(2_900_000), 48000), "at most 60 s"),
        ),
        prepare=small_passt,
    ),
    "crossvit": _pictures("crossvit", small_crossvit),
    "tnt": _pictures("tnt", small_tnt),
    "mp3": _pictures("mp3", small_mp3),
    "mp3_order": Contract("mp3_order", {}, order_cases, Text(" "), (), prepare=small_order),
    "text_encoder": Contract(
        "text_encoder",
        {},
        lambda: [Question("case", text) for text in ("a b c?", "c", "e d c b a b c d e", "z a", "d d d")],
        Text(" "),
        (),
        prepare=small_text_encoder,
    ),
    "passt_scenes": Contract(
        "passt_scenes",
        {},
        lambda: [Question("case", "?", (_noise(length),)) for length in (1, 300, 2000, 9000)],
        Audio(torch.zeros(0), 8000),
        ((Audio(torch.zeros(500_000), 8000), "at most 60 s"),),
        prepare=small_scenes,
    ),
    "glyphs": Contract(
        "glyphs",
        {},
        option_cases,
        Text(" "),
        ((Text("q" * 70), "at most 64 characters, question and option; the question has 70"),),
        prepare=small_glyphs,
    ),
    "kalm": Contract("kalm", {}, option_cases, Text(" "), (), prepare=small_kalm),
    "langsamp_cloze": Contract(
        "langsamp_cloze",
        {},
        gap_cases,
        Text(" ", "eng", "LATIN"),
        (
            (Text("the dog barks", "eng", "LATIN"), "fills in one gap, ___; the text has 0"),
            (Text("the ___ barks", "deu", "LATIN"), "is told the language, and knows bel, eng, rus; the text has deu"),
            (Text("the ___ barks", "eng"), "is told the script, and knows CYRILLIC, LATIN; the text has none"),
        ),
        prepare=small_langsamp,
    ),
    "langsamp": Contract("langsamp", {}, option_cases, Text(" "), (), prepare=small_langsamp),
    "matryoshka_2d": Contract("matryoshka_2d", {}, option_cases, Text(" "), (), prepare=small_matryoshka),
    "sentence_transformers": Contract(
        "sentence_transformers", {}, option_cases, Text(" "), (), prepare=small_sentence_transformer
    ),
    "static_vectors": Contract("static_vectors", {}, option_cases, Text(" "), (), prepare=small_static_vectors),
    "programs": Contract(
        "transformer_programs",
        {},
        lambda: [Question("case", text) for text in ("a b c?", "c", "e d c b a b c d e", "z a", "d d d")],
        Text(" "),
        (),
        prepare=small_program,
    ),
    "functions-learner": _functions("learner"),
    "functions-bayes": _functions("bayes"),
    "functions-elimination": _functions("elimination"),
    "functions-neighbours": _functions("neighbours", neighbours=3),
    "in-context-learner": _in_context("learner", prepare=small_in_context),
    "in-context-learned-family": _in_context("learner", prepare=small_in_context, about="family"),
    "in-context-bayes": _in_context("bayes", family="noisy"),
    "in-context-family": _in_context("bayes", family="mixture", about="family"),
    "in-context-plug-in": _in_context("plug_in"),
    "in-context-ridge": _in_context("ridge(penalty=0.1)"),
    "in-context-attention": _in_context("linear_attention(trained=5)"),
}
