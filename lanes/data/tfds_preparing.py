"""Preparing TFDS sets: the only code here that downloads, and only after it was asked to."""

import dataclasses
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lanes.data.array_cache import data_dirs
from lanes.data.digits import Digits, prepared_digits
from lanes.data.loading import DATASETS, named
from lanes.data.tfds import TFDS
from lanes.data.tfds_records import find_prepared, first_line, quiet
from lanes.errors import RequestError

PLAIN_FEATURES = ("Tensor", "Scalar", "ClassLabel")  # written without TensorFlow


@dataclasses.dataclass(frozen=True)
class Plan:
    """What preparing a set would do.

    Attributes:
        builder: TFDS's builder.
        folder: the TFDS data folder that the set goes to.
        downloads: address → bytes of each recorded file (None where TFDS records no size).
        nbytes: size of the whole download, 0 where TFDS does not record it.
        needs_tensorflow: some feature can only be written by TensorFlow.
    """

    builder: Any
    folder: Path
    downloads: dict[str, int | None]
    nbytes: int
    needs_tensorflow: bool

    def lines(self) -> list[str]:
        """The plan in plain words."""
        info = self.builder.info
        size = f"{self.nbytes / 2**20:.1f} MiB" if self.nbytes else "a size that TFDS does not record"
        lines = [f"{info.full_name}: would download {size} and write {self.folder / info.full_name}"]
        for address, nbytes in self.downloads.items():
            lines.append(f"  {address}" + (f"  {nbytes:,} bytes" if nbytes else ""))
        if not self.downloads:
            lines.append("  TFDS records no addresses: its builder decides at run time what to fetch")
        if self.needs_tensorflow and not has_tensorflow():
            lines.append("  needs TensorFlow, which is not installed: pip install -e '.[tensorflow]'")
        return lines


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def plan(name: str, data_dir: str | None) -> Plan | Path | None:
    """What is to be done for a set: a plan; or the folder of one that is there or needs no download; None if generated.

    Raises:
        RequestError: an unknown name, or one that TFDS has no builder for.
    """
    description = DATASETS.get(name)
    if isinstance(description, Digits):
        return prepared_digits(data_dir)
    if description is not None and not isinstance(description, TFDS):
        return None
    found = find_prepared(name, data_dir)
    return _plan(name, data_dir) if found is None else found


def _plan(name: str, data_dir: str | None) -> Plan:
    import tensorflow_datasets as tfds

    folder = data_dirs(data_dir)[0]
    set_name = name.partition(":")[0].partition("/")[0]
    if set_name not in tfds.list_builders(with_community_datasets=False):
        if name in DATASETS:
            raise RequestError(
                f"{name!r} has no builder in TFDS and cannot be prepared here: copy its prepared folder into {folder}"
            )
        named(name, data_dir)  # raises, with the nearest name
    try:
        with quiet():
            builder = tfds.builder(name, data_dir=str(folder), file_format="array_record")
            downloads = {address: info.size for address, info in builder.url_infos.items()}
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{name}: TFDS's builder needs the module {error.name!r}: pip install {error.name}"
        ) from None
    features = {type(feature).__name__ for feature in builder.info.features.values()}
    return Plan(
        builder=builder,
        folder=folder,
        downloads=downloads,
        nbytes=int(builder.info.download_size or sum(nbytes or 0 for nbytes in downloads.values())),
        needs_tensorflow=bool(features - set(PLAIN_FEATURES)),
    )


def prepare(chosen: Plan, say: Callable[[str], None] = print) -> Path:
    """Downloads and prepares. TensorFlow, where it is needed, sees no GPU.

    Raises:
        RequestError: TensorFlow is needed and not installed, or a download or the builder failed.
    """
    import tensorflow_datasets as tfds

    name = chosen.builder.info.name
    if chosen.needs_tensorflow:
        if not has_tensorflow():
            raise RequestError(f"{name}: needs TensorFlow to be prepared: pip install -e '.[tensorflow]'")
        _hide_gpus()
    downloads = chosen.folder / "downloads"
    # TFDS names what it extracts by the archive's base name: sets of equal base names would read each other's files.
    config = tfds.download.DownloadConfig(extract_dir=str(downloads / "extracted" / name))
    try:
        chosen.builder.download_and_prepare(download_dir=str(downloads / name), download_config=config)
    except Exception as error:  # whatever a network, an archive or a builder raises
        raise RequestError(f"{name}: preparing failed: {first_line(error)}; the same command tries again") from error
    say(f"{chosen.builder.info.full_name}: prepared in {chosen.builder.data_dir}")
    return Path(str(chosen.builder.data_dir))


def _hide_gpus() -> None:
    """TensorFlow takes all memory of the GPUs that it sees, from other programs too."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow

    tensorflow.config.set_visible_devices([], "GPU")
