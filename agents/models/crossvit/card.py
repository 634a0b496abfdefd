"""The card of CrossViT."""

from agents.beliefs.cards import Card

CARD = Card(
    name="crossvit",
    paper="Chen, Fan and Panda, 2021, arXiv:2103.14899",
    modality="image",
    message="belief over classes of pictures, or over the question's options",
    checkpoint="none shipped: debate train crossvit --data FOLDER (CIFAR-10); an official file of timm's or IBM's",
    licence="Apache-2.0 (code); CIFAR-10 states none",
    backend="agents.models.crossvit.backend:CrossViTBackend",
    training="agents.models.crossvit.training:claims",
    recipes=(("batchformer", "Hou, Yu and Tao, 2022, arXiv:2203.01522", "agents.models.crossvit.batchformer:claims"),),
)
