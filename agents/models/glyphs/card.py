"""The card of language models on a frozen table of glyphs."""

from agents.beliefs.cards import Card

CARD = Card(
    name="glyphs",
    paper="Bochkov, 2025, arXiv:2507.04886",
    modality="text",
    message="belief over the question's options, by likelihood; as a language model, expectations of a table that all share",
    checkpoint="none shipped: debate train glyphs --data FOLDER (tinyshakespeare, and a published table if it is there)",
    licence="Apache-2.0 (code); the table is drawn with DejaVu Sans, a free font",
    backend="agents.models.glyphs.backend:Glyphs",
    training="agents.models.glyphs.training:claims",
    recipes=(
        ("acbs", "Yoshida et al., 2024, arXiv:2311.08817", "agents.models.acbs.training:claims"),
        ("ftp", "Walker, 2024, arXiv:2410.18160", "agents.models.ftp.training:claims"),
        ("memoryformer", "MemoryFormer, 2024, arXiv:2411.12992", "agents.models.memoryformer.training:claims"),
        ("nar", "Yoshida, 2024, arXiv:2408.16241", "agents.models.nar.training:claims"),
        ("quantizable", "Bondarenko et al., 2023, arXiv:2306.12929", "agents.models.quantizable.training:claims"),
        ("recurrence", "Yoshida et al., 2020, arXiv:2008.07027", "agents.models.recurrence.training:claims"),
        ("swe", "Li, 2024, arXiv:2410.18441", "agents.models.subwords.training:claims"),
        ("seqpe", "SeqPE, 2025, arXiv:2506.13277", "agents.models.seqpe.training:claims"),
        ("atlas", "ATLAS, 2025, arXiv:2505.23735", "agents.models.atlas.training:claims"),
        ("atlas_recall", "ATLAS, 2025, arXiv:2505.23735", "agents.models.atlas.training:capacity_claims"),
    ),
)
