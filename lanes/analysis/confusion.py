"""Which classes a classifier takes for which, from its decisions on a set."""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class OfClasses(NamedTuple):
    """Scores of each class [K]; NaN where a class is never predicted (precision) or does not occur (recall).

    Attributes:
        precision: share of the examples predicted as the class that are of it.
        recall: share of the examples of the class that are predicted as it.
        f1: 2 P R / (P + R) = 2 right / (predicted + examples); NaN for a class that neither occurs nor is predicted.
        examples: number of examples of the class.
        predicted: number of examples predicted as the class.
    """

    precision: Array
    recall: Array
    f1: Array
    examples: Array
    predicted: Array


def confusion_matrix(targets: Array, decisions: Array, classes: int) -> Array:
    """int64 [K, K]: how many examples of class i (row) are taken for class j (column).

    Args:
        targets: the classes 0 … K - 1 of the examples, of any shape.
        decisions: the predicted classes, of the same shape.
        classes: K.
    """
    from sklearn.metrics import confusion_matrix as counted  # half a second, and only here

    return counted(np.ravel(targets), np.ravel(decisions), labels=np.arange(classes)).astype(np.int64)


def of_classes(matrix: Array) -> OfClasses:
    """The scores of each class, from a confusion matrix [K, K].

    Reference: van Rijsbergen, 1979
    """
    right, examples, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return OfClasses(right / predicted, right / examples, 2 * right / (predicted + examples), examples, predicted)
