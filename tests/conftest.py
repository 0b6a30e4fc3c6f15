"""What all tests share: no network beyond this machine, few threads, a tiny random BERT made on the spot."""

import gc
import os
import shutil
import signal
import socket
import string
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import hypothesis
import pytest
from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

# Before anything imports torch or a Hugging Face library: they read these once. Subprocesses inherit them.
_hugging_face = tempfile.TemporaryDirectory(prefix="text-uda-tests-")
os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=_hugging_face.name, TOKENIZERS_PARALLELISM="false")
os.environ.pop("HF_DATASETS_CACHE", None)
os.environ["OMP_NUM_THREADS"] = "1"  # tiny tensors: two threads wait for each other, above all on a busy machine
os.environ["TEXT_UDA_FEATURES"] = "off"  # a test encodes what it encodes, and leaves nothing in the user's cache folder

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job of a shell's background, and so in our subprocesses
    signal.signal(signal.SIGINT, signal.default_int_handler)


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the tensors of each call against their annotations; all other arguments may be stand-ins."""
    shapes = {name: annotation for name, annotation in function.__annotations__.items() if _has_shape(annotation)}
    if not shapes:
        return function
    function.__annotations__ = shapes
    return beartype(function)


def _has_shape(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    parts = (part for argument in get_args(annotation) for part in (argument if type(argument) is list else [argument]))
    return any(map(_has_shape, parts))


# Before these packages are imported. The hook takes the checker as an expression, and imports its first name.
install_import_hook(["text_uda.objectives", "text_uda.model"], f"sys.modules[{__name__!r}].check_shapes")

_HERE = {"localhost", "127.0.0.1", "::1", "", None, socket.gethostname()}
_WORDS = (
    "the a an and or but not no never is was are it this that of to in on for with as by at from very really "
    "movie film plot story actor scene review product phone good great fine best love bad poor dull worst"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: processes that share the tests then come to their end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what the imports made: it would pass over it again and again."""
    hypothesis.find(
        hypothesis.strategies.none(), lambda _: True
    )  # it looks for those who refer to its generators, once
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    _hugging_face.cleanup()


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """A test that looks up a host elsewhere fails at once, and says which."""
    look_up = socket.getaddrinfo

    def here_only(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in _HERE:
            raise OSError(f"a test asked for the network host {name!r}: tests work with what is on this machine")
        return look_up(host, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", here_only)
        yield


@pytest.fixture(scope="session")
def spread_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of `tiny_bert` with larger weights, so that texts have other features."""
    from transformers import BertModel

    folder = shutil.copytree(tiny_bert, tmp_path_factory.mktemp("spread_bert") / "spread")
    model = BertModel.from_pretrained(folder)
    for weight in model.encoder.parameters():
        if weight.ndim == 2:
            weight.data.mul_(20)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random 2-layer, 32-wide BERT encoder with its word-piece tokenizer, the same on every run.

    The tokenizer knows some fifty words, and every lower-case ASCII text by its letters; up to 128 tokens.
    """
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("tiny_bert")
    letters = [*string.ascii_lowercase, *string.digits]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [
        *specials,
        *string.punctuation,
        *letters,
        *(f"##{x}" for x in letters),
        "##s",
        "##ing",
        "##ed",
        *_WORDS.split(),
    ]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=128).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder
