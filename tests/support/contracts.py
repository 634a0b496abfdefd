"""What the contract test needs to know of each belief backend: cases that it takes, and observations that it refuses.

Here are pictures and sounds; models of texts and of series, and contracts of tables and pages, have files of their own.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from support.contract import Contract
from support.page_contracts import page_contract, small_documents
from support.small_series_models import small_itransformer, small_ridge, walk
from support.small_text_models import (
    gap_cases,
    option_cases,
    small_glyphs,
    small_kalm,
    small_langsamp,
    small_matryoshka,
    small_program,
    small_sentence_transformer,
    small_static_vectors,
)  # fmt: skip
from support.table_contracts import functions_contract, in_context_contract, small_in_context

from agents.observation import Audio, Image, PartlyHidden, Series, Text
from agents.question import Question

THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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


def small_cass_nat(folder: Path, *, seed: int = 0, **options: Any) -> dict[str, Any]:
    """Write a random CASS-NAT for sound of 8 kHz."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.cass_nat.backend import CASSNATBackend
    from agents.models.cass_nat.config import CASSNATConfig
    from agents.models.cass_nat.model import CASSNAT

    torch.manual_seed(seed)
    sizes = {"self_blocks": 1, "autoregressive": 1, "encoder": EncoderConfig(16, 2, 2, 8, 16)}
    model = CASSNAT(CASSNATConfig(("low", "middle", "high"), mels=8, hop=40, **sizes))
    # So that tokens are heard, and are not all the end, without a training.
    for name, weights in model.named_parameters():
        if name in ("ctc.scores.weight", "head.scores.weight"):
            weights.data *= 8.0
    for head in (model.ctc, model.head):
        head.scores.bias.data[0] = -8.0
    CASSNATBackend(model, temperature=0.7, **options).save_pretrained(folder)
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


