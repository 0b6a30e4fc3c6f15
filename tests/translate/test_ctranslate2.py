"""CTranslate2 beside our own decoding of the same tiny model: the same tokens; converted once; samples that repeat."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ctranslate2")

from text_uda.errors import SettingsError
from text_uda.translate import ctranslate2 as engine
from text_uda.translate import ctranslate2_conversion
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.decoding import Decoding
from text_uda.translate.device import WorkerShare
from text_uda.translate.marian import Marian
from text_uda.translate.translator import Translation

WORDS = "the film was good and story long a bad actor in scene of this movie is great but that plot not".split()
SENTENCES = [" ".join(WORDS[(3 * n + at * at) % len(WORDS)] for at in range(1 + n % 9)) for n in range(32)]
MIXED = [(7 * n) % 32 for n in range(32)]


@pytest.fixture(scope="module", autouse=True)
def converted(tmp_path_factory: pytest.TempPathFactory):
    """Converted models are kept there for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT_UDA_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def told(made: list[Translation]) -> list[tuple[str, str]]:
    return [(each.text, each.status) for each in made]


@pytest.mark.parametrize("beams", [1, 2, 4])
def test_the_tokens_are_those_of_our_own_decoding(tiny_marian: Path, beams: int):
    sources = [*SENTENCES, "", "плохой 🙂", "\ud800"]
    decoding = Decoding(beams=beams)
    found = CTranslate2(str(tiny_marian), decoding, "float32")(sources, [0] * len(sources))
    expected = Marian(str(tiny_marian), decoding)(sources, [0] * len(sources))
    assert told(found) == told(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-3 if beams == 1 else 0.1)


