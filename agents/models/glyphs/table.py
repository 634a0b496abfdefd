"""The table: how each character looks, as a vector of length 1. The same for everybody, and never trained.

As in the paper's code: a picture of 32 x 32 pixels, black or white, read outwards from the centre, reduced by principal
components, and of length 1. Ours are the font (DejaVu Sans for GNU Unifont), single characters for its n-grams, and no
augmentation. The vectors say how a character looks, and nothing of what it means.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ConfigError, MissingDependency
from agents.models.seeded import generator_of

SIDE = 32
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
CHARACTERS = (
    "\n",
    *(chr(code) for code in (*range(0x20, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x180)) if code != 0x110),
)
"""Line break, ASCII, Latin-1 and Latin Extended-A, without invisible ones, and without Đ, which looks like Ð."""


def glyph_table(width: int, characters: Sequence[str] = CHARACTERS) -> Tensor:
    """Return rows of length 1 [4 + C, width] float32: those of `SPECIAL`, then of the characters.

    What has no picture (special tokens, white space) has a row drawn from its own name, so that no two are alike.

    Raises:
        ConfigError: two characters look the same, or there are fewer characters with a picture than `width` + 1.
        MissingDependency: the font is not there.
    """
    bits = torch.stack([bitmap(name) for name in characters])
    drawn = bits.any(1)
    pictures = bits[drawn].double()
    seen: dict[bytes, str] = {}
    for name, row in zip(
        (n for n, there in zip(characters, drawn.tolist(), strict=True) if there), pictures, strict=True
    ):
        if (other := seen.setdefault(row.numpy().tobytes(), name)) != name:
            raise ConfigError(f"{other!r} and {name!r} look the same in this font; leave one of them out")
    return as_table(pictures, drawn, width, characters)


def as_table(pictures: Tensor, drawn: Tensor, width: int, characters: Sequence[str]) -> Tensor:
    """Return rows of length 1 [4 + C, width] float32 of pictures [P, M] of those of the characters [C] that are drawn.

    Raises:
        ConfigError: they have fewer components than `width`.
    """
    if width != pictures.shape[1]:
        if len(pictures) <= width:
            raise ConfigError(
                f"{len(pictures)} pictures have at most {len(pictures) - 1} components; got width {width}"
            )
        pictures = principal(pictures, width)
    table = torch.stack([_from_name(name, width) for name in (*SPECIAL, *characters)])
    table[len(SPECIAL) :][drawn] = pictures
    return functional.normalize(table, dim=-1).float()


def random_table(width: int, rows: int, seed: int = 0) -> Tensor:
    """Return rows of length 1 [rows, width] that look like nothing: the control."""
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=-1).float()


def principal(rows: Tensor, width: int) -> Tensor:
    """Return the first principal components [R, width] float64 of rows [R, M]; the largest part of each axis is positive."""
    centred = rows - rows.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    axes = axes[:width]
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    found: Tensor = centred @ (axes * signs).T
    return found


def bitmap(character: str) -> Tensor:
    """Return the character's pixels [1024], 0 or 1, outwards from the centre; all 0 where it shows nothing."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (SIDE, SIDE))
    if character.isprintable():
        ImageDraw.Draw(picture).text((SIDE / 2, 25), character, fill=255, font=_font(), anchor="ms")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return (pixels > 127).float()[outwards()]


def outwards() -> Tensor:
    """Return the numbers of the pixels [1024] by distance from the centre, then by angle."""
    middle = (SIDE - 1) / 2
    places = [(y - middle, x - middle) for y in range(SIDE) for x in range(SIDE)]
    # Exact in halves, so that equal distances are equal.
    return torch.tensor(
        sorted(range(len(places)), key=lambda i: (places[i][0] ** 2 + places[i][1] ** 2, math.atan2(*places[i])))
    )


def _from_name(name: str, width: int) -> Tensor:
    return torch.randn(width, generator=generator_of(name), dtype=torch.float64)


def _font() -> Any:
    try:
        import matplotlib
        from PIL import ImageFont
    except ImportError as error:
        raise MissingDependency("the glyph table, whose font comes with matplotlib,", "matplotlib", "train") from error
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 24)


def character_tokenizer(characters: Sequence[str] = CHARACTERS) -> Any:
    """Return a PreTrainedTokenizerFast of one token a character, numbered as the table's rows; others are `<unk>`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pad, start, end, unknown = SPECIAL
    numbers = {name: place for place, name in enumerate((*SPECIAL, *characters))}
    made = Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=pad, bos_token=start, eos_token=end, unk_token=unknown
    )
