"""The card of 2D Matryoshka sentence embeddings."""

from agents.beliefs.cards import Card

CARD = Card(
    name="matryoshka_2d",
    paper="Li et al., 2024, arXiv:2402.14776",
    modality="text",
    message="belief over the question's options, by cosine after any layer, of any prefix",
    checkpoint="none shipped: debate train matryoshka_2d --data FOLDER; or a BERT of sentences, as a folder or hub id",
    licence="Apache-2.0 (code); a published checkpoint has its own",
    backend="agents.models.matryoshka_2d.backend:Matryoshka2D",
    training="agents.models.matryoshka_2d.training:claims",
    published="agents.models.matryoshka_2d.training:published_claims",
)