@pytest.mark.parametrize("beams", [1, 3])
def test_without_sampling_a_translation_does_not_depend_on_its_batch(tiny_marian: Path, beams: int):
    translate = CTranslate2(str(tiny_marian), Decoding(beams=beams), "float32")
    draws = [n % beams for n in range(32)]
    together = translate(SENTENCES, draws)
    alone = [translate([sentence], [draw])[0] for sentence, draw in zip(SENTENCES, draws, strict=True)]
    assert told(together) == told(alone)
    for one, other in zip(together, alone, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


def test_beams_are_different_draws(tiny_marian: Path):
    translate = CTranslate2(str(tiny_marian), Decoding(beams=4), "float32")
    assert translate.draws == 4
    together = translate([SENTENCES[7], SENTENCES[3], *[SENTENCES[7]] * 3], [0, 2, 1, 2, 3])
    assert len({made.text for made in together if made.text != together[1].text}) > 1
    alone = [translate([SENTENCES[number]], [draw])[0] for number, draw in ((7, 0), (3, 2), (7, 1), (7, 2), (7, 3))]
    assert told(together) == told(alone)


def test_it_is_converted_once(tiny_marian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    made = CTranslate2(str(tiny_marian))(SENTENCES, [0] * 32)
    assert len([path for path in (tmp_path / "ctranslate2").iterdir() if path.is_dir()]) == 1

    def again(*_, **__):
        raise AssertionError("converted again")

    monkeypatch.setattr(ctranslate2_conversion, "convert", again)
    engine.open_translator.cache_clear()
    assert CTranslate2(str(tiny_marian))(SENTENCES, [0] * 32) == made


@pytest.mark.parametrize("kind", [{}, {"top_k": 5}, {"top_p": 0.9}])
def test_a_sampled_call_repeats_in_any_order(tiny_marian: Path, kind: dict):
    translate = CTranslate2(str(tiny_marian), Decoding(temperature=0.9, **kind), "float32")
    draws = [n % 3 for n in range(32)]
    made = translate(SENTENCES, draws)
    assert told(translate(SENTENCES, draws)) == told(made)
    mixed = translate([SENTENCES[n] for n in MIXED], [draws[n] for n in MIXED])
    assert told(mixed) == [told(made)[n] for n in MIXED]
    assert translate.draws is None


def test_seeds_and_draws_differ(tiny_marian: Path):
    def made(sources: list[str], draws: list[int], **decoding) -> list[str]:
        translate = CTranslate2(str(tiny_marian), Decoding(temperature=0.9, **decoding), "float32")
        return [each.text for each in translate(sources, draws)]

    assert len(set(made([SENTENCES[7]] * 5, [0, 1, 2, 3, 4]))) == 5
    several = [made(SENTENCES, [0] * 32), made(SENTENCES, [1] * 32), made(SENTENCES, [0] * 32, seed=1)]
    assert len({tuple(texts) for texts in several}) == 3


def test_settings_name_what_decides(tiny_marian: Path):
    settings = CTranslate2(str(tiny_marian), Decoding(temperature=0.8, seed=2)).settings()
    assert settings.items() >= {"engine": "ctranslate2", "precision": "int8", "temperature": 0.8, "seed": 2}.items()
    assert settings["revision"] and settings["release"] and settings["block"]
    assert "block" not in CTranslate2(str(tiny_marian)).settings()


def test_nothing_to_translate(tiny_marian: Path):
    assert CTranslate2(str(tiny_marian))([], []) == []
    assert CTranslate2(str(tiny_marian))(["", " \x00"], [0, 0]) == [Translation("", "empty")] * 2


def test_no_such_model(tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot open") as error:
        CTranslate2(str(tmp_path / "nowhere"))(["a"], [0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [None, b"", b"no such format" * 9])
def test_a_model_whose_weights_are_broken(tiny_marian: Path, tmp_path: Path, damage: bytes | None):
    copy = shutil.copytree(tiny_marian, tmp_path / "broken")
    (copy / "model.safetensors").unlink()
    if damage is not None:
        (copy / "model.safetensors").write_bytes(damage)
    with pytest.raises(SettingsError, match="broken") as error:
        CTranslate2(str(copy))(["a"], [0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"no such format",
        lambda whole: whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2),  # it opens without an error
        lambda whole: whole[:-100],
    ],
)
def test_a_converted_model_that_is_damaged_is_converted_again(
    tiny_marian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage, caplog
):
    monkeypatch.setenv("TEXT_UDA_HOME", str(tmp_path))
    expected = CTranslate2(str(tiny_marian))(SENTENCES[:3], [0] * 3)
    [folder] = (path for path in (tmp_path / "ctranslate2").iterdir() if path.is_dir())
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(damage(whole))
    engine.open_translator.cache_clear()
    engine._checked.clear()  # as in another process
    assert CTranslate2(str(tiny_marian))(SENTENCES[:3], [0] * 3) == expected
    assert "is damaged (the content of model.bin has changed)" in caplog.text
    assert (folder / "model.bin").read_bytes() == whole
    assert (folder.with_name(folder.name + ".damaged") / "model.bin").read_bytes() == damage(whole)


def test_a_precision_that_does_not_exist():
    with pytest.raises(SettingsError, match="int8, float32"):
        CTranslate2("any", Decoding(), "float64")  # type: ignore[arg-type]


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch):
    """CTranslate2 says that there is a GPU."""
    library = SimpleNamespace(**vars(engine._library()) | {"get_cuda_device_count": lambda: 1})
    monkeypatch.setattr(engine, "_library", lambda: library)
    engine._has_cublas.cache_clear()
    yield
    engine._has_cublas.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere CTranslate2 finds cuBLAS by itself")
def test_a_gpu_without_its_cublas_is_told_of_once(tiny_marian, one_gpu, monkeypatch, caplog):
    def not_there(name: str, mode: int) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", not_there)
    translate = CTranslate2(str(tiny_marian), Decoding(), "float32")
    made = translate(SENTENCES, [0] * 32)
    assert told(made) == told(translate(SENTENCES, [0] * 32)) and translate.block == 512
    assert len(caplog.messages) == 1 and "pip install 'text-uda[ctranslate2-gpu]'" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere CTranslate2 finds cuBLAS by itself")
def test_cublas_of_the_package_is_loaded_with_what_it_needs(one_gpu, monkeypatch, tmp_path):
    (tmp_path / "nvidia" / "cublas").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = []

    def load(name: str, mode: int) -> None:
        if not name.startswith(str(tmp_path)):
            raise OSError("the linker does not know it")
        loaded.append(Path(name).relative_to(tmp_path).as_posix())

    monkeypatch.setattr("ctypes.CDLL", load)
    assert [engine._device(WorkerShare(worker, 3)) for worker in range(3)] == [("cuda", 0)] * 3
    assert loaded == [f"nvidia/cublas/lib/{name}" for name in ("libcublasLt.so.12", "libcublas.so.12")]
    assert CTranslate2("any").block == 8192
