"""The experiment of the witnesses: its models trained, its debates played, its table made from their run folders."""
