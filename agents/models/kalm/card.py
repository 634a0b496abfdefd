"""The card of KaLM-Embedding-V2."""

from agents.beliefs.cards import Card

CARD = Card(
    name="kalm",
    paper="KaLM-Embedding-V2, 2025, arXiv:2506.20923",
    modality="text",
    message="belief over the question's options, by cosine",
    checkpoint="none shipped: debate train kalm --data FOLDER; or a Qwen2 embedding model, as a folder or hub id",
    licence="Apache-2.0 (code); a published checkpoint has its own",
    backend="agents.models.kalm.backend:KaLM",
    training="agents.models.kalm.training:claims",
    published="agents.models.kalm.training:published_claims",
)
