"""The options of a benchmark."""

import dataclasses

import jax

from lanes.program.places import select_devices


@dataclasses.dataclass(frozen=True)
class Setting:
    """The options of a benchmark.

    Attributes:
        repeats: counted repetitions; None is the benchmark's own number.
        quick: small sizes and one repetition, to check that the benchmark works; the numbers mean nothing.
        peer_python: interpreter that has torch; None is this one.
        count: number of devices; None is all.
        widths: lanes computed at once in the training program; None is a few that suit the kind of device.
    """

    repeats: int | None = None
    quick: bool = False
    peer_python: str | None = None
    count: int | None = None
    widths: tuple[int, ...] | None = None

    def repetitions(self, usual: int) -> int:
        """Counted repetitions, where `usual` is the benchmark's own number."""
        return self.repeats or (1 if self.quick else usual)

    @property
    def devices(self) -> list[jax.Device]:
        """The devices to use."""
        return select_devices(self.count)

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are the host's."""
        return self.devices[0].platform == "cpu"

    def chosen_widths(self, on_cpu: tuple[int, ...]) -> tuple[int, ...]:
        """Widths to measure: `on_cpu`, or on a GPU 64 to 16,384."""
        if self.widths:
            return self.widths
        if self.quick:
            return on_cpu[-1:] if self.on_cpu else (64,)
        return on_cpu if self.on_cpu else (64, 256, 1024, 4096, 16384)
