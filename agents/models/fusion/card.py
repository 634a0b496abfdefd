"""The card of the fusion of channels."""

from agents.beliefs.cards import Card

CARD = Card(
    name="fusion",
    paper="Tri-Modal Severity Fused Diagnosis, 2025, arXiv:2510.20239",
    modality="series",
    message="belief over ordered grades, or over classes, of all channels or of one; where it was trained on sound it looks at "
    "audio in place of a series; not for clinical use",
    checkpoint="none shipped: debate train fusion --data FOLDER (spoken digits), or fusion:voice (Parkinson's telemonitoring)",
    licence="Apache-2.0 (code); Parkinson's telemonitoring CC BY 4.0; Free Spoken Digit Dataset CC BY-SA 4.0",
    backend="agents.models.fusion.backend:FusionBackend",
    training="agents.models.fusion.claims:claims",
    recipes=(
        (
            "voice",
            "Tri-Modal Severity Fused Diagnosis, 2025, arXiv:2510.20239",
            "agents.models.fusion.voice_claims:claims",
        ),
        (
            "related",
            "a pool of this project's own, after Hou, Yu and Tao, 2022, arXiv:2203.01522",
            "agents.models.fusion.related_claims:claims",
        ),
    ),
    note="Not for clinical use: the channels are stand-ins, and nothing here was validated on patients.",
)
