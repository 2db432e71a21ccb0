"""Text as integer tokens, one per character."""

from collections.abc import Mapping, Sequence

import numpy as np

from lanes.errors import RequestError

UNKNOWN = "\ufffd"  # stands for characters that the training text lacks


def next_tokens(
    texts: Mapping[str, str], sequence: int, valid_fraction: float
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Sequences of characters, with the next characters as targets.

    Args:
        texts: the text of train and optionally of valid and test.
        sequence: T. Windows do not overlap; a remainder of fewer than T characters at the end is dropped.
        valid_fraction: fraction of the training text, taken from its end, that becomes valid.

    Returns:
        part → (x int32 [N, T], y int32 [N, T]) with y[n, t] the token after x[n, t]; and the vocabulary: the sorted
        characters of the training text, and UNKNOWN last if another part has characters that it lacks.

    Raises:
        RequestError: a part is too short for one sequence.
    """
    texts = dict(texts)
    if valid_fraction:
        end = len(texts["train"]) - round(len(texts["train"]) * valid_fraction)
        texts["train"], texts["valid"] = texts["train"][:end], texts["train"][end:]
    vocabulary = sorted(set(texts["train"]))
    if set().union(*texts.values()) - set(vocabulary):
        vocabulary.append(UNKNOWN)
    arrays = {}
    for part, text in texts.items():
        count = (len(text) - 1) // sequence
        if count < 1:
            raise RequestError(
                f"text of {part} has {len(text)} characters; sequence={sequence} needs at least {sequence + 1}"
            )
        tokens = encode(text, vocabulary, len(vocabulary) - 1)
        arrays[part] = tuple(tokens[shift : shift + count * sequence].reshape(count, sequence) for shift in (0, 1))
    return arrays, tuple(vocabulary)  # type: ignore[return-value]


def padded_texts(texts: Mapping[str, Sequence[str]], sequence: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The first `sequence` characters of each text, for sets with one target per text.

    Returns:
        part → int32 [N, sequence], padded with 0; and the vocabulary: "" for token 0, which also stands for characters
        that the training texts lack, then the sorted characters of the training texts.
    """
    vocabulary = ["", *sorted(set().union(*map(set, texts["train"])))]
    arrays = {}
    for part, lines in texts.items():
        tokens = np.zeros((len(lines), sequence), np.int32)
        for row, line in enumerate(lines):
            tokens[row, : len(line[:sequence])] = encode(line[:sequence], vocabulary, 0)
        arrays[part] = tokens
    return arrays, tuple(vocabulary)


def encode(text: str, vocabulary: Sequence[str], unknown: int) -> np.ndarray:
    """int32 [len(text)]: each character's index in the vocabulary, or `unknown`."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    known = np.array([ord(character) if len(character) == 1 else 0xFFFFFFFF for character in vocabulary], np.uint32)
    order = np.argsort(known)
    index = order[np.searchsorted(known, points, sorter=order).clip(max=len(known) - 1)]
    return np.where(known[index] == points, index, unknown).astype(np.int32)
