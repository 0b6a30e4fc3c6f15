"""Runs whose data differ are refused, with the reason and their names."""

import pytest

from text_uda.errors import SettingsError
from text_uda.report import markdown_table

DATA = {
    "name": "movie-snippets",
    "classes": ["negative", "positive"],
    "digest": "a",
    "test_digest": "t",
    "unlabeled": 9,
}
EARLIER = {name: DATA[name] for name in ("name", "classes", "digest")}


def runs_of(make_run, first, second, **more):
    return [
        make_run("none", 0, data=first, folder="first"),
        make_run("synonym", 0, data=second, folder="second", **more),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (DATA, DATA | {"digest": "b"}),
        (DATA, EARLIER | {"digest": "b"}),
        (EARLIER, EARLIER | {"digest": "b"}),
    ],
)
def test_another_split_of_the_same_seed_is_refused(make_run, first, second):
    message = (
        r"same seed \(0\) and .* labels \(40\) but different splits.*first \(split a\) against .*second \(split b\)"
    )
    with pytest.raises(SettingsError, match=message):
        markdown_table(runs_of(make_run, first, second))


def test_other_test_rows_are_refused_whatever_else_differs(make_run):
    second = DATA | {"test_digest": "u", "digest": "b"}
    message = r"tested on different rows.*first \(test rows t\) against .*second \(test rows u\)"
    with pytest.raises(SettingsError, match=message):
        markdown_table(runs_of(make_run, DATA, second, labels=80))


def test_another_number_of_test_rows_is_refused_without_any_digest_of_them(make_run):
    runs = runs_of(make_run, EARLIER, EARLIER | {"classes": ["a", "b", "c"]}, classes=("a", "b", "c"))
    with pytest.raises(SettingsError, match=r"2,000 test rows in 2 classes\) against .*3,000 test rows in 3 classes"):
        markdown_table(runs)


@pytest.mark.parametrize(
    ("second", "labels"),
    [
        (DATA | {"digest": "b", "unlabeled": 5}, 40),  # the study of the number of unlabeled texts
        (DATA | {"digest": "b"}, 80),
        (DATA | {"digest": "b", "label_sampling": "proportional"}, 40),
        (DATA | {"digest": "b", "dev": 40}, 40),
        (EARLIER, 40),
        (DATA | {"name": "other", "digest": "b", "test_digest": "u"}, 40),
    ],
)
def test_settings_that_differ_are_no_other_data(make_run, second, labels):
    assert "synonym" in markdown_table(runs_of(make_run, DATA, second, labels=labels))


def test_a_run_of_an_earlier_version_took_all_the_unlabeled_texts(make_run):
    """So its split is that of the runs with most of them, and of no others."""
    few = make_run("none", 0, data=DATA | {"digest": "b", "unlabeled": 5}, folder="few")
    most = make_run("synonym", 0, data=DATA, folder="most")
    earlier = make_run("mlm", 0, data=EARLIER, folder="earlier")
    assert "synonym" in markdown_table([few, most, earlier])
    changed = make_run("aeda", 0, data=EARLIER | {"digest": "b"}, folder="changed")
    with pytest.raises(SettingsError, match=r"most \(split a\) against .*changed \(split b\)"):
        markdown_table([few, most, changed])


def test_many_runs_are_counted(make_run):
    runs = [make_run("none", seed, data=DATA | {"digest": str(seed)}, folder=f"run-{seed}") for seed in range(6)]
    runs.append(make_run("synonym", 9, data=DATA | {"test_digest": "u"}))
    with pytest.raises(SettingsError, match=r"run-0, .*run-1, .*run-2 and 3 more \(test rows t\) against .*synonym-9"):
        markdown_table(runs)