def small_pluto(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random PLUTO for tiles of 16 x 16, of windows of 32."""
    from agents.models.pluto.backend import PLUTOBackend
    from agents.models.pluto.config import PLUTOConfig
    from agents.models.pluto.model import PLUTO

    torch.manual_seed(seed)
    sizes = {"side": 16, "width": 16, "depth": 1, "heads": 2, "hidden": 16, "attention": 8, "window": 32}
    model = PLUTO(PLUTOConfig(labels, **sizes))
    PLUTOBackend(_shaken(model), temperatures={"cell/8": 0.7, "slide/8": 0.5}).save_pretrained(folder)
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


def small_transkd(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = THINGS) -> dict[str, Any]:
    """Write a random segmenter of pictures of 32 x 32."""
    from agents.models.transkd.backend import TransKDBackend
    from agents.models.transkd.config import SegmenterConfig
    from agents.models.transkd.model import Segmenter

    torch.manual_seed(seed)
    sizes = {"widths": (4, 4, 8, 8), "heads": (1, 1, 2, 2), "decoder": 8}
    model = Segmenter(SegmenterConfig(labels, 32, 32, **sizes))
    TransKDBackend(_shaken(model), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_put(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random PUT for pictures of 16 x 16, and an expert beside it."""
    from agents.models.checkpoint import save_model

    model = random_put(seed)
    save_model(folder, model, model.config.sizes)
    return {
        "checkpoint": str(folder),
        "expert": "crossvit",
        "expert_checkpoint": small_crossvit(folder / "seen", seed=seed)["checkpoint"],
    }


def small_put_completions(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the same random PUT, which tells completions apart."""
    from agents.models.put.choosing import PUTCompletions

    PUTCompletions(random_put(seed), temperatures={"likelihood": 5.0, "border": 0.1}).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def random_put(seed: int = 0, **sizes: Any) -> Any:
    """Return a random PUT for pictures of 16 x 16, whose codebook's vectors lie where features do."""
    from agents.models.put.config import PUTConfig
    from agents.models.put.model import PUT

    torch.manual_seed(seed)
    small = {
        "codes": 12,
        "hidden_codes": 4,
        "code_width": 6,
        "features": 8,
        "blocks": 1,
        "decoder_blocks": 1,
        "base": 4,
    }
    model = _shaken(PUT(PUTConfig(**{"side": 16, **small, "width": 8, "depth": 1, "heads": 2, **sizes}))).eval()
    own: Any = model.autoencoder
    with torch.no_grad():
        pictures = torch.rand(8, 3, own.config.side, own.config.side)
        own.codebook.vectors.copy_(
            own.features(pictures, pictures[:, 0] > 1).flatten(0, 1)[: len(own.codebook.vectors)]
        )
    return model


def hidden_cases() -> list[Question]:
    """Return pictures of several sizes of which a part is hidden, one that is whole, and a question that names some classes."""

    def of(shape: tuple[int, int, int], *hole: slice, **words: Any) -> Question:
        pixels = torch.rand(shape, generator=torch.Generator().manual_seed(shape[1]))
        hidden = torch.zeros(shape[1:], dtype=torch.bool)
        hidden[hole] = True
        return Question("case", "?", (PartlyHidden(pixels, hidden),), **words)

    return [
        of((3, 16, 16), slice(3, 10), slice(2, 9)),
        of((1, 20, 33), slice(0, 9), slice(10, 20)),
        of((3, 7, 5), slice(0, 7), slice(0, 5)),
        Question("case", "?", (Image(torch.full((3, 16, 16), 0.3)),)),
        of((3, 16, 16), slice(0, 8), slice(0, 16), labels=("A", "B", "C"), options=("horse", "airplane", "cat")),
    ]


def completion_cases() -> list[Question]:
    """Return completions that stand side by side: four, two of another size, and four of which nothing is hidden."""

    def of(side: int, count: int, depth: int) -> Question:
        generator = torch.Generator().manual_seed(side)
        hidden = torch.zeros(side, side, dtype=torch.bool)
        hidden[2 : 2 + depth, 3:9] = True
        own = torch.rand(3, side, side, generator=generator)
        panels = [torch.where(hidden, torch.rand(3, side, side, generator=generator), own) for _ in range(count)]
        return Question(
            "case", "?", (PartlyHidden(torch.cat(panels, 2), hidden.repeat(1, count)),), tuple("ABCD"[:count])
        )

    return [of(16, 4, 8), of(16, 2, 3), of(32, 4, 12)]


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


def small_hashed(folder: Path, *, seed: int = 0, **options: Any) -> dict[str, Any]:
    """Write a random classifier of texts that attends by EcoFormer's codes."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.text_encoder.backend import TextEncoderBackend
    from agents.models.text_encoder.config import TextEncoderConfig
    from agents.models.text_encoder.model import TextEncoder

    torch.manual_seed(seed)
    encoder = EncoderConfig(8, 2, 2, 4, 8, attention="ecoformer(bits=3, anchors=4)")
    config = TextEncoderConfig(("negative", "positive"), ("<pad>", "<unk>", *"abcde"), 8, encoder)
    TextEncoderBackend(_shaken(TextEncoder(config)), temperature=0.7).save_pretrained(folder)
    return {"checkpoint": str(folder), **options}


def small_cloze(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random masked WideNet over a few words."""
    from support.small_data import FILM_WORDS

    from agents.models.blocks.config import EncoderConfig
    from agents.models.text_encoder.cloze import TextEncoderCloze
    from agents.models.text_encoder.masked import SPECIAL, MaskedWords, MaskedWordsConfig

    torch.manual_seed(seed)
    encoder = EncoderConfig(8, 2, 2, 4, 8, experts=4, chosen=2, shared=True)
    model = MaskedWords(MaskedWordsConfig((*SPECIAL, *"abcde", *FILM_WORDS), 8, encoder))
    TextEncoderCloze(_shaken(model), temperature=0.7).save_pretrained(folder)  # type: ignore[arg-type]
    return {"checkpoint": str(folder)}


def order_cases() -> list[Question]:
    """Return solutions in orders to choose from, of different numbers and lengths, and options that are none."""
    texts = ("1+2=3\n3*4=12", "3*4=12\n1+2=3")
    longer = ("a dog barks\n1+1=2\nit sleeps\n2*2=4", "1+1=2\na dog barks\n2*2=4\nit sleeps")
    return [
        Question("case", "?", (Text("What is 1+2*4?"),), ("A", "B"), texts),
        Question(
            "case", "?", (Text("who barks?"),), ("A", "B", "C"), (*longer, "\n".join(reversed(longer[0].split("\n"))))
        ),
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


def small_fusion(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random fusion: of a voice's measures where the folder's name says so, else of a sound's bands."""
    from agents.models.fusion import bands, voice
    from agents.models.fusion.backend import FusionBackend
    from agents.models.fusion.model import FusionModel

    model = FusionModel(voice.CONFIG if "voice" in folder.name else bands.CONFIG)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in model.heads.parameters():
            weights += 0.3 * torch.randn(weights.shape, generator=generator)
        meant = torch.randn(model.pool.meant.shape, generator=generator) + 3 * torch.eye(len(model.config.labels))
        model.pool.meant.copy_(torch.softmax(meant, -1))
    FusionBackend(model).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def voice_cases() -> list[Question]:
    """Return recordings of a voice: one, several, and one of which a channel is missing."""
    from agents.models.fusion.voice import CHANNELS, CONFIG

    def of(names: tuple[str, ...], steps: int) -> Question:
        values = torch.randn(steps, len(names), generator=torch.Generator().manual_seed(steps))
        return Question("case", "?", (Series(values, names),))

    return [of(CONFIG.columns, 1), of(CONFIG.columns, 6), of((*CHANNELS["noise"], *CHANNELS["pitch"], "age"), 2)]


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


def _cass_nat(**options: Any) -> Contract:
    return Contract(
        "cass_nat",
        {},
        lambda: [Question("case", "?", (_noise(length),)) for length in (900, 3000, 5000)],
        Audio(torch.zeros(0), 8000),
        ((Audio(torch.zeros(500_000), 8000), "at most 60 s"),),
        prepare=partial(small_cass_nat, **options),
    )


CONTRACTS = {
    "fusion-sound": Contract(
        "fusion",
        {},
        lambda: [Question("case", "?", (_noise(length),)) for length in (1, 300, 2000, 5000)],
        Audio(torch.zeros(0), 8000),
        ((Audio(torch.zeros(500_000), 8000), "at most 60 s of sound"),),
        prepare=small_fusion,
    ),
    "fusion-voice": Contract(
        "fusion",
        {},
        voice_cases,
        Series(torch.zeros(0, 1), ("x",)),
        (),
        other=Audio(torch.zeros(4), 8000),
        prepare=lambda folder: small_fusion(folder / "voice"),
    ),
    "cass-nat": _cass_nat(),
    "cass-nat-sampled": _cass_nat(paths=4, snr_db=5.0, seed=3),
    "lmuformer": _lmuformer(),
    "lmuformer-spiking": _lmuformer(spiking=True),
    "itransformer": Contract(
        "itransformer",
        {},
        lambda: [Question("case", "?", (walk(length, variates),)) for length, variates in ((8, 1), (9, 3), (30, 5))],
        Series(torch.zeros(0, 1), ("x",)),
        (
            (walk(7), "looks back 8 steps; this series has 7"),
            (Series(torch.zeros(9, 1), ("y",)), "is asked about 'x'; this series has y"),
        ),
        other=Audio(torch.zeros(4), 8000),
        prepare=small_itransformer,
    ),
    "classical_forecasters": Contract(
        "classical_forecasters",
        {},
        lambda: [Question("case", "?", (walk(length, variates),)) for length, variates in ((8, 1), (9, 3), (30, 5))],
        Series(torch.zeros(0, 1), ("x",)),
        (
            (walk(7), "looks back 8 steps; this series has 7"),
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
    "pluto": _pictures("pluto", small_pluto),
    "pluto-slide": replace(_pictures("pluto", small_pluto), options={"about": "slide", "patch": 4, "share": [1, 2]}),
    "transkd": _pictures("transkd", small_transkd),
    "put": Contract(
        "put",
        {},
        hidden_cases,
        Image(torch.zeros(3, 0, 0)),
        (
            (Image(torch.zeros(3, 8, 4097)), "put takes pictures of at most 4096 pixels a side; this has 4097 x 8"),
            (Image(torch.zeros(3, 100, 6)), "one side is at most 16 times the other; this has 6 x 100"),
        ),
        prepare=small_put,
    ),
    "put_completions": Contract(
        "put_completions",
        {},
        completion_cases,
        Image(torch.zeros(3, 0, 0)),
        (
            (Image(torch.zeros(3, 100, 6)), "one side is at most 16 times the other; this has 6 x 100"),
            (Image(torch.zeros(3, 16, 64)), "is told what was hidden"),
        ),
        prepare=small_put_completions,
    ),
    "documents": page_contract("documents", small_documents),
    "document_rules": page_contract("document_rules", lambda folder: {}),
    "mp3_order": Contract("mp3_order", {}, order_cases, Text(" "), (), prepare=small_order),
    "text_encoder": Contract(
        "text_encoder",
        {},
        lambda: [Question("case", text) for text in ("a b c?", "c", "e d c b a b c d e", "z a", "d d d")],
        Text(" "),
        (),
        prepare=small_text_encoder,
    ),
    "text_encoder-ecoformer": Contract(
        "text_encoder",
        {},
        lambda: [Question("case", text) for text in ("a b c?", "c", "e d c b a b c d e", "z a", "d d d")],
        Text(" "),
        (),
        prepare=partial(small_hashed, attention="ecoformer(bits=3, anchors=4, official_numerator=true)"),
    ),
    "text_encoder_cloze": Contract(
        "text_encoder_cloze",
        {},
        lambda: [
            Question("case", "?", (Text(text),), ("A", "B", "C")[: len(options)], options)
            for text, options in (
                ("a ___ c?", ("b", "d e")),
                ("___", ("a", "b", "c")),
                ("e d c b a b c d e ___ z a b c", ("a b", "zebra")),
                ("d ___", ("e", "d")),
            )
        ],
        Text(" "),
        ((Text("a b c"), "fills in one gap, ___; the text has 0"), (Text("___ ___"), "the text has 2")),
        prepare=small_cloze,
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
    "functions-learner": functions_contract("learner"),
    "functions-bayes": functions_contract("bayes"),
    "functions-elimination": functions_contract("elimination"),
    "functions-neighbours": functions_contract("neighbours", neighbours=3),
    "in-context-learner": in_context_contract("learner", prepare=small_in_context),
    "in-context-learned-family": in_context_contract("learner", prepare=small_in_context, about="family"),
    "in-context-bayes": in_context_contract("bayes", family="noisy"),
    "in-context-family": in_context_contract("bayes", family="mixture", about="family"),
    "in-context-plug-in": in_context_contract("plug_in"),
    "in-context-ridge": in_context_contract("ridge(penalty=0.1)"),
    "in-context-attention": in_context_contract("linear_attention(trained=5)"),
}
