"""The card of transformer programs."""

from agents.beliefs.cards import Card

CARD = Card(
    name="transformer_programs",
    paper="Friedman, Wettig and Chen, 2023, arXiv:2306.01128",
    modality="text",
    message="belief over the kinds of question of TREC, with the rules that decided",
    checkpoint="none shipped: debate train transformer_programs --data FOLDER (nltk_data's qc.zip)",
    licence="Apache-2.0 (code)",
    backend="agents.models.transformer_programs.backend:TransformerPrograms",
    training="agents.models.transformer_programs.training:claims",
    published="agents.models.transformer_programs.training:published_claims",
)
