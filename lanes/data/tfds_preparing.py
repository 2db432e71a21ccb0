"""Preparing TFDS sets: the only code that downloads, and only when told to."""

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

PLAIN_FEATURES = ("Tensor", "Scalar", "ClassLabel")  # can be written without TensorFlow


@dataclasses.dataclass(frozen=True)
class Plan:
    """What preparing a set would do.

    Attributes:
        builder: TFDS's builder.
        folder: the TFDS data folder that the set is written to.
        downloads: address → bytes of each file to download (None if TFDS records no size).
        nbytes: size of all downloads, 0 if TFDS does not record it.
        needs_tensorflow: whether some feature can only be written by TensorFlow.
    """

    builder: Any
    folder: Path
    downloads: dict[str, int | None]
    nbytes: int
    needs_tensorflow: bool

    def lines(self) -> list[str]:
        """The plan in words, for printing."""
        info = self.builder.info
        size = f"{self.nbytes / 2**20:.1f} MiB" if self.nbytes else "a size that TFDS does not record"
        lines = [f"{info.full_name}: would download {size} and write {self.folder / info.full_name}"]
        for address, nbytes in self.downloads.items():
            lines.append(f"  {address}" + (f"  {nbytes:,} bytes" if nbytes else ""))
        if not self.downloads:
            lines.append("  TFDS records no addresses: the builder decides at run time what to download")
        if self.needs_tensorflow and not has_tensorflow():
            lines.append("  needs TensorFlow, which is not installed: pip install -e '.[tensorflow]'")
        return lines


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def plan(name: str, data_dir: str | None) -> Plan | Path | None:
    """The plan for preparing a set; its folder if it is prepared or needs no download; None if it is generated.

    Raises:
        RequestError: an unknown name, one without a TFDS builder, or no folder that can be written.
    """
    description = DATASETS.get(name)
    if isinstance(description, Digits):
        folder = prepared_digits(data_dir)
        if folder is None:
            raise RequestError(f"{name}: no folder can be written: give --data-dir, or set LANES_CACHE_DIR")
        return folder
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


def prepare(plan: Plan, say: Callable[[str], None] = print) -> Path:
    """Downloads and prepares a set; returns its folder. TensorFlow, if needed, is kept off the GPUs.

    Raises:
        RequestError: TensorFlow is needed but not installed, or a download or the builder failed.
    """
    import tensorflow_datasets as tfds

    name = plan.builder.info.name
    if plan.needs_tensorflow:
        if not has_tensorflow():
            raise RequestError(f"{name}: needs TensorFlow to be prepared: pip install -e '.[tensorflow]'")
        _hide_gpus()
    downloads = plan.folder / "downloads"
    # TFDS names extracted folders by the archive's base name, so sets with equal base names would read each other's files.
    config = tfds.download.DownloadConfig(extract_dir=str(downloads / "extracted" / name))
    try:
        plan.builder.download_and_prepare(download_dir=str(downloads / name), download_config=config)
    except Exception as error:  # networks, archives and builders raise anything
        raise RequestError(f"{name}: preparing failed: {first_line(error)}; repeat the command to try again") from error
    say(f"{plan.builder.info.full_name}: prepared in {plan.builder.data_dir}")
    return Path(str(plan.builder.data_dir))


def _hide_gpus() -> None:
    """Hides the GPUs from TensorFlow, which would take all of their memory."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow

    tensorflow.config.set_visible_devices([], "GPU")
