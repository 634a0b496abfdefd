"""A decision by a trained pool: beliefs weigh by how sure they are and how far from the others; who is silent is left out.

The pool is trained beforehand (`debate train fusion`, or `fusion:related`), for agents of the names that it knows
(`agents/models/fusion/pool.py`).
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from agents.errors import ConfigError
from agents.models.fusion.config import NOT_CLINICAL
from agents.models.fusion.pool import attributions, load_pool
from debate.decision.decision import Decision, Decode, Poll, Rule
from debate.decision.option_reading import read_options


def fused(*, weights: str = "", decode: Decode | None = None, voters: Sequence[str] | None = None) -> Rule:
    """The option of the trained pool of beliefs; the reason has what each agent added, and that it is not for clinical use.

    Where all that is heard are words, labels are pooled by what each agent's labels meant in training; beside beliefs a label
    that is merely said is heard as that meaning. An agent that says no label, or does not speak, is missing.

    Args:
        weights: folder of `debate train fusion`, or of a pool alone: its channels are the names of agents.
        decode: token of a model → its text.
        voters: agents that will decide, so that those of whom the weights know nothing are refused before the debate.

    Raises:
        ConfigError: no weights, no tokenizer, or an agent that decides of whom the weights know nothing.
        ModelError: no pool there.
    """
    if not weights:
        raise ConfigError(
            'decision fused needs trained weights: fused(weights="FOLDER"); `debate train fusion --data DIR` makes some'
        )
    if decode is None:
        raise ConfigError("decision fused reads tokens, and needs the engines' tokenizers: use it in a config")
    read = decode
    pool = load_pool(Path(os.path.expanduser(weights)))
    labels, channels = pool.labels, pool.channels

    def refuse_strangers(names: Sequence[str]) -> None:
        if strangers := [name for name in names if name not in channels]:
            raise ConfigError(
                f"decision fused: {weights} has weights for {', '.join(channels)}, and none for {strangers[0]}: name agents as "
                "its channels, or train weights for them"
            )

    refuse_strangers(voters or ())

    def rule(poll: Poll) -> Decision:
        refuse_strangers(poll.voters)
        # As the task reads labels: the answer of 7 may be seven.
        answers = [poll.extract(f"Answer: {label}") or label for label in labels]
        beliefs = torch.full((len(channels), len(labels)), 1 / len(labels), dtype=torch.float64)
        said: dict[int, int] = {}
        believed: list[int] = []
        for name in poll.voters:
            place = channels.index(name)
            found = read_options(poll.last_message(name), labels, read)
            answer = poll.answers[name]
            if found is not None:
                believed.append(place)
                beliefs[place] = torch.tensor([found.probabilities.get(label, 0.0) for label in labels]).double()
            elif answer in answers:
                said[place] = answers.index(answer)
                beliefs[place] = pool.meant[place, said[place]]
        heard = torch.zeros(len(channels), dtype=torch.bool)
        heard[[*believed, *said]] = True
        if not bool(heard.any()):
            return poll.decide(None, f"nobody's message holds a belief over the options {' '.join(labels)}")
        part = pool.of_beliefs if believed else pool.of_labels
        with torch.no_grad():
            belief = torch.softmax(part(beliefs[None], heard[None])[0], -1)
        best = int(belief.argmax())
        added = attributions(part, beliefs, heard, best).tolist()
        nats = ", ".join(
            f"{name} {value:+.2f}" if is_heard else f"{name} missing"
            for name, value, is_heard in zip(channels, added, heard.tolist(), strict=True)
        )
        votes: dict[str, float] = {}
        for answer, share in zip(answers, belief.tolist(), strict=True):
            votes[answer] = votes.get(answer, 0.0) + share
        return poll.elect(votes, lambda most: f"a belief of {most:.3f}; nats added: {nats}. {NOT_CLINICAL}")

    return rule
