"""The card of TransKD."""

from agents.beliefs.cards import Card

CARD = Card(
    name="transkd",
    paper="Liu et al., 2022, arXiv:2202.13393",
    modality="image",
    message="belief over classes of pixels in a named region of a picture, or over the question's options",
    checkpoint="none shipped: debate train transkd --data FOLDER (CamVid)",
    licence="none stated of the published code, of which no line is here; CamVid is offered for research",
    backend="agents.models.transkd.backend:TransKDBackend",
    training="agents.models.transkd.training:claims",
)
