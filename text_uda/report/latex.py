"""The table for a paper: LaTeX with the package booktabs."""

import re
from collections.abc import Iterator, Sequence

from text_uda.report.comparison import Comparison
from text_uda.report.table import NOTHING, caption, columns, legend, pair_columns, pair_rows, rows

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # at the beginning of a row it would be an argument of the line end before it,
    "*": "{*}",  # and so would this
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
}


def latex(comparisons: Sequence[Comparison]) -> str:
    r"""Tables for each comparison, to be \input; needs \usepackage{booktabs} and \usepackage[T1]{fontenc}.

    Names in other scripts than Latin need LuaLaTeX or XeLaTeX and a font that has them.
    """
    tables = [table for comparison in comparisons for table in _tables(comparison)]
    return "\n".join([r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}", *tables])


def _tables(comparison: Comparison) -> Iterator[str]:
    yield _table(rows(comparison), " ".join([f"{caption(comparison)}.", *legend(columns(comparison))]), words=1)
    if pairs := pair_rows(comparison):
        title = [f"{caption(comparison)}: method against method.", *legend(pair_columns(comparison))]
        yield _table(pairs, " ".join(title), words=2)


def _table(table: list[list[str]], title: str, words: int) -> str:
    """The first columns hold words, the others numbers."""
    head, *body = table
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(title)}}}",
        rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(head) - words)}}}",
    ]
    lines += [r"\toprule", _row(list(map(escaped, head))), r"\midrule"]
    lines += [_row([*map(escaped, row[:words]), *map(_number, row[words:])]) for row in body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _number(cell: str) -> str:
    if cell == NOTHING:
        return "--"
    math = cell.replace("\N{MINUS SIGN}", "-").replace("\N{PLUS-MINUS SIGN}", r"\pm")
    return "$" + re.sub(r"(?<=\d),(?=\d)", "{,}", math) + "$"


def escaped(text: str) -> str:
    """Text from a run, on one line, that LaTeX sets as it is."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
