"""The cards of LangSAMP: comparing texts, and filling in a word."""

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

CLOZE = Card(
    name="langsamp_cloze",
    paper="Liu et al., 2024, arXiv:2409.18199",
    modality="text",
    message="belief over the words that may stand in a gap, language told or guessed",
    checkpoint="none shipped: debate train langsamp --data FOLDER",
    licence="Apache-2.0 (code)",
    backend="agents.models.langsamp.cloze:LangSAMPCloze",
    training="agents.models.langsamp.training:claims",
)
