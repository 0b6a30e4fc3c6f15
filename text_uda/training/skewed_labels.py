"""Priors that go by labeled rows which do not have the proportions of the data."""

from collections.abc import Sequence

from text_uda.data import Split
from text_uda.objectives import Objective, in_use
from text_uda.objectives.class_prior import expects_label_shares

_SKEWED = 1.5  # times the share of equal classes
_MOST_SHARES = 20  # that are told


def balanced_prior(split: Split, objectives: Sequence[Objective]) -> str | None:
    """Words where an objective aligns to the labels' shares, the labels were drawn balanced, and the data are skewed.

    They are skewed where the largest class has more than 1.5 / C of the texts of the training side.
    """
    sizes = split.class_sizes
    if sizes is None or split.label_sampling != "balanced":
        return None
    shares = [size / sum(sizes) for size in sizes]
    if max(shares) <= _SKEWED / len(shares):
        return None
    names = [type(each).__name__ for each in in_use(objectives).values() if expects_label_shares(each)]
    if not names:
        return None
    told = ", ".join(f"{name} {share:.0%}" for name, share in zip(split.classes, shares[:_MOST_SHARES], strict=False))
    more = ", ..." if len(shares) > _MOST_SHARES else ""
    return (
        f"{', '.join(names)} takes the shares of the labeled rows for those of the unlabeled texts, and the labels of "
        f"{split.name} were drawn balanced from skewed classes ({told}{more}): equal classes are expected. Draw "
        "the labels in proportion (--label-sampling proportional), or give the shares (--alignment P,P,...)"
    )
