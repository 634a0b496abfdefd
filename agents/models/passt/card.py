"""The card of PaSST."""

from agents.beliefs.cards import Card

CARD = Card(
    name="passt",
    paper="Koutini et al., 2022, arXiv:2211.13956",
    modality="audio",
    message="belief over classes of sound",
    checkpoint="none shipped: debate train passt --data FOLDER (fsdd); an official .pt file, of 32 kHz",
    licence="Apache-2.0 (code); spoken digits CC BY-SA 4.0",
    backend="agents.models.passt.backend:PaSSTBackend",
    training="agents.models.passt.training:claims",
)
