"""Columns as numbers: by hand, fitted on training rows alone, kept in JSON."""

import json
import logging

import numpy as np
import pytest
import torch

from text_uda.data.row_columns import OtherColumns, RowText
from text_uda.errors import DataError, SettingsError
from text_uda.fusion.fitted_columns import FittedColumns

COLUMNS = OtherColumns.named(numeric="year", categorical="country", vector="image")


def row(year, country, image=(0.0, 2.0)):
    vector = None if image is None else np.asarray(image, "<f4").tobytes()
    return RowText("a film", COLUMNS, [year, country, vector])


TRAINING = [row(1.0, "es", (0.0, 2.0)), row(3.0, "es", (2.0, 2.0)), row(None, "rare"), row(2.0, None, None)]


def test_a_row_with_and_without_its_label_is_one_row():
    """All labels: the unlabeled texts are those of the labeled rows."""
    assert FittedColumns.fit(TRAINING, TRAINING[::-1]) == FittedColumns.fit(TRAINING)


def test_by_hand():
    fitted = FittedColumns.fit(TRAINING[:2], TRAINING[2:])
    deviation = np.std([1.0, 3.0, 2.0])
    encoded = fitted.encode([*TRAINING, row(1e9, "fr")])
    # year, missing | es, unseen, missing | image, image, missing
    assert encoded[0, :5].tolist() == pytest.approx([-1 / deviation, 0, 1, 0, 0], rel=1e-6)
    assert encoded[2, :5].tolist() == [0, 1, 0, 1, 0]  # a category of one row is unseen
    assert encoded[3, 2:].tolist() == [0, 0, 1, 0, 0, 1]
    assert encoded[4, :5].tolist() == [10, 0, 0, 1, 0]  # no number is further than ten deviations
    assert encoded[:3, 6].tolist() == [0, 0, 0]  # a constant one says nothing
    assert fitted.size == 8 == encoded.shape[1] and encoded.dtype == torch.float32


@pytest.mark.parametrize(
    ("training", "others", "places"),
    [
        (["0", "1"], ["1", "0", "true", "2"], [1, 0, 1, 2]),
        (["true", "false"], ["false", "true", "1", "no"], [0, 1, 1, 2]),
        (["true", "1", "0", "false"], ["true", "1", "0", "false"], [1, 1, 0, 0]),
        (["1.5", "1"], ["1", "1.5", "1.50", "true"], [0, 1, 2, 2]),
        (["A", "a", "01"], ["a", "A", "1", "01"], [2, 1, 3, 0]),
    ],
)
def test_a_category_is_read_in_any_spelling_of_a_label(training, others, places):
    fitted = FittedColumns.fit([row(float(year), category) for year in (1, 2) for category in training])
    country = fitted.encode([row(1.0, category) for category in others])[:, 2:-4]
    assert country.argmax(dim=1).tolist() == places


def test_a_column_whose_values_are_mostly_unseen_is_said_once(caplog):
    fitted = FittedColumns.fit(TRAINING)
    fitted.encode([row(1.0, "es"), row(1.0, "fr"), row(1.0, None)])
    assert not caplog.records
    for _ in range(2):
        fitted.encode([row(1.0, "es"), row(1.0, "Es"), row(1.0, "ES")])
    assert [record.getMessage()[:62] for record in caplog.records] == [
        "the column 'country': 2 of 3 values, such as 'Es', are no cate"
    ]


def test_a_record_gives_the_same_numbers_and_names():
    fitted = FittedColumns.fit(TRAINING)
    again = FittedColumns.from_record(json.loads(json.dumps(fitted.record())))
    assert again == fitted and again.names == COLUMNS
    assert torch.equal(again.encode(TRAINING), fitted.encode(TRAINING))


@pytest.mark.parametrize("constant", [0.1, -7.3, 1e20, 0.0])
def test_a_constant_is_no_scale(constant, caplog):
    """The mean of 200 times 0.1 is not 0.1."""
    rows = [row(constant, f"{i}", (constant, float(i))) for i in range(200)]
    fitted = FittedColumns.fit(rows)
    assert "'year' has one value in all training rows" in caplog.text and "'image'" not in caplog.text
    encoded = fitted.encode([*rows[:2], row(constant * (1 + 1e-6), "0", (constant, 1.0))])
    assert encoded[:2, 0].tolist() == encoded[:2, -3].tolist() == [0.0, 0.0]
    assert constant == 1e20 or abs(encoded[2, 0]) < 1e-4


def test_means_and_deviations_are_those_of_numpy():
    draw = np.random.default_rng(0)
    vectors = draw.normal(3.0, 2.0, (10_000, 3)).astype("<f4")
    fitted = FittedColumns.fit([row(float(i), "es", vector) for i, vector in enumerate(vectors)])
    year, _, image = fitted.columns
    assert (year.mean, year.deviation) == ((4999.5,), pytest.approx((np.arange(10_000).std(),)))
    exact = vectors.astype(np.float64)
    assert image.mean == pytest.approx(exact.mean(axis=0)) and image.deviation == pytest.approx(exact.std(axis=0))
    encoded = fitted.encode([row(0.0, "es", vector) for vector in vectors])[:, -4:-1]
    assert np.allclose(encoded, (exact - exact.mean(axis=0)) / exact.std(axis=0), atol=1e-5)


def test_column_dropout_makes_whole_columns_missing():
    fitted = FittedColumns.fit(TRAINING)
    columns = fitted.encode([TRAINING[0]] * 2000)
    dropped = fitted.dropped(columns, 0.25, key=7)
    missing = fitted.encode([row(None, None, None)])[0]
    for part in (slice(0, 2), slice(2, 5), slice(5, 8)):
        is_missing = (dropped[:, part] == missing[part]).all(dim=1)
        assert 0.2 < is_missing.float().mean() < 0.3
        assert (dropped[~is_missing][:, part] == columns[0, part]).all()
    assert torch.equal(dropped, fitted.dropped(columns, 0.25, key=7))
    assert not torch.equal(dropped, fitted.dropped(columns, 0.25, key=8))


def test_bad_columns_are_one_clear_line(caplog):
    many = [row(1.0, f"user {i}") for i in range(100_000)]
    cases = [
        (DataError, "'country' has 100,000 categories in 100,000 training rows, and at most 1,000", many),
        (DataError, "'year' is blank in all 2 training rows", [row(None, "es"), row(None, "fr")]),
        (DataError, "vectors of the column 'image' have 1, 2 numbers", [row(1.0, "a"), row(1.0, "a", (1.0,))]),
        (
            SettingsError,
            r"row 2 \('plain'\) has no columns beside the text, and year, country, image",
            [*TRAINING[:1], "plain"],
        ),
    ]
    for kind, message, rows in cases:
        with pytest.raises(kind, match=message) as caught:
            FittedColumns.fit(rows)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="'image' have 2, 3 numbers"):
        FittedColumns.fit(TRAINING).encode([row(1.0, "es", (1.0, 2.0, 3.0))])
    with caplog.at_level(logging.WARNING):
        FittedColumns.fit([row(1.0, "es"), row(1.0, "fr")])
    assert "'year' has one value in all training rows" in caplog.text
