"""CrossViT: two vision transformers that exchange class tokens (Chen, Fan and Panda, ICCV 2021, arXiv:2103.14899)."""
