"""A text file of the user's own, for nets that predict the next character."""

import dataclasses
import os

import numpy as np

from lanes.data.characters import next_tokens
from lanes.data.dataset import Dataset, Split, check_dataset, share
from lanes.data.own_files import content_of, found
from lanes.errors import RequestError


@dataclasses.dataclass(frozen=True)
class Text:
    """A text file, one token per character, whose targets are the next characters: `Text("book.txt", sequence=64)`.

    The vocabulary is that of the training text; characters of the other parts that it lacks share one more token.

    Args:
        path: of the file, from the current folder or from --data-dir.
        sequence: length of the sequences in characters, ≥ 1. They do not overlap.
        valid_fraction: fraction of the text before the test part, at its end, for validation; 0 for none.
        test_fraction: fraction of the text, at its end, for testing; 0 for none.
        encoding: of the file.
    """

    path: str
    sequence: int = 64
    valid_fraction: float = 0.1
    test_fraction: float = 0.1
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set.

        Raises:
            RequestError: the file is missing, empty, too short, or not text of this encoding.
            ValueError: a field is out of range.
        """
        if self.sequence < 1:
            raise ValueError(f"sequence={self.sequence}: must be at least 1")
        text = self._text(data_dir)
        held_out = share(len(text), self.test_fraction, "test_fraction")
        rest = len(text) - held_out
        sizes = {"test": held_out, "valid": share(rest, self.valid_fraction, "valid_fraction")}
        sizes["train"] = rest - sizes["valid"]
        for part, size in sizes.items():
            if size <= self.sequence and (size or part == "train"):
                raise RequestError(
                    f"{self.path} has {len(text)} characters, {size} of them for {part}: sequence={self.sequence} needs at least "
                    f"{self.sequence + 1}; choose a shorter sequence, or other fractions"
                )
        texts = {"train": text[:rest]} | ({"test": text[rest:]} if held_out else {})
        arrays, vocabulary = next_tokens(texts, self.sequence, self.valid_fraction)
        splits = {part: Split(*pair) for part, pair in arrays.items()}
        return check_dataset(
            Dataset(
                name=os.path.basename(self.path),
                version="user",
                train=splits["train"],
                valid=splits.get("valid"),
                test=splits.get("test"),
                task="tokens",
                outputs=len(vocabulary),
                offset=np.zeros((), np.float32),
                scale=np.ones((), np.float32),
                classes=vocabulary,
                vocabulary=vocabulary,
                standardize="none",
                seeded=False,
            )
        )

    def _text(self, data_dir: str | None) -> str:
        content = content_of(found(self.path, data_dir, "file"))
        utf8 = self.encoding.lower().replace("_", "-") in ("utf-8", "utf8")
        try:
            text = content.decode("utf-8-sig" if utf8 else self.encoding)
        except UnicodeDecodeError as error:
            raise RequestError(
                f"{self.path} is not {self.encoding} text (byte {error.object[error.start]:#04x} at position {error.start}): "
                "state its encoding, as in Text(…, encoding='latin-1')"
            ) from None
        except (LookupError, ValueError) as error:
            raise RequestError(f"encoding={self.encoding!r} cannot be used ({error}): name that of the text") from None
        if not text:
            raise RequestError(f"{self.path} is empty: give a text")
        return text
