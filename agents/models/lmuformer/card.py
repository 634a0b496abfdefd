"""The card of LMUFormer."""

from agents.beliefs.cards import Card

CARD = Card(
    name="lmuformer",
    paper="Liu et al., 2024, arXiv:2402.04882",
    modality="audio",
    message="belief over spoken digits, after every frame",
    checkpoint="none shipped: debate train lmuformer --data FOLDER (fsdd); an official .pth file, of 16 kHz",
    licence="Apache-2.0 (code); spoken digits CC BY-SA 4.0",
    backend="agents.models.lmuformer.backend:LMUFormerBackend",
    training="agents.models.lmuformer.training:claims",
)
