"""Directories as someone would craft them: names, descriptions and sizes that lead elsewhere, under right checksums.

Each craft changes a copy of the small sweep, beside which the folder `outside` lies: an unrelated sweep, and files that
nothing may touch. With each stands the exit status of load, report, restore, evaluate and resume.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from crafting import checkpoint_of, describe, in_sweep, repeat, reseal, resum, set_column
from injuries import ignore

from lanes import files
from lanes.describe.public_names import ROOTS
from lanes.storage import checkpoints
from lanes.storage.directory import Directory
from lanes.storage.tables import read_table, verified, write_table

Craft = Callable[[Path, Path], None]


# ---- names that become paths -------------------------------------------------------------------------------------


def pack(name: str) -> Craft:
    """Planned runs in a pack of this name."""
    return lambda out, outside: set_column(out, "pack", name.format(outside=outside))


def experiment(name: str) -> Craft:
    """Planned runs whose experiment has a copy of this name."""

    def craft(out: Path, outside: Path) -> None:
        set_column(out, "experiment", name.format(outside=outside))
        set_column(out, "experiment_sha256", "0" * 64)

    return craft


def modules(folder: str, *paths: str) -> Craft:
    """Planned runs with copied modules in this folder."""

    def craft(out: Path, outside: Path) -> None:
        named = {path.format(outside=outside): "0" * 64 for path in paths}
        text = {"file": str(outside / "canary.py"), "folder": folder.format(outside=outside), "modules": named}
        set_column(out, "experiment_modules", json.dumps(text))

    return craft


def merged_packs(out: Path, outside: Path) -> None:
    """A joined part whose packs have names that lead outside."""
    source = next((out / "results").glob("*.parquet"))
    seal = verified(source)[1]
    table = read_table(source, seal.name)
    at, name = table.column_names.index("part"), f"../../{outside.name}/keep"
    table = table.set_column(at, table.schema.field("part"), pa.array([name] * len(table), pa.string()))
    joined = "results/merged-0123456789abcdef"
    marks = {name: next(iter(seal.marks.values()))}
    write_table(out / f"{joined}.parquet", table, dataclasses.replace(seal, name=joined, marks=marks))


def narrowed(out: Path, outside: Path) -> None:
    """Narrowed packs that are named by paths."""
    in_sweep(out, narrowed={f"../../{outside.name}": 1, "\0": 2, "a\nb": "x"})


def dotted_part(out: Path, outside: Path) -> None:  # noqa: ARG001
    """A part whose stem is `..`."""
    source = next((out / "results").glob("*.parquet"))
    seal = verified(source)[1]
    named = dataclasses.replace(seal, name="results/..", marks={"..": next(iter(seal.marks.values()))})
    write_table(out / "results" / "...parquet", read_table(source, seal.name), named)


# ---- halving -----------------------------------------------------------------------------------------------------


def halving(**fields: Any) -> Craft:
    """A directory that says it was begun with this halving."""
    whole = {"rungs": [2, 4], "keep": 0.5, "metric": "valid_loss", **fields}
    return lambda out, outside: in_sweep(out, halving=json.loads(json.dumps(whole).replace("OUTSIDE", str(outside))))


# ---- descriptions ------------------------------------------------------------------------------------------------


def symbol(name: str, **more: Any) -> dict[str, Any]:
    """A function or class in a description, of some version where it needs one."""
    version = {} if name.partition(":")[0].split(".")[0] in ROOTS else {"version": "0" * 16}
    return {"symbol": name, **version, **more}


def calling(name: str, *args: Any, **keywords: Any) -> dict[str, Any]:
    """A call of a function in a description."""
    return {"partial": symbol(name), "args": list(args), "keywords": keywords}


def field(name: str, value: Any) -> Craft:
    """Planned runs with this value in a field's description; OUTSIDE stands for the folder outside."""
    return lambda out, outside: describe(out, **{name: json.loads(json.dumps(value).replace("OUTSIDE", str(outside)))})


