"""What a benchmark is told."""

import dataclasses

import jax

from lanes.program.places import select_devices


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a benchmark is told.

    Attributes:
        repeats: repetitions; None is the benchmark's own number.
        quick: small sizes, one repetition: shows that it works, measures nothing.
        peer_python: interpreter that has torch; None is this one.
        count: devices; None is all.
        widths: lanes at once of the pack programs; None is a few that fit the kind of device.
    """

    repeats: int | None = None
    quick: bool = False
    peer_python: str | None = None
    count: int | None = None
    widths: tuple[int, ...] | None = None

    def repetitions(self, usual: int) -> int:
        """How many to take where `usual` is the benchmark's own number."""
        return self.repeats or (1 if self.quick else usual)

    @property
    def devices(self) -> list[jax.Device]:
        """The devices that are used."""
        return select_devices(self.count)

    @property
    def on_cpu(self) -> bool:
        """Whether they are the host's."""
        return self.devices[0].platform == "cpu"

    def chosen_widths(self, on_cpu: tuple[int, ...]) -> tuple[int, ...]:
        """Widths to measure; on a GPU from 64 lanes to 16,384."""
        if self.widths:
            return self.widths
        if self.quick:
            return on_cpu[-1:] if self.on_cpu else (64,)
        return on_cpu if self.on_cpu else (64, 256, 1024, 4096, 16384)
