"""An agent that sees patches and what is inside each."""

from agents.models.tnt import official
from agents.models.tnt.config import TNTConfig
from agents.models.tnt.model import TNT
from agents.models.vision.published import PublishedPictures


class TNTBackend(PublishedPictures):
    """A belief over the model's labels, or over a question's options."""

    model: TNT
    what = "TNT"
    config_type, network = TNTConfig, TNT
    renamed, sizes_of = official.renamed, official.official_config
