"""The card of PLUTO."""

from agents.beliefs.cards import Card

CARD = Card(
    name="pluto",
    paper="Juyal et al., 2024, arXiv:2405.07905",
    modality="image",
    message="belief over kinds of blood cells, or over answers about a whole slide; not for clinical use",
    checkpoint="none shipped: debate train pluto --data FOLDER (BCCD); the authors' weights are not public",
    licence="Apache-2.0 (code); BCCD MIT",
    backend="agents.models.pluto.backend:PLUTOBackend",
    training="agents.models.pluto.training:claims",
    note="Not for clinical use: blood smears of one small set, cytology and no tissue, and nothing was validated on patients.",
)
