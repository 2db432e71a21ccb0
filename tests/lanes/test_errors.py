import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes.errors import RequestError, printable


@given(st.text())
def test_printable_text_has_no_control_character_and_ordinary_text_stays(text):
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\rb", "a b"),  # white space joins
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("naïve ± µ", "naïve ± µ"),
    ],
)
def test_errors_cannot_steer_a_terminal(text, shown):
    assert str(RequestError(text)) == shown
