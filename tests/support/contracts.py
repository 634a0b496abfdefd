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
from support.small_picture_models import (
    completion_cases,
    enlarged,
    hidden_cases,
    picture_cases,
    small_crossvit,
    small_mp3,
    small_pluto,
    small_put,
    small_put_completions,
    small_tnt,
    small_transkd,
)
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

from agents.observation import Audio, Image, Series, Text
from agents.question import Question


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


def small_order(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random judge of order over a few words."""
    from agents.models.blocks.config import EncoderConfig
    from agents.models.mp3.order import OrderConfig, StepOrder
    from agents.models.mp3.order_backend import OrderJudge

    torch.manual_seed(seed)
    encoder = EncoderConfig(8, 1, 2, 4, 8)
    config = OrderConfig(("<pad>", "<unk>", *"0123456789+*=", "dog"), 6, 12, 30, encoder, encoder)
    OrderJudge(enlarged(StepOrder(config)), temperature=2.0).save_pretrained(folder)  # type: ignore[arg-type]
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
    TextEncoderBackend(enlarged(TextEncoder(config)), temperature=0.7).save_pretrained(folder)
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
    TextEncoderBackend(enlarged(TextEncoder(config)), temperature=0.7).save_pretrained(folder)
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
    TextEncoderCloze(enlarged(model), temperature=0.7).save_pretrained(folder)  # type: ignore[arg-type]
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