def nested(depth: int) -> Craft:
    """A description so deep that reading it exhausts the stack."""

    def craft(out: Path, outside: Path) -> None:  # noqa: ARG001
        set_column(out, "description", '{"data": ' * depth + "null" + "}" * depth)

    return craft


def endless(out: Path, outside: Path) -> None:  # noqa: ARG001
    """Data that are the codes of the run itself."""
    run_id = Directory(out, ignore).read_runs(["run_id"])["run_id"][0]
    inside = {"source": f"{out}:{run_id}", "data": None, "valid_fraction": None}
    describe(out, data=symbol("lanes:Encoded", fields=inside))


# ---- sizes -------------------------------------------------------------------------------------------------------


def many_rows(where: str) -> Craft:
    """A table of 10^9 rows, each column a single run of equal values, in less than a megabyte."""

    def craft(out: Path, outside: Path) -> None:  # noqa: ARG001
        for path in [out / where] if (out / where).is_file() else sorted((out / where).glob("*.parquet")):
            repeat(path, 1_000_000, 1000)

    return craft


def large_json(name: str) -> Craft:
    """A sealed file with hundreds of megabytes of zeros in a list."""

    def craft(out: Path, outside: Path) -> None:  # noqa: ARG001
        content = json.dumps({"format": 3, "narrowed": [0] * 1000})
        (out / name).write_text(content.replace("0, 0", ", ".join(["0"] * 300_000), 333))

    return craft


def deep_json(name: str) -> Craft:
    """A sealed file nested so deeply that reading it exhausts the stack."""

    def craft(out: Path, outside: Path) -> None:  # noqa: ARG001
        (out / name).write_text('{"format": ' + "[" * 10**6 + "]" * 10**6 + "}")

    return craft


# ---- checkpoints -------------------------------------------------------------------------------------------------


def leaves_elsewhere(out: Path, outside: Path) -> None:
    """A checkpoint whose arrays have paths as names."""
    at = checkpoint_of(out)
    text = (at / "_METADATA").read_text()
    (at / "_METADATA").write_text(text.replace("best_epoch", f"../../../../../{outside.name}/array"))
    resum(at)


