"""Both views of an unlabeled row share its columns; the weights of a fusion have their own learning rate."""

import numpy as np
import pytest
import torch

from text_uda.data.row_columns import OtherColumns, RowText
from text_uda.fusion import Intermediate
from text_uda.fusion.fitted_columns import FittedColumns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.model.frozen_encoder import FeatureRows
from text_uda.model.joined_columns import join_weights
from text_uda.model.pretrained import choose_trained_weights, load_classifier
from text_uda.paraphrasing.pairs import Originals, Pairs, pair_table
from text_uda.training.batches import BatchStream
from text_uda.training.optimizer import parameter_groups
from text_uda.training.settings import TrainSettings
from translation_cache import Paraphrase


def rows(texts):
    return FeatureRows(torch.arange(len(texts), dtype=torch.float32)[:, None])


@pytest.mark.parametrize("paired", [True, False])
def test_both_views_share_the_columns_of_their_row(paired):
    texts = [f"text {number}" for number in range(20)]
    statuses = ["ok" if number % 3 else "unchanged" for number in range(20)]  # texts without a pair have no row
    table = pair_table(
        texts, ([Paraphrase(f"other {text}", status)] for text, status in zip(texts, statuses, strict=True))
    )
    unlabeled = Pairs(table, rows, method="test") if paired else Originals(texts, rows)
    columns = torch.arange(20, dtype=torch.float32)[:, None]
    settings = TrainSettings(labeled_batch=4, unlabeled_ratio=2, steps=3)
    stream = BatchStream(rows(range(4)), torch.arange(4) % 2, unlabeled, settings, columns=columns)
    batch = stream.batch(1)
    assert batch.original is not None and batch.unlabeled_rows is not None
    of_texts = unlabeled.texts_of(batch.unlabeled_rows.numpy())
    assert np.array_equal(batch.original.columns[:, 0].numpy(), of_texts)
    assert torch.equal(batch.second.columns, batch.original.columns)
    assert (batch.augmented is not None) == paired


@pytest.mark.parametrize("tune", ["head", "last:1", "all"])
def test_the_weights_of_a_fusion_have_their_own_factor(tiny_bert, tune):
    model = load_classifier(str(tiny_bert), ["a", "b"], seed=0, linear_head=tune == "head").model
    choose_trained_weights(model, tune)
    fitted = FittedColumns.fit([RowText("a", OtherColumns.named(numeric="year"), [float(n)]) for n in range(3)])
    module = FittedFusion(Intermediate(), fitted).attach(model, tune=tune, seed=0)
    groups = parameter_groups(model, weight_decay=0.1, head_factor=2.0, fusion_factor=7.0)
    factor_of = {parameter: group["factor"] for group in groups for parameter in group["params"]}
    weights = join_weights(model)
    assert weights == set(module.parameters()) and len(weights) == 3
    assert {factor_of[parameter] for parameter in weights} == {7.0}
    assert {factor for parameter, factor in factor_of.items() if parameter not in weights} <= {1.0, 2.0}
