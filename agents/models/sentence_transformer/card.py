"""The card of sentence-transformers' models."""

from agents.beliefs.cards import Card

CARD = Card(
    name="sentence_transformers",
    paper="Reimers and Gurevych, 2019, arXiv:1908.10084",
    modality="text",
    message="belief over the question's options, by cosine",
    checkpoint="a folder in sentence-transformers' layout, or a hub id such as sentence-transformers/all-MiniLM-L6-v2",
    licence="Apache-2.0 (code); a published checkpoint has its own",
    backend="agents.models.sentence_transformer.backend:SentenceTransformers",
    packages=("sentence_transformers",),
    extra="sentences",
)
