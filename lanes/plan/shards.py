"""The packs of a sweep split over shards: which packs a shard trains, and which shards have runs left."""

from collections.abc import Collection, Iterator, Sequence

from lanes.plan.packs import Pack


def part(packs: Sequence[Pack], todo: Sequence[Pack], index: int, count: int) -> list[Pack]:
    """The packs of `todo` that shard `index` of `count` trains: those among packs index, index + count, … of all."""
    unfinished = {pack.pack_id for pack in todo}
    return [pack for pack in packs[index::count] if pack.pack_id in unfinished]


def waiting(packs: Sequence[Pack], ended: Collection[str], count: int) -> Iterator[str]:
    """`shard 2/4 (16 runs)` for each shard with runs that have not ended."""
    for index in range(count):
        left = sum(member.run_id not in ended for pack in packs[index::count] for member in pack.members)
        if left:
            yield f"shard {index}/{count} ({left} runs)"
