"""Small models of texts for tests, and questions that they are asked."""

import json
from pathlib import Path
from typing import Any

import torch

from agents.observation import Text
from agents.question import Question

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
