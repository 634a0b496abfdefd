"""Word vectors that do not depend on what stands around a word: files of word2vec, GloVe and fastText as an embedding backend."""
