"""Which runs may be compared, which differ by their seed alone, and what the seeds say together."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from text_uda.report.interval import Estimate, estimate
from text_uda.report.reading import Run

_NOT_DECISIVE = ("name", "versions", "code_revision", "command", "study", "seed", "cache_digest")
_SEEDS = (
    "settings.seed",
    "augmentation.seed",
    "data.digest",
    "data.test_digest",
)  # the digest: the seed draws the split


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ by their seed alone."""

    label: str
    """The method, and what else tells it from the other groups."""
    colour: int
    """0 without augmentation, then 1, 2, ... the same for a label on the whole page."""
    runs: tuple[Run, ...]

    @property
    def method(self) -> str:
        return self.runs[0].method

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def estimate(self, name: str) -> Estimate | None:
        return estimate(list(self.by_seed(name).values()))

    def by_seed(self, name: str) -> dict[int, float]:
        """Mean figure of each seed: a seed that was run twice is no second, independent value."""
        found: dict[int, list[float]] = {}
        for run in self.runs:
            if (value := run.value(name)) is not None:
                found.setdefault(run.seed, []).append(value)
        return {seed: sum(values) / len(values) for seed, values in found.items()}

    @property
    def confusion(self) -> list[list[int]]:
        """Counts of the chosen models, summed over the runs; true class by predicted class."""
        tables = [run.result["confusion"] for run in self.runs]
        return [[sum(counts) for counts in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]

    @property
    def statuses(self) -> dict[str, int]:
        """How many paraphrases of all runs ended how, `ok` first."""
        total: dict[str, int] = {}
        for run in self.runs:
            for status, count in run.coverage.get("statuses", {}).items():
                total[status] = total.get(status, 0) + count
        return dict(sorted(total.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups with the same data, labels, encoder and trained part: their errors can be held against each other."""

    groups: tuple[Group, ...]

    @property
    def config(self) -> dict[str, Any]:
        return self.groups[0].runs[0].config

    @property
    def classes(self) -> list[str]:
        return self.config["data"]["classes"]

    @property
    def title(self) -> str:
        return f"{self.config['data']['name']}, {self.config['labels']:,} labels"

    @property
    def model(self) -> str:
        """The encoder, and how much of it is trained."""
        tune = self.config["tune"]
        trained = {"head": "head only", "all": "all weights"}.get(tune, tune.replace("last:", "last layers: "))
        return f"{self.config['encoder']} ({trained})"

    @property
    def test_rows(self) -> int:
        return sum(map(sum, self.groups[0].runs[0].result["confusion"]))

    @property
    def baseline(self) -> Group | None:
        """The group without augmentation, where there is just one and something to hold against it."""
        found = [group for group in self.groups if group.method == "none"]
        return found[0] if len(found) == 1 and len(self.groups) > 1 else None

    def against_baseline(self, group: Group) -> Estimate | None:
        """Mean difference of the test error to the baseline over the seeds that both have.

        Paired, since a seed draws the same split and head for all: its luck cancels out.
        """
        return estimate(list(self.differences(group).values()))

    def differences(self, group: Group) -> dict[int, float]:
        """The same seed by seed; empty without a baseline, and for the baseline itself."""
        if self.baseline is None or group is self.baseline:
            return {}
        theirs, own = self.baseline.by_seed("test_error"), group.by_seed("test_error")
        return {seed: own[seed] - theirs[seed] for seed in sorted(own.keys() & theirs.keys())}

    def remarks(self) -> Iterator[str]:
        """What a reader must know before he trusts the numbers."""
        if single := [group.label for group in self.groups if len(group.seeds) == 1]:
            yield f"One seed ({', '.join(single)}): no interval, and the next seed may say otherwise."
        for group in self.groups:
            if len(group.runs) > len(group.seeds):
                yield f"{group.label}: a seed was run more than once; its mean counts as one value."
            if len({run.config.get("code_revision") for run in group.runs}) > 1:
                yield f"{group.label}: its runs were made by different revisions of the code."
        splits: dict[int, set[str]] = {}
        for run in (run for group in self.groups for run in group.runs):
            splits.setdefault(run.seed, set()).add(run.config["data"]["digest"])
        if differing := sorted(seed for seed, digests in splits.items() if len(digests) > 1):
            seeds = ", ".join(map(str, differing))
            yield f"The runs of seed {seeds} did not see the same split of the data: compare them with care."


def compare(runs: list[Run]) -> list[Comparison]:
    """Comparisons by data, labels and encoder; in each the groups, without augmentation first, then by name."""
    found = []
    for same in _gathered(runs, _setting).values():
        groups = list(_gathered(same, _settings_but_seed).values())
        labels = _labels([group[0] for group in groups])
        ordered = sorted(zip(labels, groups, strict=True), key=lambda item: (item[1][0].method != "none", item[0]))
        found.append([(label, tuple(sorted(group, key=lambda run: run.seed))) for label, group in ordered])
    names = {label for groups in found for label, group in groups if group[0].method != "none"}
    colours = {label: index for index, label in enumerate(sorted(names), 1)}
    return [
        Comparison(tuple(Group(label, colours.get(label, 0), group) for label, group in groups)) for groups in found
    ]


def _gathered(runs: list[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return dict(sorted(found.items()))


def _setting(run: Run) -> str:
    config = run.config
    data = config["data"]
    return json.dumps([data["name"], data["classes"], f"{config['labels']:012d}", config["encoder"], config["tune"]])


def _settings_but_seed(run: Run) -> str:
    return json.dumps(decisive(run), sort_keys=True)


def decisive(run: Run) -> dict[str, str]:
    """Everything that decides what a run computes, but for its seed."""
    config = {name: value for name, value in run.config.items() if name not in _NOT_DECISIVE}
    settings = config["settings"].keys()  # some of them stand at the top too
    return {name: value for name, value in flat(config).items() if name not in _SEEDS and name not in settings}


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested settings by dotted names; an objective is known by its name, not by its place in the list."""
    if isinstance(value, dict):
        inner = {f"{name}.{key}" if name else key: item for key, item in value.items() if key != "objective"}
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        kinds = [str(item.get("objective", index)) for index, item in enumerate(value)]
        inner = {name: ", ".join(kinds)} | {f"{name}.{kind}": item for kind, item in zip(kinds, value, strict=True)}
    else:
        return {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    found: dict[str, str] = {}
    for key, item in inner.items():
        found |= flat(item, key)
    return found


def _labels(runs: list[Run]) -> list[str]:
    """A short name for each group: its method, and the settings by which groups of one method differ."""
    labels = []
    for run in runs:
        settings = [decisive(other) for other in runs if other.method == run.method]
        own = decisive(run)
        names = sorted({name for other in settings for name in other.keys() | own.keys()})
        differing = [name for name in names if len({other.get(name) for other in settings}) > 1]
        if "objectives" in differing:  # then their settings differ too, and say less
            differing = [name for name in differing if not name.startswith("objectives.")]
        told = [f"{name.rpartition('.')[2]} {own.get(name, 'absent')}" for name in differing]
        labels.append(f"{run.method} ({', '.join(told[:3])}{', …' if len(told) > 3 else ''})" if told else run.method)
    return labels