def huge_arrays(out: Path, outside: Path) -> None:  # noqa: ARG001
    """A checkpoint whose arrays would take petabytes, of which nothing is stored."""
    import tensorstore as ts

    at = checkpoint_of(out)
    store = {"driver": "ocdbt", "base": f"file://{at}/"}
    for name in ("best_epoch", "epochs"):
        spec = {"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}, "dtype": "int32"}
        ts.open(spec, create=True, delete_existing=True, shape=[10**14]).result()
    resum(at)


def files_elsewhere(out: Path, outside: Path) -> None:
    """A checkpoint whose list of checksums names files outside."""
    at = checkpoint_of(out)
    keep = outside / "keep.txt"
    sums = {f"../../../../{outside.name}/keep.txt": checkpoints.digest(keep), str(keep): checkpoints.digest(keep)}
    reseal(at / checkpoints.CHECKSUMS, lambda content: content["files"].update(sums))


def numbered(number: str) -> Craft:
    """A checkpoint under a number that no training reaches, or that only looks like one."""

    def craft(out: Path, outside: Path) -> None:  # noqa: ARG001
        at = checkpoint_of(out)
        target = at.with_name(number)
        at.rename(target)
        reseal(target / checkpoints.CHECKSUMS, lambda content: content.update(number=int(number)))

    return craft


# ---- links -------------------------------------------------------------------------------------------------------


def linked(name: str, target: str) -> Craft:
    """A link in the place of a file or folder: PACK and N stand for a pack and the number of its checkpoint."""

    def craft(out: Path, outside: Path) -> None:
        at = checkpoint_of(out)
        path = out / name.replace("PACK", at.parent.name).replace("N", at.name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(outside / target)

    return craft


def unfinished(out: Path, outside: Path) -> None:
    """What a killed worker may have left: folders and links under the names of temporary files and set-aside ones."""
    at = checkpoint_of(out)
    (at.parent / f".{at.name}.{_host()}-{_dead()}-0123abcd.tmp").symlink_to(outside / "folder")
    for name in (f".notes.{_host()}-{_dead()}-0123abcd.tmp", "damaged-0-7", "7"):
        (at.parent / name).mkdir()
        (at.parent / name / "mine.txt").write_text("kept")
    (at.parent / "7" / "_CHECKPOINT_METADATA").symlink_to(outside / "keep.txt")
    (out / "results" / f".x.{_host()}-{_dead()}-0123abcd.tmp").symlink_to(outside / "keep.txt")


def _host() -> str:
    return files.temporary_beside(Path("x")).name.split(".")[2].split("-")[0]


def _dead() -> int:
    return 2**22 - 1


# ---- other sweeps ------------------------------------------------------------------------------------------------


def from_elsewhere(where: str) -> Craft:
    """Runs that start from the weights of another sweep, which is damaged."""
    return lambda out, outside: describe(out, init_from=_named(out, outside, where))


def codes_of(where: str) -> Craft:
    """Runs whose data are the codes of a run of another sweep."""

    def craft(out: Path, outside: Path) -> None:
        inside = {"source": _named(out, outside, where), "data": None, "valid_fraction": None}
        describe(out, data=symbol("lanes:Encoded", fields=inside))

    return craft


def _named(out: Path, outside: Path, where: str) -> str:
    run_id = Directory(out, ignore).read_runs(["run_id"])["run_id"][0]
    return where.replace("OUTSIDE", str(outside)).replace("RUN", run_id)


CRAFTS: dict[str, tuple[Craft, str]] = {
    # names
    "pack above": (pack("../../outside/folder"), "22220"),
    "pack absolute": (pack("{outside}/folder"), "22220"),
    "pack NUL": (pack("ab\0cd"), "22220"),
    "pack newline": (pack("ab\ncd"), "22220"),
    "experiment above": (experiment("../outside/canary.py"), "22220"),
    "experiment absolute": (experiment("{outside}/canary.py"), "22220"),
    "experiment NUL": (experiment("experiment\0.py"), "22220"),
    "experiment is the table": (experiment("runs.parquet"), "22220"),
    "modules above": (modules("../outside", "canary.py"), "22220"),
    "modules absolute": (modules("", "{outside}/keep.txt"), "22220"),
    "modules with NUL": (modules("a\0b", "c\nd.py"), "22220"),
    "modules are results": (modules("", "results/x.py", "sweep.json"), "22220"),
    "merged packs above": (merged_packs, "00000"),
    "part of two dots": (dotted_part, "00000"),
    "narrowed above": (narrowed, "00000"),
    # halving
    "halving above": (halving(rungs=["../../outside/folder"]), "00000"),
    "halving huge": (halving(rungs=[10**9, 10**30]), "00002"),
    "halving many": (halving(rungs=list(range(1, 200_000))), "00002"),
    "halving keep": (halving(keep=1e300), "00000"),
    "halving metric": (halving(metric="OUTSIDE/folder"), "00002"),
    "halving no mapping": (lambda out, _: in_sweep(out, halving=[1, 2]), "00000"),
    # code
    "os.system": (field("activation", calling("os:system", "touch OUTSIDE/executed")), "00220"),
    "subprocess": (field("loss", calling("subprocess:run", ["touch", "OUTSIDE/executed"])), "00220"),
    "ctypes": (field("activation", symbol("ctypes:CDLL", fields={"name": "OUTSIDE/library.so"})), "00220"),
    "shutil": (field("data", calling("shutil:rmtree", "OUTSIDE/folder")), "00220"),
    "importlib": (field("data", calling("importlib:import_module", "antigravity")), "00220"),
    "jax.numpy.load": (field("data", calling("jax.numpy:load", "OUTSIDE/array.npy", allow_pickle=True)), "00220"),
    "jax.numpy.save": (field("activation", calling("jax.numpy:save", "OUTSIDE/executed.npy")), "00220"),
    "jax.tools": (field("activation", symbol("jax.tools.colab_tpu:setup_tpu")), "00220"),
    "jax.profiler": (field("activation", calling("jax.profiler:start_server", 9999)), "00220"),
    "jax.export": (field("activation", symbol("jax:export.deserialize")), "00220"),
    "our own sweep": (field("data", calling("lanes:sweep", [], "OUTSIDE/folder")), "00220"),
    "a callable as data": (field("data", symbol("jax.nn:relu")), "00220"),
    "a test as data": (field("data", calling("injuries:copy", "OUTSIDE/folder", "OUTSIDE/executed")), "00220"),
    "nested partials": (field("activation", {**calling("optax:sgd"), "partial": calling("os:abort")}), "00220"),
    "no version": (field("activation", {"symbol": "injuries:kill"}), "00220"),
    "no fields": (field("net", symbol("nets:MLP", fields={"parent": calling("os:abort"), "nothing": 1})), "00220"),
    "unknown field": (field("harm", {"symbol": "os:abort"}), "22220"),
    "no shape": (field("optimizer", {"partial": 3}), "00220"),
    # sizes
    "nested description": (nested(100_000), "22220"),
    "no JSON": (lambda out, _: set_column(out, "description", "__import__('os').abort()"), "22220"),
    "rows of runs": (many_rows("runs.parquet"), "33333"),
    "rows of results": (many_rows("results"), "33033"),
    "rows of curves": (many_rows("curves"), "33000"),
    "deep sweep.json": (deep_json("sweep.json"), "00000"),
    "large sweep.json": (large_json("sweep.json"), "00000"),
    "pack shape": (lambda out, _: set_column(out, "pack_shape", f"{10**12},{10**12},1,aaba062373de"), "22220"),
    "lane": (lambda out, _: set_column(out, "lane", 2**62), "22220"),
    "asked by": (lambda out, _: set_column(out, "asked_by", json.dumps([{"file": "\0", "set": 1}])), "22220"),
    # checkpoints
    "leaves elsewhere": (leaves_elsewhere, "00220"),
    "huge arrays": (huge_arrays, "00220"),
    "files elsewhere": (files_elsewhere, "00220"),
    "number too high": (numbered("99999999999999999"), "00220"),
    "number of other digits": (numbered("\u0663\u0663"), "00220"),
    # links
    "checkpoints linked": (linked("checkpoints", "folder"), "00222"),
    "checkpoint linked": (linked("checkpoints/PACK/N", "checkpoint"), "00220"),
    "pack linked": (linked("checkpoints/PACK", "pack"), "00220"),
    "results linked": (linked("results", "folder"), "02002"),
    "curves linked": (linked("curves", "folder"), "00002"),
    "claims linked": (linked("claims", "folder"), "00002"),
    "claim linked": (linked("claims/PACK", "keep.txt"), "00000"),
    "plan linked": (linked("claims/plan", "made"), "00000"),
    "experiment linked": (linked("experiment.py", "canary.py"), "00220"),
    "report linked": (linked("report.html", "keep.txt"), "00000"),
    "sweep.json linked": (linked("sweep.json", "keep.txt"), "00000"),
    "leftovers": (unfinished, "00000"),
    # other sweeps
    "init_from a damaged sweep": (from_elsewhere("OUTSIDE/sweep:RUN"), "00020"),
    "init_from NUL": (from_elsewhere("a\0b:0123abcd"), "00020"),
    "codes of itself": (endless, "00220"),
    "codes of a damaged sweep": (codes_of("OUTSIDE/sweep:RUN"), "00220"),
}
