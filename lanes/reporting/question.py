"""The question on top of the page: the experiment's docstring."""

from collections.abc import Sequence

from lanes.reporting.markup import Markup, literal, paragraph, together
from lanes.results.questions import paragraphs


def question(texts: Sequence[str]) -> Markup:
    """Docstrings of experiments: the first paragraph of each as the question, what follows below it as it stands."""
    return together(*(_one(text) for text in texts))


def _one(text: str) -> Markup:
    first, *rest = paragraphs(text)
    inside = together(*(literal(each) if as_is else paragraph(each) for each, as_is in rest))
    more = Markup(f"<details><summary>From the experiment</summary>{inside}</details>") if rest else Markup("")
    return paragraph(first[0], "question") + more
