"""The cards of the encoder of texts: telling their kind, and filling in a word."""

from agents.beliefs.cards import Card

CARD = Card(
    name="text_encoder",
    paper="Xue et al., 2021, arXiv:2107.11817",
    modality="text",
    message="belief over kinds of text: positive or negative",
    checkpoint="none shipped: debate train text_encoder --data FOLDER (SST-2)",
    licence="Apache-2.0 (code); SST-2 states none",
    backend="agents.models.text_encoder.backend:TextEncoderBackend",
    training="agents.models.text_encoder.widenet:claims",
    recipes=(
        ("axformer", "Nagarajan et al., 2020, arXiv:2010.03688", "agents.models.text_encoder.axformer:claims"),
        ("ecoformer", "Liu et al., 2022, arXiv:2209.09004", "agents.models.text_encoder.ecoformer:claims"),
        ("wide", "Brown et al., 2022, arXiv:2210.00640", "agents.models.text_encoder.wide:claims"),
    ),
)

CLOZE = Card(
    name="text_encoder_cloze",
    paper="Xue et al., 2021, arXiv:2107.11817",
    modality="text",
    message="belief over the words that may stand in a gap",
    checkpoint="none shipped: debate train text_encoder_cloze --data FOLDER (SST-2)",
    licence="Apache-2.0 (code); SST-2 states none",
    backend="agents.models.text_encoder.cloze:TextEncoderCloze",
    training="agents.models.text_encoder.cloze_training:claims",
)
