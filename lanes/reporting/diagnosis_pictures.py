"""Pictures of diagnoses: functions of their tables that return matplotlib figures by name.

They read nothing but the tables, so that they can be drawn again from the Parquet files.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lanes.reporting import diagnosis_images, diagnosis_lines, diagnosis_maps
from lanes.reporting.diagnosis_lines import MOST_RUNS
from lanes.results.diagnosis import Tables, write_file

Picture = Callable[[Tables], dict[str, Figure]]

PICTURES: dict[str, Picture] = {
    "activations": diagnosis_lines.activations,
    "gradients": diagnosis_lines.gradients,
    "curvature": diagnosis_lines.curvature,
    "rank": diagnosis_lines.rank,
    "jacobian": diagnosis_lines.jacobian,
    "interpolation": diagnosis_maps.interpolation,
    "landscape": diagnosis_maps.landscape,
    "filters": diagnosis_images.filters,
    "maximized_inputs": diagnosis_images.maximized_inputs,
    "saliency": diagnosis_images.saliency,
    "reconstructions": diagnosis_images.reconstructions,
    "traversals": diagnosis_images.traversals,
    "latent_map": diagnosis_maps.latent_map,
    "decision_regions": diagnosis_maps.decision_regions,
}


def write_pictures(what: tuple[str, ...], tables: Tables, folder: Path) -> list[Path]:
    """Write the pictures of diagnoses as FOLDER/NAME.png and .svg; return the files.

    Raises RequestError if the folder cannot be written.
    """
    paths = []
    for name in what:
        figures = PICTURES[name](tables) if name in PICTURES else {}
        for title, figure in figures.items():
            for ending in ("png", "svg"):
                paths.append(folder / f"{title}.{ending}")
                write_file(paths[-1], drawn(figure, ending))
    return paths


def drawn(figure: Figure, ending: str, **options: Any) -> bytes:
    """A figure as the content of a file, the same bytes each time."""
    buffer = io.BytesIO()
    undated = {"Date": None} if ending == "svg" else {}
    figure.savefig(buffer, format=ending, dpi=110, metadata=undated, **options)
    return buffer.getvalue()


def note(tables: Tables) -> str:
    """A sentence on the runs that pictures leave out; empty if there are none."""
    count = max((table["run_id"].nunique() for table in tables.values()), default=0)
    return f"pictures show {MOST_RUNS} of {count} runs; the tables have all" if count > MOST_RUNS else ""
