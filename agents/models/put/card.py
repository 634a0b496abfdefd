"""The cards of PUT: who fills what is hidden for an expert of pictures, and who tells which completion is the true one."""

from agents.beliefs.cards import Card

PAPER = "Liu et al., 2022, arXiv:2205.05076"
CHECKPOINT = "none shipped: debate train put --data FOLDER (CIFAR-10)"
LICENCE = "Apache-2.0 (code); CIFAR-10 states none"
CARD = Card(
    name="put",
    paper=PAPER,
    modality="image",
    message="an expert's labels: the mean of its beliefs over completions of a picture with a hidden part",
    checkpoint=CHECKPOINT,
    licence=LICENCE,
    backend="agents.models.put.backend:PUTBackend",
    training="agents.models.put.training:claims",
)
COMPLETIONS = Card(
    name="put_completions",
    paper=PAPER,
    modality="image",
    message="belief over completions of one picture, which stand side by side",
    checkpoint=CHECKPOINT,
    licence=LICENCE,
    backend="agents.models.put.choosing:PUTCompletions",
)
