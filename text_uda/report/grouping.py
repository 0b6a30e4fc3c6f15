"""Sorts runs into comparisons and groups, and names each group by the settings that distinguish it."""

import json
import re
from collections.abc import Callable
from typing import Any

from text_uda.report.comparable import check_same_data
from text_uda.report.comparison import BASELINES, LABELS_ALONE, REGRESSION, Comparison, Group
from text_uda.report.load_runs import Run
from text_uda.runs.decisive_settings import decisive_but_seed

_OF_TRANSLATOR = re.compile(r"(?P<outer>.*?)\.(?P<translator>(?:pivots\.\d+\.)?(?:there|back))\.(?P<inner>.*)")
NAMED_SETTINGS = 3  # in the name of a group; more only where two groups would otherwise have one name


def compare(runs: list[Run]) -> list[Comparison]:
    """Comparisons by data, labels and encoder; the groups of each: baselines, labels alone, then by name.

    Raises:
        SettingsError: runs of one data set were trained or tested on different rows.
    """
    check_same_data(runs)
    sorted_groups = []
    for comparable in _sorted_by(runs, _setting).values():
        most = max((run.unlabeled for run in comparable if run.unlabeled is not None), default=0)
        decisive = {run: _decisive(run, most) for run in comparable}
        groups = list(_sorted_by(comparable, lambda run, of=decisive: json.dumps(of[run], sort_keys=True)).values())
        labels = _labels([group[0] for group in groups], decisive)
        assert len(set(labels)) == len(groups), "labels identify groups"
        ordered = sorted(
            zip(labels, groups, strict=True), key=lambda item: (_rank(item[1][0].method_alone), _natural(item[0]))
        )
        sorted_groups.append(
            [(label, tuple(sorted(group, key=lambda run: run.seed)), decisive[group[0]]) for label, group in ordered]
        )
    names = {label for groups in sorted_groups for label, group, _ in groups if group[0].method != "none"}
    colours = {label: index for index, label in enumerate(sorted(names, key=_natural), 1)}
    return [
        Comparison(tuple(Group(label, colours.get(label, 0), group, settings) for label, group, settings in groups))
        for groups in sorted_groups
    ]


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested settings by dotted names; the name of an objective stands for its place in the list."""
    if isinstance(value, dict):
        inner = {f"{name}.{key}" if name else key: item for key, item in value.items() if key != "objective"}
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        kinds = [str(item.get("objective", index)) for index, item in enumerate(value)]
        inner = {name: ", ".join(kinds)} | {f"{name}.{kind}": item for kind, item in zip(kinds, value, strict=True)}
    else:
        return {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    dotted: dict[str, str] = {}
    for key, item in inner.items():
        dotted |= flat(item, key)
    return dotted


def _sorted_by(runs: list[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    by_key: dict[str, list[Run]] = {}
    for run in runs:
        by_key.setdefault(key(run), []).append(run)
    return dict(sorted(by_key.items()))


def _setting(run: Run) -> str:
    """What the runs of a comparison share."""
    config = run.config
    data = config["data"]
    return json.dumps([data["name"], data["classes"], f"{config['labels']:012d}", config["encoder"], config["tune"]])


def _decisive(run: Run, unlabeled: int) -> dict[str, str]:
    """Everything that decides what a run computes, except its seed.

    Args:
        unlabeled: the number of unlabeled texts of a run that does not record it: earlier versions took all of them.
    """
    decisive = _same_both_ways(flat(decisive_but_seed(run.config)))
    if run.method_alone in ("none", REGRESSION):
        decisive.pop("data.unlabeled", None)  # these methods read no unlabeled text
    else:
        decisive.setdefault("data.unlabeled", str(unlabeled))
    return decisive


def _same_both_ways(decisive: dict[str, str]) -> dict[str, str]:
    """Settings that are equal in all translators of a back-translation, such as the temperature, as one setting."""
    translators: dict[str, set[str]] = {}  # of a back-translation
    names: dict[tuple[str, str], list[str]] = {}  # of a setting, in each translator
    for name in decisive:
        if match := _OF_TRANSLATOR.fullmatch(name):
            translators.setdefault(match["outer"], set()).add(match["translator"])
            names.setdefault((match["outer"], match["inner"]), []).append(name)
    merged = dict(decisive)
    for (outer, inner), each in names.items():
        everywhere = len(each) == len(translators[outer]) and len({decisive[name] for name in each}) == 1
        if everywhere and f"{outer}.{inner}" not in decisive:  # the method has a version too, beside those of engines
            merged[f"{outer}.{inner}"] = decisive[each[0]]
            for name in each:
                del merged[name]
    return merged


def _rank(method: str) -> int:
    """Place among the groups: the baselines, labels alone, the others."""
    order = [*BASELINES, "none"]
    return order.index(method) if method in order else len(order)


def _natural(label: str) -> list[tuple[float, str]]:
    """A sort key that compares numbers inside labels by value."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label)  # words, number, words, ...
    return [(0.0, part) if index % 2 == 0 else (float(part), "") for index, part in enumerate(parts)]


def _labels(runs: list[Run], decisive: dict[Run, dict[str, str]]) -> list[str]:
    """A different name for each group: its method, and settings by which the groups of this method differ.

    Args:
        runs: one of each group.
    """
    differences = {}
    for method in {run.method for run in runs}:
        method_runs = [run for run in runs if run.method == method]
        differences |= zip(method_runs, distinguish([decisive[run] for run in method_runs]), strict=True)
    shown = {"none": LABELS_ALONE, **BASELINES}
    labels = [
        shown.get(run.method_alone, run.method_alone) + run.method.removeprefix(run.method_alone) + differences[run]
        for run in runs
    ]
    # Labels are still equal only where names or values of a run contain such words themselves.
    earlier = [labels[:place].count(label) for place, label in enumerate(labels)]
    return [f"{label} #{count + 1}" if count else label for label, count in zip(labels, earlier, strict=True)]


def distinguish(groups: list[dict[str, str]]) -> list[str]:
    """For each group, the first settings that differ and further ones that separate groups; empty for one group."""
    names = sorted({name for group in groups for name in group})
    differing = [name for name in names if len({group.get(name) for group in groups}) > 1]
    # Where objectives differ their settings differ too, and say less; so do settings that only some groups have.
    last = [
        name
        for name in differing
        if (name.startswith("objectives.") and "objectives" in differing) or any(name not in group for group in groups)
    ]
    first = [name for name in differing if name not in last]
    named: list[str] = first[:NAMED_SETTINGS]
    last.sort(key=lambda name: -_distinct(groups, [name]))
    for name in (*first[NAMED_SETTINGS:], *last):
        if _distinct(groups, [*named, name]) > _distinct(groups, named):
            named.append(name)
    more = ", …" if set(first) - set(named) else ""
    short = {name: name.rpartition(".")[2] for name in named}
    values = [
        ", ".join(f"{short[name]} {group[name]}" if name in group else f"no {short[name]}" for name in named)
        for group in groups
    ]
    return [f" ({text}{more})" if text else "" for text in values]


def _distinct(groups: list[dict[str, str]], names: list[str]) -> int:
    return len({tuple(group.get(name) for name in names) for group in groups})
