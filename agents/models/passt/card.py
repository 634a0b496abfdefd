"""The cards of PaSST: its classes, and what is nearest to its scene embedding."""

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

SCENES = Card(
    name="passt_scenes",
    paper="Koutini et al., 2022, arXiv:2211.13956",
    modality="audio",
    message="belief over the classes of known recordings, by the nearest scene embeddings",
    checkpoint="none shipped: a PaSST (a folder, or an official .pt file) and options: {examples: RECORDINGS}",
    licence="Apache-2.0 (code)",
    backend="agents.models.passt.scenes:PaSSTScenes",
    training="agents.models.passt.training:claims",
)
