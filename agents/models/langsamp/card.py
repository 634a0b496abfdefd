"""The card of LangSAMP."""

from agents.beliefs.cards import Card

CARD = Card(
    name="langsamp",
    paper="Liu et al., 2024, arXiv:2409.18199",
    modality="text",
    message="belief over the question's options, by cosine across languages",
    checkpoint="none shipped: debate train langsamp --data FOLDER; or an XLM-R with its head, as a folder or hub id",
    licence="Apache-2.0 (code); a published checkpoint has its own",
    backend="agents.models.langsamp.backend:LangSAMP",
    training="agents.models.langsamp.training:claims",
)
