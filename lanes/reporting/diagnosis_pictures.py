"""Pictures of diagnoses: functions of their tables that return matplotlib figures by name.

They read nothing but the tables, so that a page can draw them from the Parquet files.
"""

import io
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from lanes.reporting import diagnosis_images, diagnosis_maps
from lanes.reporting.run_labels import labels
from lanes.results.diagnosis import Tables, write_file

MOST_RUNS = 8  # drawn in one picture
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")  # Okabe and Ito 2008

Picture = Callable[[Tables], dict[str, Figure]]


def activations(tables: Tables) -> dict[str, Figure]:
    """Standard deviation and dead share of each layer, a line per run."""
    table = tables["activations"]
    figure = Figure(figsize=(7, 3), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), ("std", "dead"), strict=True):
        for color, (run_id, name) in zip(COLORS, labels(table).items()):
            own = table[table["run_id"] == run_id]
            axes.plot(own["depth"], own[column], "o-", color=color, markersize=3, linewidth=1, label=name)
        axes.set(xlabel="layer", title=column)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", fontsize=7, ncols=2)
    return {"activations": figure}


PICTURES: dict[str, Picture] = {
    "activations": activations,
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
                write_file(paths[-1], _drawn(figure, ending))
    return paths


def _drawn(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=110)
    return buffer.getvalue()


def note(tables: Tables) -> str:
    """A sentence on the runs that pictures leave out; empty if there are none."""
    count = max((table["run_id"].nunique() for table in tables.values()), default=0)
    return f"pictures show {MOST_RUNS} of {count} runs; the tables have all" if count > MOST_RUNS else ""
