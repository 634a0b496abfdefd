"""The card of iTransformer."""

from agents.beliefs.cards import Card

CARD = Card(
    name="itransformer",
    paper="Liu et al., 2024, arXiv:2310.06625",
    modality="series",
    message="belief over how much a variate will have changed",
    checkpoint="none shipped: debate train itransformer --data FOLDER (ETTh1)",
    licence="Apache-2.0 (code); ETT CC BY-ND 4.0",
    backend="agents.models.itransformer.backend:ITransformerBackend",
    training="agents.models.itransformer.training:claims",
    published="agents.models.itransformer.training:published_claims",
)
