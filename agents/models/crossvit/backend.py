"""An agent that sees with small and with large patches at once."""

from agents.models.crossvit import official
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import CrossViT
from agents.models.vision.published import PublishedPictures


class CrossViTBackend(PublishedPictures):
    """A belief over the model's labels, or over a question's options."""

    model: CrossViT
    what = "CrossViT"
    config_type, network = CrossViTConfig, CrossViT
    renamed, sizes_of = official.renamed, official.official_config
