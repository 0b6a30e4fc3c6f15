"""Several classifiers on one encoder: the head of each task has parameters of its own, and saves as any model."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

_OF_HEAD = "pooler"  # part of the encoder's module, and of the head in what it does: trained with tune="head"


class SharedEncoder(nn.Module):
    """The models of T tasks. All parts of the encoder but its pooler are those of the first model.

    A copy (`copy.deepcopy`) shares its encoder in the same way. Heads are separate parameters, not slices of one, so
    neither weight decay nor momentum of an optimizer moves the head of a task that has no row in a step.

    Args:
        models: of the same pretrained encoder.
        share_head: one head for all tasks, that of the first.
        log_variances: trained weights of the tasks' losses, (T,), where a method has them.
    """

    def __init__(
        self,
        models: Sequence[PreTrainedModel],
        log_variances: nn.Parameter | None = None,
        *,
        share_head: bool = False,
    ) -> None:
        super().__init__()
        self.log_variances = log_variances
        first = models[0].base_model
        for model in models[1:]:
            if share_head:
                model._modules |= models[0]._modules
                continue
            encoder = model.base_model
            # The pooler keeps its own weights; a few encoders hold parameters beside their modules (XLNet).
            encoder._modules |= {name: part for name, part in first._modules.items() if name != _OF_HEAD}
            encoder._parameters |= first._parameters
            encoder._buffers |= first._buffers
        self._models = nn.ModuleList(models)

    @property
    def models(self) -> list[PreTrainedModel]:
        return list(self._models)  # pyright: ignore[reportReturnType]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The trained parameters of the encoder without the pooler; for one task, all of them."""
        of_each = [set(model.parameters()) for model in self.models]
        return [p for p in self.models[0].parameters() if p.requires_grad and all(p in others for others in of_each)]
