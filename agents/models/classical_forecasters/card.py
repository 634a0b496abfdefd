"""The card of the classical forecasters."""

from agents.beliefs.cards import Card

CARD = Card(
    name="classical_forecasters",
    paper="Hoerl and Kennard, 1970 (ridge); Hyndman and Athanasopoulos, 2021 (seasonal naive)",
    modality="series",
    message="belief over how much a variate will have changed",
    checkpoint="none shipped: debate train classical_forecasters --data FOLDER (ETTh1)",
    licence="Apache-2.0 (code); ETT CC BY-ND 4.0",
    backend="agents.models.classical_forecasters.backend:ClassicalForecaster",
    training="agents.models.classical_forecasters.training:claims",
)
