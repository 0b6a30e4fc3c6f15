"""A model with a fusion: made for training, written to a folder, opened again.

The folder is not an ordinary transformers folder, because `pipeline` hands a model nothing but texts: it would answer
from the text alone, without a word. Its config.json names a model type that no library knows, which says what opens it,
and its weights have a name that `from_pretrained` of no class looks for. A class that transformers opens would need
code that comes with the model, or an import of this package before the call, and `pipeline` would still have no place
for the columns.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from text_uda.fusion.all_fusions import FUSIONS
from text_uda.fusion.fitted_columns import FittedColumns
from text_uda.fusion.join import Fusion, Sizes
from text_uda.fusion.text_alone import TextAlone
from text_uda.keyed_random import keyed_seed
from text_uda.model.averaging_layer import restore_averaging_layer
from text_uda.model.classifier import depth, number_of_classes
from text_uda.model.joined_columns import ATTRIBUTE, ColumnJoin, last_linear
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import is_linear, make_linear

MODEL_TYPE = "text-with-columns (opened by text_uda.predict, not by pipeline, which has no columns)"
WEIGHTS, COLUMNS = "text_and_columns.safetensors", "columns.json"


@dataclass(frozen=True)
class FittedFusion:
    """The fusion of a run: its settings, and the columns as they were fitted."""

    settings: Fusion
    columns: FittedColumns

    def record(self) -> dict[str, Any]:
        """For config.json."""
        return {"fusion": self.settings.name} | asdict(self.settings)  # pyright: ignore[reportArgumentType]

    def attach(self, model: PreTrainedModel, *, tune: str, seed: int) -> ColumnJoin:
        """Give the model a fusion with new weights, which depend on `seed` alone; all of them are trained."""
        sizes = Sizes(
            width=model.config.hidden_size,
            head_width=last_linear(model).in_features,
            classes=number_of_classes(model),
            columns=self.columns.size,
            layer=_first_trained_layer(model, tune),
        )
        with seeded_torch(keyed_seed(seed, "fusion") >> 65):  # torch takes 63 bits
            module = self.settings.module(sizes).to(model.device)
        setattr(model, ATTRIBUTE, module)
        return module


def _first_trained_layer(model: PreTrainedModel, tune: str) -> int | None:
    if tune == "head":
        return None
    return 0 if tune == "all" else depth(model) - int(tune.removeprefix("last:"))


def is_fused(folder: Path) -> bool:
    """Whether the folder of a model is that of a fused one."""
    return (folder / COLUMNS).exists()


def write_fused(folder: Path, model: PreTrainedModel, fusion: FittedFusion, *, tune: str) -> None:
    """Write config.json, the weights, in the form that they were trained in, and the fitted columns into a folder."""
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    outer = {"model_type": MODEL_TYPE, "text_uda": {"config": config, "linear_head": is_linear(model), "tune": tune}}
    (folder / "config.json").write_text(json.dumps(outer, indent=2, sort_keys=True) + "\n", "utf-8")
    columns = {"fusion": fusion.record(), "columns": fusion.columns.record()}
    (folder / COLUMNS).write_text(json.dumps(columns, indent=1, ensure_ascii=False) + "\n", "utf-8")
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def open_fused(folder: Path) -> tuple[PreTrainedModel, FittedFusion]:
    """The model that `write_fused` wrote."""
    about: Mapping[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))["text_uda"]
    kept: Mapping[str, Any] = json.loads((folder / COLUMNS).read_text("utf-8"))
    settings = {name: value for name, value in kept["fusion"].items() if name != "fusion"}
    chosen = FUSIONS[kept["fusion"]["fusion"]](**settings)
    assert not isinstance(chosen, TextAlone), "a run of the text alone leaves an ordinary folder"
    fusion = FittedFusion(chosen, FittedColumns.from_record(kept["columns"]))
    inner = dict(about["config"])
    config = AutoConfig.for_model(inner.pop("model_type"), **inner)
    with seeded_torch(0):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    if about["linear_head"]:
        make_linear(model)
    fusion.attach(model, tune=about["tune"], seed=0)
    model.load_state_dict(load_file(folder / WEIGHTS))
    restore_averaging_layer(model)
    model.name_or_path = str(folder)
    return model, fusion
