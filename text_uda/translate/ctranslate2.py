"""MarianMT on CTranslate2 (Klein et al. 2020): the same checkpoints, converted once, in int8 on a CPU.

Greedy and beam search give a sentence the same tokens in any batch. Sampling does not: each thread of CTranslate2
creates its random generator at the first draw, and it cannot be seeded again. So each call opens a translator with one
thread, seeds its generator by a hash of all requested (sentence, draw), and translates them in sorted order. The same
request gives the same samples in any order; another set of sentences gives other samples.

On a GPU its wheels load the cuBLAS of CUDA 12, which a torch of another CUDA version does not bring. Without it
translations run on the CPU, with a warning.
"""

import ctypes
import importlib.util
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from text_uda.cache_dir import home
from text_uda.errors import MissingPartError, SettingsError, UserError, reason_of
from text_uda.keyed_random import keyed_seed
from text_uda.translate import marian_checkpoint
from text_uda.translate.batching import Budget
from text_uda.translate.decoding import Decoding
from text_uda.translate.device import WorkerShare, block_on
from text_uda.translate.translator import Translation
from translation_cache import checked_folder

VERSION = 2  # of the decoding: increase it when outputs change
_CONVERSION = 2  # of the converted files: increase it when they, or the checks before them, change
Precision = Literal["int8", "float32", "float16", "int8_float16", "bfloat16"]

log = logging.getLogger("text_uda")

_checked: set[Path] = set()  # folders whose digests this process has read
_seeding = threading.Lock()  # CTranslate2's seed is global to the process


