"""The segmenter: transformers' SegFormer, of which teaching looks at what its four stages begin and end with.

B batch, H x W pixels, h x w a stage's positions, N = hw, C width, K classes.
"""

from typing import Any, NamedTuple

from torch import Tensor, nn

from agents.models.transkd.config import SegmenterConfig


class Looked(NamedTuple):
    """What a segmenter makes of pictures.

    Attributes:
        scores: of classes, [B, K, H / 4, W / 4].
        features: what each stage ends with, [B, C, h, w].
        embeddings: what each stage begins with, its patches before any block [B, N, C].
    """

    scores: Tensor
    features: list[Tensor]
    embeddings: list[Tensor]


class Segmenter(nn.Module):
    """Scores of classes, of each fourth pixel in both directions."""

    def __init__(self, config: SegmenterConfig) -> None:
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        super().__init__()
        self.config = config
        sizes = SegformerConfig(
            num_labels=len(config.labels), hidden_sizes=list(config.widths), depths=list(config.depths),
            num_attention_heads=list(config.heads), sr_ratios=list(config.reductions), decoder_hidden_size=config.decoder,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout_prob=0.0, drop_path_rate=0.0,
        )  # fmt: skip
        self.net = SegformerForSemanticSegmentation(sizes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores [B, K, H / 4, W / 4] of standardised pictures [B, 3, H, W]."""
        found: Tensor = self.net(pixels).logits
        return found

    def looked(self, pixels: Tensor) -> Looked:
        """Return what it makes of standardised pictures [B, 3, H, W], stage by stage."""
        from transformers.models.segformer.modeling_segformer import SegformerOverlapPatchEmbeddings

        embeddings: list[Tensor] = []

        def keep(_: nn.Module, __: Any, made: Any) -> None:
            # Patches, and their height and width.
            embeddings.append(made[0])

        hooks = [
            each.register_forward_hook(keep)
            for each in self.net.modules()
            if isinstance(each, SegformerOverlapPatchEmbeddings)
        ]
        try:
            found = self.net(pixels, output_hidden_states=True)
        finally:
            for hook in hooks:
                hook.remove()
        return Looked(found.logits, list(found.hidden_states), embeddings)
