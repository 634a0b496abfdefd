"""The cards of readers of documents: one that was trained, and one of regular expressions."""

from agents.beliefs.cards import Card

CARD = Card(
    name="documents",
    paper="Ali and Roy, 2023, arXiv:2310.16527",
    modality="document",
    message="belief over the lines of a page: which is the company, the date, the address or the total",
    checkpoint="none shipped: debate train documents --data FOLDER (SROIE's receipts)",
    licence="Apache-2.0 (code); SROIE's carrier MIT, the receipts' own terms not stated",
    backend="agents.models.documents.backend:DocumentBackend",
    training="agents.models.documents.claims:claims",
)
RULES = Card(
    name="document_rules",
    paper="none: regular expressions, a baseline for documents",
    modality="document",
    message="as documents",
    checkpoint="none needed; the recipe of documents writes temperatures",
    licence="Apache-2.0",
    backend="agents.models.documents.rules:DocumentRules",
)
