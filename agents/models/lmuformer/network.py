"""Which network a config asks for."""

from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.model import LMUFormer
from agents.models.lmuformer.spiking import SpikingLMUFormer
from agents.models.lmuformer.stream import Streamed


def network(config: LMUFormerConfig) -> Streamed:
    """Return the network of a config, with random weights."""
    return SpikingLMUFormer(config) if config.spiking else LMUFormer(config)
