"""Text that a trained next-token net writes, character by character."""

import os

import jax
import jax.numpy as jnp

from lanes.analysis.sampling import sample_text
from lanes.data.characters import UNKNOWN, encode
from lanes.errors import RequestError
from lanes.results.tables import load
from lanes.results.versions import of_present_versions
from lanes.storage.directory import existing
from lanes.storage.trained import data_of, find_run, restored, run_of


def write_text(
    directory: str | os.PathLike[str],
    run_id: str | None = None,
    *,
    length: int = 400,
    start: str | None = None,
    temperature: float = 0.8,
    seed: int = 0,
    data_dir: str | None = None,
    trust: bool = True,
) -> str:
    """Text that a trained run writes: `start`, and `length` characters drawn one by one from softmax(logits / temperature).

    Args:
        directory: of the sweep.
        run_id: the run's identity or a prefix of it; None: the run with the lowest validation loss.
        length: characters to write.
        start: text to continue; None: a line break, or the first character of the vocabulary.
        temperature: below 1 favours likely characters, above 1 rare ones; 0 always takes the likeliest.
        seed: of the draws.
        data_dir: where the data are looked for first.
        trust: False refuses to execute the directory's copy of the experiment, which is code.

    Raises RequestError for a run that was not trained on text, a start with characters that the text lacks, and as `restore`.
    """
    if not temperature >= 0 or length < 1 or start == "":
        raise RequestError("temperature must be 0 or more, length at least 1, and start not empty")
    (opened,) = existing([directory])
    if run_id is None:
        table = of_present_versions(load(directory))[0].dropna(subset=["valid_loss"])
        if table.empty:
            raise RequestError(f"{opened.path} has no run with a validation loss yet: train it first, or name a run")
        run_id = str(table.sort_values("valid_loss")["run_id"].iloc[0])
    run = run_of(opened, find_run(opened, run_id), trust)
    data = data_of(opened, run, data_dir)
    if data.task != "tokens" or not data.vocabulary:
        raise RequestError(f"run {run_id} was trained on {data.name}, which is not text: choose a run on text")
    if start is None:
        start = "\n" if "\n" in data.vocabulary else data.vocabulary[0]
    strange = sorted(set(start) - set(data.vocabulary))
    if strange and UNKNOWN not in data.vocabulary:
        raise RequestError(f"start holds {strange[0]!r}, which {data.name} lacks: begin with characters of the text")
    net, variables = restored(opened, run_id, data_dir=data_dir, trust=trust)
    prompt = encode(start, data.vocabulary, len(data.vocabulary) - 1)
    tokens = sample_text(net, variables, jnp.asarray(prompt), length, temperature, jax.random.key(seed))
    return start + "".join(data.vocabulary[token] for token in tokens)
