"""The card of the discrete-function agents."""

from agents.beliefs.cards import Card

CARD = Card(
    name="discrete_functions",
    paper="Bhattamishra et al., 2024, arXiv:2310.03016",
    modality="table",
    message="belief over the two labels of a Boolean function",
    checkpoint="conjunctions of 8 variables, 16 points (shipped); a folder; none for the rules that compute their belief",
    licence="Apache-2.0 (code and checkpoint are this project's)",
    backend="agents.models.discrete_functions.backend:DiscreteFunctions",
    training="agents.models.discrete_functions.training:claims",
    recipes=tuple(
        (name, "Bhattamishra et al., 2024, arXiv:2310.03016", f"agents.models.discrete_functions.{name}:claims")
        for name in ("teaching", "cancer", "prompted")
    ),
)
