"""The model card: README.md beside the weights, which says what made them, how good they are, and how to call them.

It holds no date and no path of this machine, so a rerun writes the same bytes.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from text_uda.hub_connection import is_local
from text_uda.runs.intervals import wilson_interval

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$!:@])")


def model_card(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Markdown with the YAML front matter of the Hugging Face hub.

    Args:
        config, result: the contents of config.json and result.json.
    """
    parts = (
        f"---\n{_front_matter(config, result)}\n---",
        f"# Text classifier: {_plain(config['data']['name'])}",
        _summary(config),
        _how_to_call(config),
        _errors(config, result),
        _classes(config["data"], result["per_class"]["test"]),
        _training(config),
        _limitations(config, result),
    )
    return "\n\n".join(parts) + "\n"


def _front_matter(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    name = config["data"]["name"]
    figures = {"accuracy": 100.0 - result["test_error"], "f1": result["test_macro_f1"]}
    words = {"accuracy": "Accuracy", "f1": "Macro-F1"}
    is_hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", config["encoder"]) and not is_local(config["encoder"])
    data = ModelCardData(
        library_name="transformers" if config.get("fusion", {}).get("fusion", "text") == "text" else "text-uda",
        pipeline_tag="text-classification",
        tags=["text-classification", "text-uda"],
        base_model=config["encoder"] if is_hub_id else None,
        metrics=list(figures),
        model_name=f"{config['method']} on {name}",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_type=name,
                dataset_name=name,
                dataset_split="test",
                metric_type=kind,
                metric_name=words[kind],
                metric_value=round(value / 100.0, 6),
            )
            for kind, value in figures.items()
        ],
    )
    return data.to_yaml()


def _summary(config: Mapping[str, Any]) -> str:
    data, augmentation = config["data"], config["augmentation"]
    objectives = " + ".join(entry["objective"] for entry in config["objectives"])
    augmented = "" if augmentation is None else f" and the augmentation {_plain(augmentation['method'])}"
    return (
        f"Gives a text one of {len(data['classes'])} classes. Trained from {data['labeled']:,} labeled texts with"
        f" {objectives}{augmented} by text-uda {config['versions']['text-uda']}.{_shared(config)}"
    )


def _shared(config: Mapping[str, Any]) -> str:
    """What the other tasks of the run trained of this model; "" for a run of one task."""
    others = [name for name in config.get("shared", {}).get("tasks", ()) if name != config["task"]]
    if not others:
        return ""
    tasks = f"the task{'' if len(others) == 1 else 's'} {', '.join(map(_plain, others))}"
    if not config["steps"]:
        return f" The fit reads the labeled texts of {tasks} too."
    method = config["shared"]["method"]["method"]
    if method == "Pooled":
        return f" The labeled texts of {tasks} trained the same model."
    if config["tune"] != "head":
        return f" Its encoder learned {tasks} too."
    separate = ", with which it shares no trained weight" if method in ("Joint", "Alternate") else ""
    return f" It was trained together with {tasks}{separate}."


def _how_to_call(config: Mapping[str, Any]) -> str:
    settings, fusion = config["settings"], config.get("fusion")
    if fusion is not None and fusion["fusion"] != "text":
        return _how_to_call_with_columns(fusion)
    end = {"first": "last", "last": "first"}[settings["keep_tokens"]]
    return f"""## How to call it

```python
from transformers import pipeline

classify = pipeline("text-classification", model="MODEL")  # this folder, or its hub id
classify(["a text", "another text"], truncation=True)
```

`text-uda predict RUN < texts` gives the same labels, in the run directory that this folder is from. Of a text of more
than {settings["max_tokens"]:,} tokens, the model reads the {settings["keep_tokens"]} {settings["max_tokens"]:,}; the \
{end} ones are cut."""


def _how_to_call_with_columns(fusion: Mapping[str, Any]) -> str:
    names = [name for kind in ("numeric", "categorical", "vector") for name in fusion["columns"][kind]]
    row = {"text": "a text"} | dict.fromkeys(names, "...")
    return f"""## How to call it

The model reads a text together with the columns {", ".join(map(_plain, names))} of its row ({fusion["fusion"]}). \
transformers' `pipeline` has no place for columns, so this folder refuses it rather than answer from the text alone.

```python
from huggingface_hub import snapshot_download
from text_uda import predict

rows = [{json.dumps(row, ensure_ascii=False)}]
list(predict(snapshot_download("MODEL"), rows))  # its hub id; or a folder: this one, or the run that it is from
```

`text-uda predict RUN FILE`, with the run directory, reads the columns by their names. A blank one is taken as \
missing."""


