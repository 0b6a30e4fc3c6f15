"""Student's t and the binomial distribution, from SciPy, an extra: its `special` alone, which loads quickly."""

from typing import Any

from text_uda.errors import MissingPartError

NORMAL_QUANTILE = 1.959963984540054  # 97.5%, to which Student's comes down with many degrees of freedom


def _special() -> Any:
    try:
        from scipy import special
    except ImportError as error:
        raise MissingPartError('the table needs scipy: pip install "text-uda[report]"') from error
    return special


def t_quantile(degrees: int) -> float:
    """The 97.5% quantile of Student's t."""
    return float(_special().stdtrit(degrees, 0.975))


def t_two_sided(t: float, degrees: int) -> float:
    """The probability of a value as far from 0 as t, or farther, on either side."""
    return float(2 * _special().stdtr(degrees, -abs(t)))


def binomial_lower(count: int, trials: int) -> float:
    """The probability of `count` or fewer heads in so many tosses of a fair coin."""
    return float(_special().bdtr(float(count), trials, 0.5))
