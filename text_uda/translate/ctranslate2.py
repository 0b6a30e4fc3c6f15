"""MarianMT on CTranslate2 (Klein et al. 2020): the same checkpoints, converted once, in int8 on a CPU.

Greedy and beam search give a sentence the same tokens in any batch. Sampling does not: CTranslate2 draws from one
generator, which each of its threads makes at its first draw and which cannot be set anew. So each call opens a
translator of one thread, whose generator is seeded by a hash of all that is asked for, and puts that in one order. The
same call gives the same samples, in whatever order it is asked; another set of sentences gives others.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from text_uda.cache_dir import home
from text_uda.errors import MissingPartError, SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.translate import device, marian_checkpoint
from text_uda.translate.batching import Budget
from text_uda.translate.decoding import Decoding
from text_uda.translate.translator import Translation
from translation_cache.atomic import whole_folder

VERSION = 1  # of the decoding: a change of what it makes is a new number
Precision = Literal["int8", "float32", "float16", "int8_float16", "bfloat16"]

_seeding = threading.Lock()  # the seed is one for the process


@dataclass(frozen=True)
class CTranslate2:
    """One direction: a hub id or a folder of a MarianMT model, `>>fr<<` after it where it speaks several languages."""

    model: str
    decoding: Decoding = field(default_factory=Decoding)
    precision: Precision = "int8"
    """Of weights and arithmetic; float16 needs a GPU."""

    def __post_init__(self) -> None:
        marian_checkpoint.check_precision(self.precision, get_args(Precision))

    @property
    def draws(self) -> int | None:
        return self.decoding.outputs

    @property
    def block(self) -> int:
        return device.block()

    def settings(self) -> dict[str, Any]:
        named = {"engine": "ctranslate2", "version": VERSION, "release": _library().__version__}
        named |= {**marian_checkpoint.identity(self.model), "precision": self.precision}
        return named | ({} if self.decoding.temperature is None else {"block": self.block}) | self.decoding.settings()

    def __call__(self, sentences: Sequence[str], draws: Sequence[int]) -> list[Translation]:
        """Raises MissingPartError without CTranslate2, SettingsError where the model cannot be opened or converted."""
        vocabulary = marian_checkpoint.vocabulary(self.model)
        sources = vocabulary.encode(sentences)
        made = [Translation("", "empty")] * len(sentences)
        rows = sorted(
            (row for row, source in enumerate(sources) if source.tokens), key=lambda row: (sentences[row], draws[row])
        )
        if not rows:
            return made
        names = vocabulary.tokenizer.convert_ids_to_tokens
        with self._translator([(sentences[row], draws[row]) for row in rows]) as translator:
            caps = [marian_checkpoint.most_tokens(len(sources[row].tokens), vocabulary.positions) for row in rows]

            def said(chosen: list[int], most: int) -> list[Any]:
                tokens = [names(sources[rows[number]].tokens) for number in chosen]
                return translator.translate_batch(tokens, **self._options(most))

            def work(batch: list[int]) -> list[Any]:
                """The cap is one for a batch: what it has a say in is said again beside sentences of the same cap."""
                made = {}
                if self.decoding.beams == 1:
                    made = dict(zip(batch, said(batch, max(caps[number] for number in batch)), strict=True))
                if self.decoding.temperature is None:
                    again = [n for n in batch if n not in made or len(made[n].hypotheses[0]) > caps[n]]
                    for cap, group in groupby(again, key=lambda number: caps[number]):  # they stand by length
                        chosen = list(group)
                        made |= zip(chosen, said(chosen, cap), strict=True)
                return [made[number] for number in batch]

            for batch, results in _budget(self.model, self.precision, device.torch_device().type).run(
                [len(sources[row].tokens) for row in rows], [1] * len(rows), work
            ):
                for number, result in zip(batch, results, strict=True):
                    row, cap = rows[number], caps[number]
                    hypothesis = draws[row] % self.decoding.beams
                    ids: Any = vocabulary.tokenizer.convert_tokens_to_ids(result.hypotheses[hypothesis])
                    ended = vocabulary.tokenizer.eos_token_id in ids[:cap]
                    score = result.scores[hypothesis]
                    made[row] = vocabulary.translation(ids[:cap], score, ended, cut=sources[row].cut)
        return made

    def _options(self, most: int) -> dict[str, Any]:
        """Everything is said, for `sampling_topk` is 1, which is greedy, where it is not."""
        options: dict[str, Any] = {
            "max_batch_size": 0,  # the batch as it is
            "max_input_length": 0,
            "max_decoding_length": most,
            "return_scores": True,
            "return_end_token": True,
            "beam_size": self.decoding.beams,
            "num_hypotheses": self.decoding.beams,
            "length_penalty": 1,
            "sampling_topk": 1,
        }
        if self.decoding.temperature is not None:
            options |= {
                "sampling_temperature": self.decoding.temperature,
                "sampling_topk": self.decoding.top_k or 0,  # 0 is the whole vocabulary
                "sampling_topp": self.decoding.top_p or 1,
            }
        return options

    @contextmanager
    def _translator(self, asked: list[tuple[str, int]]) -> Iterator[Any]:
        if self.decoding.temperature is None:
            yield _open(self._folder(), self.precision)
            return
        named = self.settings()
        seed = keyed_seed(*(named[name] for name in sorted(named)), *(part for row in asked for part in row)) % 2**32
        folder = self._folder()
        with _seeding:
            _library().set_random_seed(seed)
            translator = _open.__wrapped__(folder, self.precision)
            # The thread makes its generator at its first draw: here, while the seed is ours.
            translator.translate_batch([["</s>"]], sampling_topk=0, beam_size=1, max_decoding_length=1)
        yield translator

    def _folder(self) -> Path:
        """The converted model, kept by revision; made now where it is not there."""
        library, identity = _library(), marian_checkpoint.identity(self.model)
        name = f"{identity['model']}-{identity['revision']}-{self.precision}".replace("/", "--")
        folder = home() / "ctranslate2" / name
        if not folder.exists():
            try:
                with whole_folder(folder) as unfinished:
                    converter = library.converters.TransformersConverter(marian_checkpoint.split_name(self.model)[0])
                    converter.convert(str(unfinished), quantization=self.precision, force=True)
            except Exception as error:  # whatever transformers and safetensors raise of broken files
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise SettingsError(f"cannot convert {self.model!r} into {folder}: {reason:.200}") from error
        return folder


@cache
def _budget(model: str, precision: str, device: str) -> Budget:
    """How much fits in memory at once; what was too much once is not tried again."""
    return Budget(marian_checkpoint.MAX_TOKENS[device])


@cache
def _open(folder: Path, precision: str) -> Any:
    where = device.torch_device()
    try:
        return _library().Translator(
            str(folder),
            device=where.type,
            device_index=where.index or 0,
            compute_type=precision,
            inter_threads=1,
            intra_threads=device.cores(),
        )
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"CTranslate2 cannot compute in {precision} here ({error}); take int8 or float32"
        ) from error


@cache
def _library() -> Any:
    try:
        import ctranslate2
        import ctranslate2.converters
    except ImportError as error:
        raise MissingPartError(
            "the translator `ctranslate2` needs its package: pip install 'text-uda[ctranslate2]'"
        ) from error
    return ctranslate2
