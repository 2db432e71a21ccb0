"""How many epochs a call of the training program trains."""

from hypothesis import given
from hypothesis import strategies as st

from lanes.engine.options import CHUNK_SECONDS
from lanes.engine.resident_epochs import without_beginning


@given(st.floats(1e-6, 1e6))
def test_what_a_first_call_takes_longer_is_a_bounded_part_of_it(seconds):
    later = without_beginning(seconds)
    assert seconds / 1.4 <= later < seconds
    assert seconds - later <= 0.1 + 1e-9 * seconds


def test_short_epochs_make_one_chunk_and_long_ones_do_not():
    """Nineteen epochs of 0.2 s follow a first one that took 0.35 s; a first one of 4 s is hardly shorter later."""
    assert CHUNK_SECONDS / without_beginning(0.35) >= 19
    assert CHUNK_SECONDS / without_beginning(4.0) < 2
