"""What agents that see share: patches, attention and blocks, pixels as a model takes them, CIFAR-10's recipe."""