def _errors(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    lines = [
        "## Errors",
        "",
        "| rows | error | 95% interval | balanced error | macro-F1 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for side, rows in (("test", config["data"]["test"]), ("dev", result["dev_rows"])):
        if (error := result[f"{side}_error"]) is None:
            continue
        low, high = wilson_interval(round(error * rows / 100.0), rows)
        scores = f"{result[f'{side}_balanced_error']:.2f}% | {result[f'{side}_macro_f1']:.2f}%"
        lines.append(f"| {rows:,} {side} | {error:.2f}% | {low:.1f}% to {high:.1f}% | {scores} |")
    return "\n".join([*lines, "", f"{_chosen_by(config, result)} {_calibration(result)}"])


def _chosen_by(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    if "refit_of" in config:
        return (
            f"A refit: it trains on the development rows too, for the {result['steps']:,} steps that they chose before."
            " No row was left to choose weights."
        )
    if result["steps"] == 0:
        return "The fit takes no steps, so there were no weights to choose."
    if result["selected_by"] == "last":
        return f"The weights are those after the last step, {result['steps']:,}."
    rows = "dev rows, in the mean over the tasks" if "shared" in config else "dev rows"
    return (
        f"The weights are those after step {result['best_step']:,} of {result['steps']:,}, chosen by the"
        f" {result['selected_by']} of the {rows}, whose figures are therefore too good. The test rows chose nothing."
    )


def _calibration(result: Mapping[str, Any]) -> str:
    error = result["calibration"]["error"]
    return f"The confidence is off by {error:.1f} percentage points on average (expected calibration error, test rows)."


def _classes(data: Mapping[str, Any], scores: list[dict[str, Any]]) -> str:
    lines = [
        "## Classes",
        "",
        "| class | labeled texts | test rows | precision | recall | F1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for labels, score in zip(data["labels_per_class"], scores, strict=True):
        figures = " | ".join(_percent(score[name]) for name in ("precision", "recall", "f1"))
        lines.append(f"| {_plain(score['class'])} | {labels:,} | {score['support']:,} | {figures} |")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}%"  # precision of a class that is never predicted


def _training(config: Mapping[str, Any]) -> str:
    data, settings = config["data"], config["settings"]
    sampling = data["label_sampling"] or "all labels"
    method = {
        "objectives": config["objectives"],
        "averaging": config["averaging"],
        "augmentation": config["augmentation"],
        "filters": config["filters"],
        "settings": {name: value for name, value in settings.items() if name != "encoder"},
    }
    lines = [f"{name}: {json.dumps(value)}" for name, value in method.items() if value is not None]
    others = ", ".join(  # a run of an earlier version has fewer
        f"{data[side]:,} {side}" for side in ("unlabeled", "dev", "test") if side in data
    )
    versions = ", ".join(f"{package} {version}" for package, version in config["versions"].items())
    return "\n".join(
        [
            "## Training",
            "",
            f"- Data: {_plain(data['name'])}, digest `{data['digest']}`: {data['labeled']:,} labeled ({sampling}),"
            f" {others} texts.",
            f"- Encoder: {_plain(_encoder_name(config['encoder']))}, tuned: {_plain(settings['tune'])}.",
            f"- Versions: {versions}.",
            "",
            "```text",
            *lines,
            "```",
        ]
    )


def _limitations(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    data = config["data"]
    labels = f"{data['labeled']:,} labels{' of this task' if 'shared' in config else ''}"
    return f"""## Limitations

- It learned from {labels}. Other labels of the same number can give another error; the interval above covers only the
  chance of which {data["test"]:,} test rows were drawn.
- The test rows are from the same source as the training texts. On texts of another source, topic, time or language the
  error is unknown, and mostly higher.
- It gives each text one of its classes, also a text that belongs to none.
- Nobody has checked how the errors fall on groups of people. Do not let it decide about people alone."""


def _encoder_name(encoder: str) -> str:
    """Without the folders of this machine."""
    return Path(encoder).name if is_local(encoder) else encoder


def _plain(text: str) -> str:
    """Text from data on one line of Markdown, where it means nothing but itself."""
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    text = _MARKDOWN.sub(r"\\\1", text.strip())
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("www.", "www\\.")
