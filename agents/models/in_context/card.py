"""The cards of the agents that learn real functions in context."""

from agents.beliefs.cards import Card

CARD = Card(
    name="in_context",
    paper="Liu et al., 2024, arXiv:2405.15115",
    modality="table",
    message="belief over twelve intervals of a function's next value, or over the families that it may be of",
    checkpoint="a learner of linear functions with noise (shipped); a folder; none for the rules that compute their belief",
    licence="Apache-2.0 (code and checkpoint are this project's)",
    backend="agents.models.in_context.backend:InContext",
    training="agents.models.in_context.claims:claims",
    recipes=(
        ("algorithm", "Akyürek et al., 2023, arXiv:2211.15661", "agents.models.in_context.algorithm:claims"),
        (
            "linear_attention",
            "Zhang et al., 2024, arXiv:2306.09927",
            "agents.models.in_context.linear_attention:claims",
        ),
        ("followed", "Akyürek et al., 2023, arXiv:2211.15661", "agents.models.in_context.followed:claims"),
        ("mixtures", "Yadlowsky et al., 2023, arXiv:2311.00871", "agents.models.in_context.mixtures:claims"),
        ("selection", "Tarzanagh et al., 2023, arXiv:2308.16898", "agents.models.in_context.selection:claims"),
        ("looped", "Gao et al., 2024, arXiv:2402.13572", "agents.models.in_context.looped_claims:claims"),
        ("width", "Gumaan, 2025, arXiv:2507.10581", "agents.models.in_context.width:claims"),
    ),
)
