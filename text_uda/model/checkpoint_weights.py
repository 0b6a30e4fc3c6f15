"""Which weights of a checkpoint are missing, left over or damaged: transformers fills or drops them, and goes on."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from text_uda.errors import SettingsError, listed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SHOWN = 3  # names of weights in a message


def check_weights(name: str, model: "PreTrainedModel", *, missing: Iterable[str], unused: Iterable[str]) -> None:
    """Check the loaded weights and buffers of a model.

    Args:
        name: what a message calls the checkpoint, such as `the encoder 'x'`.
        missing, unused: the names of `output_loading_info` that decide what the model computes.
    Raises:
        SettingsError: there are such names, or numbers that are not finite.
    """
    if missing := sorted(missing):
        raise SettingsError(
            f"the files of {name} lack {len(missing):,} of its weights ({listed(missing, most=_SHOWN)}): they are not "
            f"of a {model.config.model_type!r} model as its config.json says, or not whole; download it again"
        )
    if unused := sorted(unused):
        raise SettingsError(
            f"the files of {name} hold {len(unused):,} weights that its config.json has no place for "
            f"({listed(unused, most=_SHOWN)}): they do not belong together; download it again, or choose another model"
        )
    if damaged := [part for part, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise SettingsError(
            f"{name} has weights that are not finite numbers ({listed(damaged, most=_SHOWN)}): download it again, or "
            "choose an earlier checkpoint of the run that trained it"
        )
