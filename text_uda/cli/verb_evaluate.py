"""`evaluate`: the error of a trained run on a data set."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.class_tables import confusion_lines, scores_table
from text_uda.cli.data_options import OTHER_COLUMNS, DataChoice, data_options
from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json, printable
from text_uda.cli.shared_options import ends, run_argument
from text_uda.errors import DataError, SettingsError, listed
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory

if TYPE_CHECKING:
    from text_uda.data.evaluation_rows import EvaluationRows, Part


@verb()
@run_argument
@data_options(leave_out=("unlabeled", *OTHER_COLUMNS))
@option(
    "--rows",
    "part",
    group="Data",
    type=click.Choice(("test", "all")),
    default="test",
    show_default=True,
    help="The test rows of DATA, or all labeled rows (for a file that the run has never seen). Each repetition of a"
    " row counts.",
)
@ends
def evaluate(run: Path, data: DataChoice, part: "Part", as_json: bool) -> None:
    """Measure the error of the model in RUN on DATA, and precision, recall and F1 of each class, in percent.

    \b
    Example:
      text-uda evaluate run movie-snippets
      text-uda evaluate run new-reviews.tsv --rows all
    """
    selected = _select(run, data, part)
    from text_uda.runs.evaluation import evaluate

    with followed("evaluate", "texts") as progress:
        record = evaluate(run, selected.rows, progress=progress)
    if as_json:
        emit_json(_with_training(record, selected.name, run) | {"unlabeled_rows": selected.unlabeled_rows})
        return
    click.echo(f"{printable(str(run))} on {printable(selected.part)}")
    for line in _remarks(record, selected, part, has_other_tasks="shared" in RunDirectory(run).config()):
        click.echo(line)
    low, high = record["test_error_interval"]
    click.echo(
        f"error {record['test_error']:.2f}%, balanced error {record['test_balanced_error']:.2f}%,"
        f" macro-F1 {record['test_macro_f1']:.2f}%; 95% interval of the error: {low:.2f} to {high:.2f}% (Wilson)"
    )
    click.echo(scores_table(record["per_class"]))
    for line in confusion_lines([scores["class"] for scores in record["per_class"]], record["confusion"]):
        click.echo(line)


def _remarks(record: dict[str, Any], selected: "EvaluationRows", part: str, *, has_other_tasks: bool) -> list[str]:
    remarks = []
    if selected.unlabeled_rows:
        remarks.append(f"{selected.unlabeled_rows:,} rows have no label and are left out")
    if record["repeated_rows"]:
        remarks.append(f"{record['repeated_rows']:,} rows repeat a text, and count")
    seen = record["seen_rows"]
    if seen is None:
        if part == "all":
            remarks.append("it is unknown whether the run has seen these rows: an earlier version trained it")
    elif any(seen.values()):
        without = "without labels of this task" if has_other_tasks else "without labels"
        uses = {"labeled": "with their labels", "dev": "to select the weights", "unlabeled": without}
        words = ", ".join(f"{count:,} {uses[use]}" for use, count in seen.items() if count)
        remarks.append(f"seen in training: {words}; on new rows the error can be higher")
    return remarks


def _with_training(record: dict[str, Any], data_name: str, run: Path) -> dict[str, Any]:
    """The record with the figures of training. The last weights are not kept: their error is known on one test set."""
    directory = RunDirectory(run)
    trained, config = directory.result() or {}, directory.config()
    counts = [[sum(row) for row in source["confusion"]] for source in (record, trained)]
    same_rows = config["data"]["name"] == data_name and counts[0] == counts[1]
    return record | {
        "dev_error": trained["dev_error"],
        "last_test_error": trained["last_test_error"] if same_rows else None,
        "steps": trained["steps"],
    }


def _select(run: Path, data: DataChoice, part: "Part") -> "EvaluationRows":
    """The rows with the class numbers of the run, by the names of the classes."""
    classes = run_classes(run)
    from text_uda.data.evaluation_rows import both, file_rows, limited
    from text_uda.data.tables import data_name, names_table
    from text_uda.runs.run_columns import columns_read_by

    if not names_table(data.source):
        return _of_data_set(run, classes, data, part)

    def read(path: Path, part: "Part") -> "EvaluationRows":
        columns = {"text_column": data.text_column, "label_column": data.label_column}
        return limited(file_rows(path, classes, part=part, **columns, others=columns_read_by(run)), data.limit)

    if data.test is None:
        return read(Path(data.source), part)
    test = replace(read(data.test, "all"), name=data_name(Path(data.source)))
    return test if part == "test" else both(read(Path(data.source), "all"), test)


def _of_data_set(run: Path, classes: list[str], data: DataChoice, part: "Part") -> "EvaluationRows":
    from text_uda.data import Rows
    from text_uda.data.evaluation_rows import EvaluationRows
    from text_uda.data.label_spelling import class_finder
    from text_uda.runs.run_columns import columns_read_by

    others = columns_read_by(run)
    data = replace(data, numeric=others.numeric, categorical=others.categorical, vector=others.vector)
    corpus = data.load()
    rows = corpus.test if part == "test" else Rows.joined(corpus.train, corpus.unused, corpus.test)
    class_of = class_finder(classes)
    numbers = {name: classes.index(known) for name in corpus.classes if (known := class_of(name)) is not None}
    for text, label in zip(rows.texts, rows.labels, strict=True):
        if corpus.classes[label] not in numbers:
            raise DataError(
                f"{data.source}: label {corpus.classes[label]!r} (of the text {text[:60]!r}) is none of the classes of"
                f" {run} ({listed(classes)}); correct it, or name the right column with --label-column"
            )
    words = f"{'the test rows' if part == 'test' else 'all labeled rows'} of {corpus.name}: {len(rows):,}"
    labels = tuple(numbers[corpus.classes[label]] for label in rows.labels)
    return EvaluationRows(Rows(texts=rows.texts, labels=labels), corpus.name, words)


def run_classes(run: Path) -> list[str]:
    """The names of the classes, in the order of the model's outputs."""
    RunDirectory(run).check_leaves_a_classifier()
    try:
        return [str(name) for name in RunDirectory(run).config()["data"]["classes"]]
    except (SettingsError, KeyError, TypeError) as error:
        raise DataError(f"{run} is not a run directory; give a folder that `text-uda train --out` wrote") from error
