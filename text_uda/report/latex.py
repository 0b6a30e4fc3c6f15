"""The table for a paper: LaTeX with the package booktabs."""

import re
from collections.abc import Sequence

from text_uda.report.comparison import Comparison
from text_uda.report.table import NOTHING, caption, legend, rows

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
    r"""A `table` for each comparison, to be \input; needs \usepackage{booktabs} and \usepackage[T1]{fontenc}.

    Names in other scripts than Latin need LuaLaTeX or XeLaTeX and a font that has them.
    """
    return "\n".join([r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}", *map(_table, comparisons)])


def _table(comparison: Comparison) -> str:
    head, *body = rows(comparison)
    words = escaped(" ".join([f"{caption(comparison)}.", *legend([comparison])]))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{words}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
    ]
    lines += [r"\toprule", _row(list(map(escaped, head))), r"\midrule"]
    lines += [_row([escaped(row[0]), *map(_number, row[1:])]) for row in body]
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
