"""What models of sentences share: vocabulary, corpora, pooling, contrastive losses, beliefs over options by similarity."""
