"""`data` and `paraphrase`: what there is before training."""

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import click

from text_uda.cli.augmentation_choice import AugmentationChoice, augmentation_options
from text_uda.cli.failures import keeps
from text_uda.cli.output import echo_pair, emit_json, printable, table
from text_uda.cli.shared_options import (
    CACHE_WORDS,
    COUNT,
    CacheLocation,
    DataChoice,
    Shard,
    data_options,
    encoder_option,
    ends,
)
from text_uda.errors import SettingsError
from text_uda.progress import followed

if TYPE_CHECKING:
    from text_uda.data import Corpus
    from translation_cache import Job


@click.command(short_help="List the data sets known by name, or describe one.")
@data_options(required=False)
@ends
def data(data: DataChoice, as_json: bool) -> None:
    """List the data sets that are known by name, or describe one (or a file of your own).

    \b
    Example:
      text-uda data
      text-uda data movie-snippets
      text-uda data reviews.tsv --text-column review --label-column stars
    """
    if data.source is None:
        from text_uda.data import known

        names = known()
        if as_json:
            emit_json({"known": names})
        else:
            click.echo(table(list(names.items())))
        return
    corpus = data.load()
    record = _description(corpus)
    if as_json:
        emit_json(record)
        return
    click.echo(printable(f"{corpus.name}: {corpus.description}"))
    click.echo(f"classes    {', '.join(printable(name, 40) for name in corpus.classes)}")
    for part in ("train", "test"):
        counts = ", ".join(f"{printable(name, 40)} {count:,}" for name, count in record[part].items())
        click.echo(f"{part:<10} {sum(record[part].values()):,} rows: {counts}")
    if len(corpus.unused):
        click.echo(f"unused     {len(corpus.unused):,} rows, whose text is another training row's or a test row's")
    click.echo(f"unlabeled  {len(corpus.unlabeled):,} more texts")
    for text, label in zip(corpus.train.texts[:3], corpus.train.labels[:3], strict=True):
        click.echo(f"  [{printable(corpus.classes[label], 40)}] {printable(text, 100)}")


def _description(corpus: "Corpus") -> dict[str, Any]:
    def counts(labels: tuple[int, ...]) -> dict[str, int]:
        return {name: labels.count(index) for index, name in enumerate(corpus.classes)}

    return {
        "name": corpus.name,
        "description": corpus.description,
        "classes": list(corpus.classes),
        "train": counts(corpus.train.labels),
        "test": counts(corpus.test.labels),
        "unused": len(corpus.unused),
        "unlabeled": len(corpus.unlabeled),
    }


def _preview(texts: Sequence[str], job: "Job", count: int) -> None:
    """Some texts with what is made of them; that is made again below, and comes out the same."""
    from text_uda.paraphrasing.fill_and_read import paraphrase, read_paraphrases

    few = list(dict.fromkeys(texts[:: max(1, len(texts) // count)]))[:count]
    with TemporaryDirectory() as folder:
        paraphrase(few, job, folder)
        for text, (made, *_) in zip(few, read_paraphrases(few, job, folder), strict=True):
            echo_pair(text, made.text, status=made.status, pivot=made.pivot)
    click.echo()


@click.command(short_help="Fill a cache with paraphrases of the training texts.")
@data_options()
@augmentation_options(method="--method", seed="--seed")
@click.option(
    "--cache",
    "cache_path",
    type=CacheLocation(),
    required=True,
    metavar="DIR",
    help=CACHE_WORDS,
)
@encoder_option
@click.option("--shard", type=Shard(), metavar="i/n", help="Only the i-th of n shares of the texts, i from 1.")
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="Where workers run: processes of this machine, or a Ray cluster (of this machine where none is running).",
)
@click.option("--workers", type=COUNT, default=1, show_default=True, metavar="N", help="Processes, or actors of Ray.")
@click.option("--preview", type=COUNT, metavar="N", help="First show N texts with their changes marked.")
@ends
def paraphrase(
    data: DataChoice,
    augmentation: AugmentationChoice,
    cache_path: str,
    encoder: str,
    shard: tuple[int, int] | None,
    engine: Literal["local", "ray"],
    workers: int,
    preview: int | None,
    as_json: bool,
) -> None:
    """Fill a cache with paraphrases of the training texts of DATA; given again, only what is missing is made.

    All texts of the training side are paraphrased, labeled or not, so that each split of it finds its own.

    \b
    Example:
      text-uda paraphrase movie-snippets --method back-translation --cache paraphrases
      text-uda paraphrase reviews.tsv --method synonym --rate 0.3 --cache paraphrases --workers 2 --preview 5
      text-uda paraphrase yelp-5 --method back-translation --cache s3://bucket/yelp --engine ray --workers 16
      text-uda paraphrase yelp-5 --method back-translation --cache paraphrases --shard 3/64
      text-uda paraphrase yelp-5 --method back-translation \\
        --translator marian:Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en \\
        --sampling-temperature 0.9 --samples 2 --cache paraphrases
    """
    if preview is not None and as_json:
        raise SettingsError("--preview shows texts to people, --json is for machines; give one of them")
    job = augmentation.build(encoder=encoder, texts=data.training_texts, cache=cache_path)
    assert job is not None  # `none` is no choice of this verb
    corpus, texts = data.load(), data.training_texts()
    if not as_json:
        share = f", share {shard[0]} of {shard[1]}" if shard else ""
        click.echo(
            f"{printable(corpus.name)}: {len(texts):,} texts of the training side"
            f" ({len(corpus.train.texts):,} with labels, {len(corpus.unlabeled):,} without){share}"
        )
    if preview is not None:
        _preview(texts, job, preview)
    from text_uda.paraphrasing.fill_and_read import paraphrase as fill
    from translation_cache import fingerprint

    with (
        keeps(f"what was made is kept in {cache_path}; the same command goes on from there"),
        followed(augmentation.method, "rows") as progress,
    ):
        report = fill(
            texts,
            job,
            cache_path,
            samples=augmentation.samples,
            engine=engine,
            workers=workers,
            shard=shard,
            progress=progress,
        )
    if as_json:
        emit_json(
            {
                "requested": report.requested,
                "present": report.present,
                "made": report.made,
                "rejected": dict(report.rejected),
                "seconds": round(report.seconds, 3),
                "texts": len(texts),
                "cache": cache_path,
            }
        )
        return
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in sorted(report.rejected.items()))
    click.echo(
        f"asked {report.requested:,}, there before {report.present:,}, made {report.made:,}"
        f" in {report.seconds:.1f} s; rejected of those: {rejected or 'none'}"
    )
    of_these = fingerprint(job.settings())[:8]
    click.echo(f"look at them: text-uda cache show {printable(cache_path)} --settings {of_these}")
