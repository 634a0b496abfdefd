"""The card of CASS-NAT."""

from agents.beliefs.cards import Card

CARD = Card(
    name="cass_nat",
    paper="Fan et al., 2023, arXiv:2304.07611",
    modality="audio",
    message="a sequence of spoken digits, a belief at each position",
    checkpoint="none shipped: debate train cass_nat --data FOLDER (fsdd)",
    licence="Apache-2.0 (code); spoken digits CC BY-SA 4.0",
    backend="agents.models.cass_nat.backend:CASSNATBackend",
    sequence=True,
    training="agents.models.cass_nat.training:claims",
)
