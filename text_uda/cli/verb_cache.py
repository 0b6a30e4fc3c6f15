"""`cache`: look at, check and reshape a folder of paraphrases."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from text_uda.cli.failures import FAILED, keeps
from text_uda.cli.grouped_help import Verbs, option
from text_uda.cli.output import echo_pair, emit_json, printable
from text_uda.cli.parameter_types import COUNT, FILE, CacheLocation
from text_uda.cli.shared_options import Verb, ends
from text_uda.errors import SettingsError

EXISTING = CacheLocation(exists=True)
_ALL = "all rows"


@click.group(cls=Verbs)
def cache() -> None:
    """Look at, check and reshape a folder of paraphrases.

    \b
    Example:
      text-uda cache stats paraphrases
      text-uda cache show paraphrases --limit 5
      text-uda cache export paraphrases --out pairs.jsonl
    """


def _folder(function: Verb) -> Verb:
    return click.argument("folder", metavar="DIR", type=EXISTING)(function)


_similarity_encoder = option(
    "--similarity-encoder", metavar="NAME", help="Sentence encoder of the similarity.", default_words="minilm-l6"
)


@cache.command(short_help="Count rows by method and status.")
@_folder
@ends
def stats(folder: str, as_json: bool) -> None:
    """Count the rows of DIR by method and status.

    \b
    Example:
      text-uda cache stats paraphrases
    """
    from translation_cache import Cache, stats

    record = stats(Cache(folder))
    if as_json:
        emit_json(record)
        return
    click.echo(f"{record['rows']:,} rows, {record['ok']:,} ok ({record['yield']:.1%}), {_size(record['bytes'])}")
    for entry in record["settings"]:
        others = {name: value for name, value in entry["made_with"].items() if name != "method"}
        click.echo("\n" + printable(f"{entry['method']} {entry['fingerprint'][:8]}: {_words(others)}"))
        click.echo(f"  {entry['rows']:,} rows in {entry['shards']:,} files, {_size(entry['bytes'])}")
        click.echo(f"  ok {entry['ok']:,} ({entry['yield']:.1%}); rejected: {printable(_words(entry['rejected']))}")
        means = [("words changed", "change_rate"), ("length ratio", "length_ratio")]
        known = [f"{words} {entry[name]:.3f}" for words, name in means if entry[name] is not None]
        copies = f"copies of the source {entry['copy_rate']:.1%}"
        click.echo("  " + ", ".join([*known, copies]))
    for name in record["set_aside"]:
        click.echo(printable(f"set aside: {name}"))


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return "[" + "; ".join(map(_words, value)) + "]"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@cache.command(short_help="Show paraphrases, changed words marked.")
@_folder
@option("--limit", type=COUNT, default=10, show_default=True, metavar="N", help="Rows to show.")
@option(
    "--settings", metavar="FINGERPRINT", help="Only rows with these settings (see `cache stats`).", default_words=_ALL
)
@option("--query", metavar="TEXT", help="Only rows whose source or paraphrase contains TEXT.", default_words=_ALL)
@ends
def show(folder: str, limit: int, settings: str | None, query: str | None, as_json: bool) -> None:
    """Show paraphrases of DIR with the changed words marked; side by side on a terminal.

    \b
    Example:
      text-uda cache show paraphrases --limit 5 --query "not good"
    """
    from translation_cache import Cache, show

    cache = Cache(folder)
    rows = show(cache, limit, settings=settings, query=query)
    _add_similarity(cache, rows)
    if as_json:
        emit_json({"rows": rows})
        return
    for row in rows:
        echo_pair(row["source"], row["paraphrase"], status=str(row["status"]), pivot=row.get("pivot"))
        for encoder, value in row.get("similarity", {}).items():
            click.echo(printable(f"    similarity {value:.2f} ({encoder})"))
    if not rows:
        click.echo("no row matches")


def _add_similarity(cache: Any, rows: list[dict[str, Any]]) -> None:
    """Add the similarities that are kept beside the cache to its rows, by encoder."""
    if cache.scores_folder is None or not cache.scores_folder.exists():
        return
    from text_uda.paraphrasing.similarity import recorded

    for similarity in recorded(cache):
        known = similarity.known([(row["source"], row["paraphrase"] or "") for row in rows])
        for row, value in zip(rows, known.tolist(), strict=True):
            if value == value:
                row.setdefault("similarity", {})[similarity.encoder] = value


@cache.command(short_help="How similar paraphrases are to their sources.")
@_folder
@_similarity_encoder
@ends
def similarity(folder: str, similarity_encoder: str | None, as_json: bool) -> None:
    """Compute how similar each usable paraphrase of DIR is to its source, in meaning and in words.

    The similarity of meaning is the cosine of both texts' features from a sentence encoder. It is computed once and
    kept in DIR/_scores; `train --min-similarity X` and `cache export --min-similarity X` reject what is below X.

    \b
    Example:
      text-uda cache similarity paraphrases
    """
    from text_uda.paraphrasing.similarity import Similarity, summaries
    from translation_cache import Cache

    with keeps(f"the similarities that were computed are kept in {folder}/_scores; rerun the same command"):
        of_cache = Similarity(Cache(folder), *_given(similarity_encoder))
        records = summaries(Cache(folder), of_cache)
    if as_json:
        emit_json({"encoder": of_cache.encoder, "settings": records})
        return
    for entry in records:
        click.echo(printable(f"{entry['method']} {entry['fingerprint'][:8]}: {entry['paraphrases']:,} paraphrases"))
        if entry["paraphrases"]:
            quantiles = ", ".join(f"{share} {value:.3f}" for share, value in entry["similarity"].items())
            below = ", ".join(f"{bound} {share:.1%}" for bound, share in entry["below"].items())
            click.echo(f"  similarity ({of_cache.encoder}): {quantiles}; below {below}")
        if entry["words_kept"] is not None:
            click.echo(f"  words kept {entry['words_kept']:.3f}")


def _given(encoder: str | None) -> tuple[str, ...]:
    return () if encoder is None else (encoder,)


@cache.command(short_help="Read all files and name the damaged ones.")
@_folder
@option("--set-aside", is_flag=True, help="Move damaged and foreign files to DIR/_set-aside.")
@ends
def verify(folder: str, set_aside: bool, as_json: bool) -> None:
    """Read all files of DIR and name the damaged ones; exit code 1 if there are any.

    \b
    Example:
      text-uda cache verify paraphrases
    """
    from translation_cache import Cache, verify

    record = verify(Cache(folder), set_aside=set_aside)
    damaged = record["damaged"]
    if as_json:
        emit_json(record)
    else:
        click.echo(f"{record['shards']:,} files, {record['rows']:,} rows, {len(damaged):,} damaged")
        for entry in damaged:
            click.echo(printable(f"damaged: {entry['file']}: {entry['reason']}"))
        if damaged:
            action = "they are set aside" if set_aside else "`cache verify --set-aside` moves them to DIR/_set-aside"
            click.echo(f"{action}; rerun the same `paraphrase` command to replace their rows")
    if damaged:
        raise click.exceptions.Exit(FAILED)


@cache.command(short_help="Merge small files into larger ones.")
@_folder
@ends
def compact(folder: str, as_json: bool) -> None:
    """Merge the small files of DIR into larger ones; new files are complete before old ones are removed.

    \b
    Example:
      text-uda cache compact paraphrases
    """
    from translation_cache import Cache, compact

    cache = Cache(folder)
    with keeps(f"no row of {cache} is lost; rerun the same command to finish"):
        record = compact(cache)
    _outcome(record, f"compacted {cache}", as_json)


@cache.command(short_help="Add the rows of other caches.")
@click.argument("into", metavar="INTO", type=CacheLocation())
@click.argument("others", metavar="DIR...", type=EXISTING, nargs=-1, required=True)
@ends
def merge(into: str, others: tuple[str, ...], as_json: bool) -> None:
    """Add the rows of each DIR to INTO; DIR does not change.

    \b
    Example:
      text-uda cache merge paraphrases from-node-1 from-node-2
    """
    from translation_cache import Cache, merge

    target = Cache(into)
    with keeps(f"the files that were copied are kept in {target}; rerun the same command for the others"):
        record = merge(target, *(Cache(other) for other in others))
    _outcome(record, f"merged into {target}", as_json)


@cache.command(short_help="Write the rows to one file.")
@_folder
@option(
    "--out",
    type=FILE,
    required=True,
    metavar="FILE",
    help="A .csv, .tsv, .jsonl, .parquet or .arrow file.",
)
@option(
    "--min-similarity",
    type=click.FloatRange(-1, 1),
    metavar="X",
    help="Give paraphrases that are less similar to their source the status `dissimilar` (see `cache similarity`).",
    default_words="none",
)
@_similarity_encoder
@ends
def export(folder: str, out: Path, min_similarity: float | None, similarity_encoder: str | None, as_json: bool) -> None:
    """Write the rows of DIR to one file: source, sample, paraphrase, pivot, status, method.

    Texts are written byte for byte. A spreadsheet takes a cell that starts with =, +, - or @ for a formula: import such
    a csv file with its columns as text.

    \b
    Example:
      text-uda cache export paraphrases --out pairs.csv
      text-uda cache export paraphrases --out pairs.jsonl
    """
    from translation_cache import Cache, export
    from translation_cache.reshape import check_suffix

    if similarity_encoder is not None and min_similarity is None:
        raise SettingsError("--similarity-encoder decides only with --min-similarity: give both")
    restatus = None
    with keeps(f"{out} is as it was; rerun the same command"):
        if min_similarity is not None:
            from text_uda.paraphrasing.cache_access import mark_dissimilar
            from text_uda.paraphrasing.filters import Filters
            from text_uda.paraphrasing.similarity import Similarity, compute_all

            check_suffix(out)  # before the long part
            of_cache = Similarity(Cache(folder), *_given(similarity_encoder))
            compute_all(Cache(folder), of_cache)
            filters = Filters(min_similarity=min_similarity)
            restatus = partial(mark_dissimilar, similarity=of_cache, filters=filters)
        record = export(Cache(folder), out, restatus=restatus)
    _outcome(record, f"wrote {out}", as_json)


def _outcome(record: object, words: str, as_json: bool) -> None:
    if as_json:
        emit_json(record if isinstance(record, dict) else {"result": record})
    else:
        more = f": {_words(record)}" if isinstance(record, dict | int) else ""
        click.echo(printable(words + more))
