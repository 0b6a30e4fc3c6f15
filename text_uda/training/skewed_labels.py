"""A warning about class priors from labeled rows whose class shares differ from those of the data."""

from collections.abc import Sequence

from text_uda.data import Split
from text_uda.objectives import Objective, in_use
from text_uda.objectives.class_prior import expects_label_shares

_SKEWED = 1.5  # times the share of equal classes
_MAX_SHARES = 20  # in the message


def balanced_prior(split: Split, objectives: Sequence[Objective]) -> str | None:
    """A warning where an objective aligns to the shares of labels that were drawn balanced from skewed data.

    Data are skewed where the largest class has more than 1.5 / C of the texts of the training side.
    """
    sizes = split.class_sizes
    if sizes is None or split.label_sampling != "balanced":
        return None
    shares = [size / sum(sizes) for size in sizes]
    if max(shares) <= _SKEWED / len(shares):
        return None
    names = [type(objective).__name__ for objective in in_use(objectives).values() if expects_label_shares(objective)]
    if not names:
        return None
    listed = ", ".join(f"{name} {share:.0%}" for name, share in zip(split.classes, shares[:_MAX_SHARES], strict=False))
    more = ", ..." if len(shares) > _MAX_SHARES else ""
    return (
        f"{', '.join(names)} assumes that the unlabeled texts have the class shares of the labeled rows, and the "
        f"labels of {split.name} were drawn balanced from skewed classes ({listed}{more}): equal classes are expected. "
        "Draw the labels in proportion (--label-sampling proportional), or set the shares (--alignment P,P,...)"
    )