@dataclass(frozen=True)
class CTranslate2:
    """One direction: the hub id or the folder of a MarianMT model, plus `>>fr<<` if it has several target languages."""

    model: str
    decoding: Decoding = field(default_factory=Decoding)
    precision: Precision = "int8"
    """Of weights and arithmetic; float16 needs a GPU."""
    share: WorkerShare = field(default_factory=WorkerShare, kw_only=True, compare=False, repr=False)
    """Of the machine; greedy and beam search do not depend on it."""

    def __post_init__(self) -> None:
        marian_checkpoint.check_precision(self.precision, get_args(Precision))

    @property
    def draws(self) -> int | None:
        return self.decoding.outputs

    @property
    def block(self) -> int:
        return block_on(_device(self.share)[0])

    def settings(self) -> dict[str, Any]:
        settings = {"engine": "ctranslate2", "version": VERSION, "release": _library().__version__}
        settings |= {**marian_checkpoint.identity(self.model), "precision": self.precision}
        return (
            settings | ({} if self.decoding.temperature is None else {"block": self.block}) | self.decoding.settings()
        )

    def __call__(self, sentences: Sequence[str], draws: Sequence[int]) -> list[Translation]:
        """Raises MissingPartError without CTranslate2, SettingsError if the model cannot be opened or converted."""
        vocabulary = marian_checkpoint.vocabulary(self.model)
        sources = vocabulary.encode(sentences)
        translations = [Translation("", "empty")] * len(sentences)
        rows = sorted(
            (row for row, source in enumerate(sources) if source.tokens), key=lambda row: (sentences[row], draws[row])
        )
        if not rows:
            return translations
        sampled = self.decoding.temperature is not None
        searches = [  # without sampling, the draws of a sentence are outputs of one search
            list(group) for _, group in groupby(rows, key=lambda row: (sentences[row], sampled and draws[row]))
        ]
        firsts = [search[0] for search in searches]
        budget = _budget(self.model, self.precision, *_device(self.share))
        names, number_of = vocabulary.source_tokens, vocabulary.target_numbers
        with self._translator([(sentences[row], draws[row]) for row in rows]) as translator:
            caps = [marian_checkpoint.most_tokens(len(sources[row].tokens), vocabulary.positions) for row in firsts]

            def translate(numbers: list[int], most: int) -> list[Any]:
                tokens = [[names[token] for token in sources[firsts[number]].tokens] for number in numbers]
                with budget.exclusive():
                    return translator.translate_batch(tokens, **self._options(most))

            def work(batch: list[int]) -> list[Any]:
                """A batch has one cap. An output that the cap can change is decoded again with sentences of its cap."""
                results = {}
                if self.decoding.beams == 1:
                    results = dict(zip(batch, translate(batch, max(caps[number] for number in batch)), strict=True))
                if not sampled:
                    again = [n for n in batch if n not in results or len(results[n].hypotheses[0]) > caps[n]]
                    for cap, group in groupby(again, key=lambda number: caps[number]):  # a batch is sorted by length
                        numbers = list(group)
                        results |= zip(numbers, translate(numbers, cap), strict=True)
                return [results[number] for number in batch]

            lengths = [len(sources[row].tokens) for row in firsts]
            of_beams = [budget.rows(1, beams=self.decoding.beams)] * len(firsts)
            for batch, results in budget.run(lengths, of_beams, work):
                by_row = [
                    (row, caps[number], result)
                    for number, result in zip(batch, results, strict=True)
                    for row in searches[number]
                ]
                for row, cap, result in by_row:
                    hypothesis = draws[row] % self.decoding.beams
                    ids = [number_of[token] for token in result.hypotheses[hypothesis]]
                    ended = vocabulary.tokenizer.eos_token_id in ids[:cap]
                    score = result.scores[hypothesis]
                    translations[row] = vocabulary.translation(ids[:cap], score, ended, cut=sources[row].cut)
        return translations

    def _options(self, most: int) -> dict[str, Any]:
        """All options explicitly: the default of `sampling_topk` is 1, which is greedy."""
        options: dict[str, Any] = {
            "max_batch_size": 0,  # do not split the batch
            "max_input_length": 0,
            "max_decoding_length": most,
            "min_decoding_length": 1,  # so it never ends at the first token, where `marian:` does
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
    def _translator(self, requests: list[tuple[str, int]]) -> Iterator[Any]:
        if self.decoding.temperature is None:
            yield open_translator(self._folder(), self.precision, self.share)
            return
        settings = self.settings()
        key = (*(settings[name] for name in sorted(settings)), *(part for request in requests for part in request))
        seed = keyed_seed(*key) % 2**32
        folder = self._folder()
        with _seeding:
            _library().set_random_seed(seed)
            translator = open_translator.__wrapped__(folder, self.precision, self.share)
            # The thread creates its generator at its first draw: here, under the lock.
            translator.translate_batch([["</s>"]], sampling_topk=0, beam_size=1, max_decoding_length=1)
        yield translator

    def _folder(self) -> Path:
        """The folder of the converted model, one per revision; converts the model if it is missing.

        Raises:
            SettingsError: the model cannot be opened, or CTranslate2 cannot compute what it does.
        """
        identity = marian_checkpoint.identity(self.model)
        name = f"{identity['model']}-{identity['revision']}-{self.precision}-{_CONVERSION}".replace("/", "--")
        folder = home() / "ctranslate2" / name

        def make(unfinished: Path) -> None:
            model, vocabulary = (
                marian_checkpoint.load_model(self.model, "auto"),
                marian_checkpoint.vocabulary(self.model),
            )
            try:
                from text_uda.translate.ctranslate2_conversion import convert

                convert(self.model, model, vocabulary, unfinished, self.precision)
            except (UserError, OSError):  # what is wrong with the model, or with the disk
                raise
            except Exception as error:  # its converter is no public interface
                raise SettingsError(
                    f"CTranslate2 {_library().__version__} cannot convert {self.model!r} ({reason_of(error)}): install "
                    "the version that the extra asks for, pip install 'text-uda[ctranslate2]', or translate with "
                    "marian: instead"
                ) from error

        if folder not in _checked:
            checked_folder.load_or_make(folder, make)
            _checked.add(folder)
        return folder


@cache
def _budget(model: str, precision: str, device_type: str, index: int) -> Budget:
    """The token budget of a batch; an out-of-memory error lowers it for later calls."""
    import torch

    return Budget(marian_checkpoint.MAX_TOKENS[device_type], torch.device(device_type, index))


@cache
def open_translator(folder: Path, precision: str, share: WorkerShare) -> Any:
    device, index = _device(share)
    try:
        return _library().Translator(
            str(folder),
            device=device,
            device_index=index,
            compute_type=precision,
            inter_threads=1,
            intra_threads=share.cores(),
        )
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"CTranslate2 cannot compute in {precision} here ({reason_of(error)}); choose int8 or float32"
        ) from error


def _device(share: WorkerShare) -> tuple[str, int]:
    """The type and the number of the device: of the GPUs that CTranslate2 sees, which can be others than torch's."""
    gpus = _library().get_cuda_device_count()
    if gpus and _has_cublas():
        return "cuda", share.worker % gpus
    share.set_threads()
    return "cpu", 0


@cache
def _has_cublas() -> bool:
    """Load the cuBLAS that CTranslate2's wheel asks for by name, where the dynamic linker or a package has it."""
    if not sys.platform.startswith("linux"):
        return True  # CTranslate2 finds it by itself, or says so
    spec = importlib.util.find_spec("nvidia")
    packages = [Path(folder) / "cublas" / "lib" for folder in (spec and spec.submodule_search_locations) or ()]
    for folder in ("", *packages):
        try:
            for name in ("libcublasLt.so.12", "libcublas.so.12"):  # in this order: the second one needs the first
                ctypes.CDLL(str(Path(folder) / name), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return True
    log.warning(
        "CTranslate2 runs on the CPU: on a GPU it needs the cuBLAS of CUDA 12: pip install 'text-uda[ctranslate2-gpu]'"
    )
    return False


@cache
def _library() -> Any:
    try:
        import ctranslate2
    except ImportError as error:
        raise MissingPartError(
            "the translator `ctranslate2` needs its package: pip install 'text-uda[ctranslate2]'"
        ) from error
    return ctranslate2
