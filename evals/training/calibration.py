"""The shipped texts that transforms of the tiny debaters look at: `python -m evals.training.calibration` prints them.

Questions and debate turns, with their solutions, of the training split.
"""

import json
import random

from agents.model_folder import read_tokenizer
from agents.pretrained import locate
from agents.prompts import Prompts
from debate.config.shipped import prompts_folder
from evals.training.recipe import Kind
from evals.training.turns import Curriculum, encode

TEXTS = 192
# As in a debater's later stages.
MIXTURE: dict[Kind, float] = {"solve": 1.0, "debate": 1.0}


def sums() -> str:
    """Return JSON lines, each with the `text` of a prompt and its solution."""
    prompts, own_first = (Prompts(prompts_folder(name), "plain") for name in ("tiny", "tiny_own_first"))
    curriculum, rng = Curriculum(prompts, own_first), random.Random("calibration")
    tokenizer, lines = read_tokenizer(locate("tiny/dee")), []
    for _ in range(TEXTS):
        ids = encode(curriculum.draw(rng, MIXTURE), tokenizer).ids
        # The end of the message is put back where the texts are read.
        text = tokenizer.decode(ids, skip_special_tokens=True)
        assert [*tokenizer(text).input_ids, tokenizer.eos_token_id] == ids, text
        lines.append(json.dumps({"text": text}))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(sums(), end="")
