"""Which runs differ in their seed alone, and which resume."""

import json
import random

import pandas as pd
import pytest

from text_uda.data import load, split
from text_uda.fusion import Late
from text_uda.objectives import UDA, Supervised
from text_uda.runs.decisive_settings import changes, decisive, decisive_but_seed
from text_uda.training.run_plan import RunPlan
from text_uda.training.settings import TrainSettings


@pytest.fixture
def config(tiny_bert):
    draw = random.Random(0)
    words = [f"word{number}" for number in range(60)]

    def rows(count: int) -> pd.DataFrame:
        """Some texts are several rows, so a draw leaves out more rows or fewer."""
        texts = [" ".join(draw.choices(words, k=6)) for _ in range(count)]
        labels = [number % 2 for number in range(count)]
        rows = pd.DataFrame({"text": texts, "label": [["no", "yes"][label] for label in labels]})
        rows = pd.concat([rows, rows.iloc[::3]], ignore_index=True)
        return rows.assign(price=[float(number) for number in range(len(rows))])

    labeled, pools = rows(90), {"few": rows(10), "many": rows(60)}

    def make(seed: int, pool: str, most: int | None = None) -> dict:
        corpus = load(labeled, unlabeled=pools[pool].drop(columns="label"), numeric="price")
        parts = split(corpus, labels=20, seed=seed, unlabeled=most)
        plan = RunPlan(
            method="uda, late fusion",
            objectives=(Supervised(), UDA()),
            averaging=None,
            views=None,
            augmentation=None,
            cache=None,
            filters=None,
            fusion=Late(),
        )
        settings = TrainSettings(encoder=str(tiny_bert), seed=seed)
        return json.loads(json.dumps(plan.config(parts, settings, name=f"{pool} {seed}", steps=8)))

    return make


def test_with_columns_other_pools_are_other_groups_and_other_seeds_are_not(config):
    few, many = [config(seed, "few") for seed in range(4)], config(0, "many")
    assert len({run["data"]["unlabeled"] for run in few}) > 1, "the seed decides how many rows are left"
    assert all(decisive_but_seed(run) == decisive_but_seed(few[0]) for run in few)
    assert decisive_but_seed(many) != decisive_but_seed(few[0])


def test_with_columns_a_limit_that_some_seeds_do_not_reach_makes_one_group(config):
    every = [config(seed, "few") for seed in range(4)]
    sizes = sorted({run["data"]["unlabeled"] for run in every})
    limited = [config(seed, "few", most=sizes[-1]) for seed in range(4)]
    assert all(decisive_but_seed(run) == decisive_but_seed(limited[0]) for run in limited)
    assert decisive_but_seed(limited[0]) != decisive_but_seed(every[0])
    assert [decisive(run) for run in limited] == [decisive(run) for run in every], "it reads the same rows: it resumes"


def test_the_seeds_of_translators_make_no_groups(config):
    def through(seed: int, temperature: float) -> dict:
        engine = {"engine": "marian", "temperature": temperature, "seed": seed}
        return config(0, "few") | {"augmentation": {"pivots": [{"there": engine, "back": engine}], "retries": 2}}

    assert decisive_but_seed(through(0, 0.9)) == decisive_but_seed(through(1, 0.9))
    assert decisive_but_seed(through(0, 0.9)) != decisive_but_seed(through(0, 0.8))


def test_the_order_of_accepted_statuses_decides_nothing(config):
    """An earlier version recorded them in the order of the call."""

    def accepting(*statuses: str) -> dict:
        filters = {"accept": list(statuses), "min_change": None}
        return config(0, "few") | {"filters": filters, "tasks_of": {"topic": {"filters": filters}}}

    earlier, now = accepting("numbers", "language"), accepting("language", "numbers")
    assert changes(earlier, now) == [] and decisive_but_seed(earlier) == decisive_but_seed(now)
    assert changes(accepting("numbers"), now) and decisive_but_seed(accepting("numbers")) != decisive_but_seed(now)
