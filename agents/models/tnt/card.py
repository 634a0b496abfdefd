"""The card of TNT."""

from agents.beliefs.cards import Card

CARD = Card(
    name="tnt",
    paper="Han et al., 2021, arXiv:2103.00112",
    modality="image",
    message="belief over classes of pictures, or over the question's options",
    checkpoint="none shipped: debate train tnt --data FOLDER (CIFAR-10); an official file of timm's or the authors'",
    licence="Apache-2.0 (code); CIFAR-10 states none",
    backend="agents.models.tnt.backend:TNTBackend",
    training="agents.models.tnt.training:claims",
)
