"""Labels that fit beside a chart: cut, but never so that two of them look the same."""

from collections.abc import Sequence

CUT = "…"


def short_labels(labels: Sequence[str], letters: int) -> dict[str, str]:
    """Label -> the label in at most `letters` characters, distinct for distinct labels.

    A long label loses its end; labels that have that beginning in common lose a part before their first difference.
    """
    short = {label: _without_end(label, letters) for label in labels}
    for cut in {*short.values()}:
        alike = [label for label in short if short[label] == cut]
        if len(alike) > 1:
            first, last = min(alike), max(alike)  # these two have the shortest beginning in common
            difference = next(
                (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
            )
            short |= {label: _without_middle(label, difference, letters) for label in alike}
    taken: set[str] = set()
    for label, cut in short.items():  # differences in several places
        number = 2
        while cut in taken:
            mark = f"{CUT} ({number})"
            cut, number = short[label][: letters - len(mark)].rstrip() + mark, number + 1
        taken.add(cut)
        short[label] = cut
    return short


def _without_end(label: str, letters: int) -> str:
    return label if len(label) <= letters else label[: letters - 1].rstrip() + CUT


def _without_middle(label: str, difference: int, letters: int) -> str:
    """The beginning, and the part from the word of the first difference on."""
    head = label[: letters // 3].rstrip()
    word = max(label.rfind(" ", 0, difference) + 1, difference - letters // 3)
    return (
        _without_end(label, letters)
        if word <= len(head)
        else head + CUT + _without_end(label[word:], letters - len(head) - 1)
    )
