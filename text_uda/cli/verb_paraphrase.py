"""`paraphrase`: fill a cache with paraphrases of the training texts."""

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import click

from text_uda.cli.augmentation_choice import AugmentationChoice, augmentation_options, options_of
from text_uda.cli.data_options import OTHER_COLUMNS, DataChoice, data_options
from text_uda.cli.failures import keeps
from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import echo_pair, emit_json, note, printable
from text_uda.cli.parameter_types import COUNT
from text_uda.cli.shared_options import cache_option, encoder_option, ends, shard_option
from text_uda.errors import SettingsError
from text_uda.progress import followed

if TYPE_CHECKING:
    from text_uda.data import Corpus
    from translation_cache import FillReport, Job


def _preview(texts: Sequence[str], job: "Job", count: int, cache_path: str | None, samples: int) -> None:
    """Print some texts with their paraphrases.

    Args:
        cache_path: they are kept there, since they cost too much to be made twice; None makes them in a temporary
            cache, and the real cache gets the same ones later.
        samples: paraphrases to make of each text, of which the first is printed.
    """
    from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases

    few = list(dict.fromkeys(texts[:: max(1, len(texts) // count)]))[:count]
    with TemporaryDirectory() as folder:
        cache = folder if cache_path is None else cache_path
        paraphrase(few, job, cache, samples=samples)
        for text, (first, *_) in zip(few, read_paraphrases(few, job, cache), strict=True):
            echo_pair(text, first.text, status=first.status, pivot=first.pivot)
    click.echo()


def _describe(corpus: "Corpus") -> str:
    """The texts of a corpus, and why they are fewer than its rows."""
    name = printable(corpus.name)
    if not corpus.classes:
        return (
            f"{name}: {len(corpus.unlabeled):,} distinct texts without labels; no test rows are held out (a later"
            " `train` on labeled rows of them reads no pair of its test rows)"
        )
    from text_uda.data.row_counts import describe_unused

    words = [f"{len(corpus.train):,} with labels, {len(corpus.unlabeled):,} without"]
    words.append(f"not {len(corpus.test):,} test rows")
    if len(corpus.unused):
        words.append(f"not {len(corpus.unused):,} rows: {describe_unused(corpus)}")
    return f"{name}: {len(corpus.train) + len(corpus.unlabeled):,} texts of the training side ({'; '.join(words)})"


@verb()
@data_options(leave_out=OTHER_COLUMNS)
@augmentation_options(method="--method", seed="--seed")
@cache_option(required=True)
@encoder_option(group="Augmentation", help="Encoder whose tokens switchout and uniform switch, as in `text-uda train`.")
@shard_option("texts")
@option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="Run the workers as processes of this machine, or on a Ray cluster (started here if none is running).",
)
@option("--workers", type=COUNT, default=1, show_default=True, metavar="N", help="Processes, or actors of Ray.")
@option(
    "--preview", type=COUNT, metavar="N", help="First show N texts with their changes marked.", default_words="none"
)
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
    """Fill a cache with paraphrases of the training texts of DATA; a rerun adds only the missing ones.

    All texts of the training side are paraphrased, labeled or not, so that every split finds its paraphrases. DATA can
    be texts alone: a .txt file (one text a line), a file without a label column, or - for standard input.

    \b
    Example:
      text-uda paraphrase movie-snippets --method back-translation --cache paraphrases
      text-uda paraphrase reviews.tsv --method synonym --rate 0.3 --cache paraphrases --workers 2 --preview 5
      text-uda paraphrase texts.txt --method switchout --encoder minilm-l6 --cache paraphrases
      cat texts.txt | text-uda paraphrase - --method synonym --cache paraphrases
      text-uda paraphrase yelp-5 --method back-translation --cache s3://bucket/yelp --engine ray --workers 16
      text-uda paraphrase yelp-5 --method back-translation --cache paraphrases --shard 3/64
      text-uda paraphrase yelp-5 --method back-translation \\
        --translator marian:Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en \\
        --sampling-temperature 0.9 --samples 2 --cache paraphrases
      text-uda paraphrase yelp-5 --method llm --model Qwen/Qwen3-8B --llm-url http://localhost:8000/v1 \\
        --cache paraphrases --preview 3
    """
    if preview is not None and as_json:
        raise SettingsError("--preview prints texts for people, --json is for machines; give one of them")
    job = augmentation.build(encoder=encoder, texts=data.training_texts, cache=cache_path)
    assert job is not None  # this verb has no method `none`
    per_request = augmentation.llm_per_request or 1
    if lost := -augmentation.samples % per_request:
        note(
            f"the last request of a text asks for {per_request} paraphrases, of which --samples {augmentation.samples} "
            f"does not keep {lost}; more samples later send it again: give a multiple of --llm-per-request"
        )
    corpus, texts = data.load_texts(), data.training_texts()
    if not as_json:
        click.echo(_describe(corpus) + (f", share {shard[0]} of {shard[1]}" if shard else ""))
    if preview is not None:
        if augmentation.method == "llm":  # all that the requests ask for, or the next call would send them again
            _preview(texts, job, preview, cache_path, max(augmentation.samples, per_request))
        else:
            _preview(texts, job, preview, None, 1)
    from text_uda.paraphrasing.cache_access import paraphrase as fill
    from translation_cache.credentials import without_secrets

    in_process = engine == "local" and workers == 1  # else the workers have the counts of replies
    with keeps(f"finished paraphrases are kept in {cache_path}; rerun the same command to resume"):
        with followed(augmentation.method, "rows") as progress:
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
                    "made": report.computed,
                    "rejected": dict(report.rejected),
                    "seconds": round(report.seconds, 3),
                    "texts": len(texts),
                    "cache": without_secrets(cache_path),
                    **(_usage_counts(job) if in_process else {}),
                }
            )
        else:
            _echo_report(report, augmentation, job, cache_path, usage=_usage_counts(job) if in_process else {})


def _usage_counts(job: "Job") -> dict[str, Any]:
    """The replies and tokens of a language model in this process."""
    usage = getattr(job, "usage", None)
    if usage is None:
        return {}
    return {
        "replies": usage.replies,
        "prompt_tokens": usage.prompt_tokens,
        "generated_tokens": usage.generated_tokens,
        "served_models": sorted(usage.served_models),
    }


def _echo_usage(counts: dict[str, Any], augmentation: AugmentationChoice) -> None:
    click.echo(
        f"{printable(augmentation.llm_model or '')} gave {counts['replies']:,} replies in this process: "
        f"{counts['generated_tokens']:,} tokens generated, {counts['prompt_tokens']:,} tokens of prompts read"
    )
    others = [name for name in counts["served_models"] if name.partition("@")[0] != augmentation.llm_model]
    if others:
        note(f"the server answers as {', '.join(others)}, not as {augmentation.llm_model}: make sure it is that model")
    if augmentation.llm_url is not None:
        note("a server does not promise the same reply to the same request; the cache keeps these paraphrases")


def _echo_report(
    report: "FillReport", augmentation: AugmentationChoice, job: "Job", cache_path: str, *, usage: dict[str, Any]
) -> None:
    from translation_cache import fingerprint
    from translation_cache.credentials import without_secrets

    if job.settings()["unit"] == "sentence":
        sentences = report.requested // augmentation.samples
        click.echo(f"the texts have {sentences:,} distinct sentences; each is paraphrased and cached once")
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in sorted(report.rejected.items()))
    click.echo(
        f"requested {report.requested:,}, already in the cache {report.present:,}, computed {report.computed:,}"
        f" in {report.seconds:.1f} s; rejected: {rejected or 'none'}"
    )
    if foreign := report.rejected.get("source-language"):
        unit = "sentence" if job.settings()["unit"] == "sentence" else "text"
        counted = f"{foreign:,} {unit}{' is' if foreign == 1 else 's are'}"
        hint = "; --language names the language" if "language" in options_of(augmentation.method) else ""
        click.echo(f"{counted} in another language than {augmentation.method} changes, and left alone{hint}")
    if usage.get("replies"):
        _echo_usage(usage, augmentation)
    settings = fingerprint(job.settings())[:8]
    click.echo(f"to read them: text-uda cache show {printable(without_secrets(cache_path))} --settings {settings}")
