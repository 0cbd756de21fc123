"""How far apart things are in WordNet 3.0: the nouns that labels stand for, and the paths between them.

The nouns of ImageNet-1k, CIFAR-10, CIFAR-100, Fashion-MNIST, the digits and ``shapes``, with all that is above them,
are embedded; any other is read from NLTK's WordNet, which ``biaskit fetch wordnet`` downloads.

>>> distances(["dog.n.01", "cat.n.01", "n02958343"])
array([[ 0,  4, 12],
       [ 4,  0, 17],
       [12, 17,  0]])
>>> synsets_of(["ray", "bowl"], source="cifar100")
('ray.n.07', 'bowl.n.01')
"""

from __future__ import annotations

from biaskit.wordnet._distances import distances
from biaskit.wordnet._labels import synsets_of
from biaskit.wordnet._nltk import fetch

__all__ = ["distances", "fetch", "synsets_of"]
