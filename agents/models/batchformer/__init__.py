"""BatchFormer (Hou, Yu and Tao, 2022): an encoder layer over the samples of a batch, there while a classifier is trained."""
