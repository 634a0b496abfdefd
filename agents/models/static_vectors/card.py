"""The card of static word vectors."""

from agents.beliefs.cards import Card

CARD = Card(
    name="static_vectors",
    paper="Mikolov et al., 2013, arXiv:1301.3781; Pennington et al., 2014; Bojanowski et al., 2017, arXiv:1607.04606",
    modality="text",
    message="belief over the question's options, by cosine of mean word vectors",
    checkpoint="none shipped: a file of word2vec (text or binary), GloVe (.txt) or fastText (.vec)",
    licence="Apache-2.0 (code); a published file has its own",
    backend="agents.models.static_vectors.backend:StaticVectors",
)
