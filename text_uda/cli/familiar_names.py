"""Names that people bring from transformers and from the authors' scripts, and what they are called here.

A name whose meaning is exactly the same is taken, with a line on standard error; for another there is a hint.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

SIMILAR = 0.75  # of the letters: `lables` is similar to `labels`, `lr` is not to `rate`

SAME_OPTION: Mapping[str, str] = {
    "algorithm": "--objective",
    "augmentation": "--augment",
    "bf16": "--precision=bf16",
    "early-stopping-patience": "--patience",
    "ema-m": "--ema-decay",
    "eval-steps": "--evaluate-every",
    "lambda-u": "--weight",
    "label-column-name": "--label-column",
    "layerwise-lr-decay": "--layer-decay",
    "lr": "--learning-rate",
    "lr-scheduler-type": "--schedule",
    "max-length": "--max-tokens",
    "max-seq-len": "--max-tokens",
    "max-seq-length": "--max-tokens",
    "max-steps": "--steps",
    "mlm-probability": "--mask-rate",
    "model": "--encoder",
    "model-id": "--encoder",
    "model-name": "--encoder",
    "model-name-or-path": "--encoder",
    "num-proc": "--workers",
    "num-train-iter": "--steps",
    "num-train-steps": "--steps",
    "num-workers": "--workers",
    "output": "--out",
    "output-dir": "--out",
    "output-file": "--out",
    "p-cutoff": "--confidence-threshold",
    "preprocessing-num-workers": "--workers",
    "report-to": "--track",
    "run-name": "--name",
    "save-steps": "--checkpoint-every",
    "test-file": "--test",
    "text-column-name": "--text-column",
    "torch-compile": "--compile",
    "train-steps": "--steps",
    "unlabeled-file": "--unlabeled",
    "unsup-ratio": "--unlabeled-ratio",
    "uratio": "--unlabeled-ratio",
    "validation-file": "--dev",
    "wd": "--weight-decay",
}
"""An option of another tool -> the option here with the same meaning."""

_EPOCHS = (
    "training is counted in steps: --steps N, where one epoch over the labeled texts is (labeled texts) /"
    " --labeled-batch steps; 3 epochs of 800 texts in batches of 8 are --steps 300",
    "training is counted in steps: --steps N, where one epoch is (tokens of all texts) / --tokens-per-step steps",
    "--size sets the steps of the runs",
)
_BATCH = (
    "a step has --labeled-batch N labeled rows and --unlabeled-ratio times as many unlabeled rows, in all processes"
)
_TOKENS = "batches are counted in tokens: --tokens-per-step N, about rows times the tokens of a row"
_MEMORY = "the batch stays whole, and --tokens-per-pass N limits the tokens in memory at once; the gradient is the same"
_WARMUP = "the warm-up is counted in steps: --warmup-steps N, where N is the ratio times --steps"
_DATA = "the data is the argument DATA: a data set, a hub id or a file, without an option before it"
_DATA_OPTION = "the data is --data DATA: a data set, a hub id or a file"
_RUN = "the trained model is the argument RUN, a folder that `text-uda train` wrote, without an option before it"
_DEVICE = (
    "the GPU is used where there is one; CUDA_VISIBLE_DEVICES=1 before the command selects one, and an empty one none"
)
_PRECISION = "choose --precision auto, fp32 or bf16; fp16 is not offered, since it needs a scaled loss"
_MODEL = (
    "--encoder names the encoder, --mlm-model the model of mlm, --llm-model the one of llm, --translator the models of"
    " back-translation"
)
_METHOD = "--augment names how texts are paraphrased, and --objective the method of training"
_CLASSES = "the classes are read from the data, and --labels N is the number of labeled texts"
_RESUME = "a rerun of the same command resumes; --no-resume starts again"

HINTS: Mapping[str, tuple[str, ...]] = {
    "batch-size": (_BATCH, _TOKENS),
    "cpu": (_DEVICE,),
    "cuda": (_DEVICE,),
    "data": (_DATA,),
    "data-dir": (_DATA_OPTION, _DATA),
    "dataset": (_DATA_OPTION, _DATA),
    "dataset-name": (_DATA_OPTION, _DATA),
    "device": (_DEVICE,),
    "do-eval": ("`train` evaluates at the end; `text-uda evaluate RUN DATA` evaluates on other data",),
    "do-predict": ("`text-uda predict RUN` classifies texts",),
    "do-train": ("`text-uda train` always trains; leave it out",),
    "epoch": _EPOCHS,
    "epochs": _EPOCHS,
    "evaluation-strategy": ("--evaluate-every N evaluates every N steps",),
    "eval-strategy": ("--evaluate-every N evaluates every N steps",),
    "fp16": (_PRECISION,),
    "gpu": (_DEVICE,),
    "gpus": (_DEVICE,),
    "gradient-accumulation-steps": (_MEMORY,),
    "gradient-checkpointing": (_MEMORY,),
    "load-best-model-at-end": ("the weights with the best --select-by of the development rows are kept; leave it out",),
    "logging-steps": ("metrics.jsonl in the run directory has a line every 10 steps; leave it out",),
    "loss": ("--objective names the method of training, such as uda or fixmatch",),
    "max-train-samples": ("--limit N uses at most N texts",),
    "method": (_METHOD,),
    "metric-for-best-model": ("--select-by names the figure of the development rows that selects the weights",),
    "mixed-precision": (_PRECISION,),
    "model": (_MODEL, _RUN),
    "model-id": (_MODEL, _RUN),
    "model-name": (_MODEL, _RUN),
    "model-name-or-path": (_MODEL, _RUN),
    "n-epochs": _EPOCHS,
    "no-cuda": (_DEVICE,),
    "num-epochs": _EPOCHS,
    "num-labels": (_CLASSES,),
    "num-classes": (_CLASSES,),
    "num-train-epochs": _EPOCHS,
    "output-dir": ("--out FILE names the file to write",),
    "overwrite-output-dir": (_RESUME,),
    "per-device-eval-batch-size": ("evaluation packs rows by their length; leave it out",),
    "per-device-train-batch-size": (_BATCH, _TOKENS),
    "per-gpu-train-batch-size": (_BATCH, _TOKENS),
    "pseudo-label": ("--objective pseudo-label trains on the predictions of unlabeled texts",),
    "resume-from-checkpoint": (_RESUME,),
    "save-strategy": ("--checkpoint-every N writes a checkpoint every N steps",),
    "seed": ("a study has several seeds: --seeds N runs seeds 0 to N-1",),
    "task-name": (_DATA_OPTION, _DATA),
    "threshold": ("--confidence-threshold X uses only unlabeled rows with a predicted probability above X",),
    "train-batch-size": (_BATCH, _TOKENS),
    "train-file": (_DATA_OPTION, _DATA),
    "use-cpu": (_DEVICE,),
    "use-cuda": (_DEVICE,),
    "validation-split": ("--dev N draws N development rows from the training side",),
    "warmup-proportion": (_WARMUP,),
    "warmup-ratio": (_WARMUP,),
}
"""An option of another tool -> hints; a verb shows the first one whose options and arguments it has."""

_NO_FP16 = "16-bit floats need a scaled loss and are not offered; bf16 is as fast"

SAME_VALUE: Mapping[str, str] = {
    "bfloat16": "bf16",
    "bt": "back-translation",
    "float32": "fp32",
    "randomdeletion": "deletion",
    "randominsertion": "insertion",
    "randomswap": "swap",
    "sr": "synonym",
    "synonymreplacement": "synonym",
}
"""A value of another tool, without hyphens and capitals -> the choice here with the same meaning."""

VALUE_HINTS: Mapping[str, str] = {
    "fp16": _NO_FP16,
    "float16": _NO_FP16,
    "half": _NO_FP16,
    "manifoldmixup": "tmix mixes hidden states of labeled and unlabeled rows",
    "mixup": "four methods mix rows: mixmatch, mixmixup, ict and tmix; see docs/methods.md",
    "mixtext": "MixText is tmix with back-translated texts; see docs/methods.md",
    "semisupervised": "uda is the default with an augmentation; docs/methods.md lists the others",
    "sampled": "ask for balanced or proportional",
    "stratified": "proportional draws as many of each class as its share of the rows",
    "f1": "macro-f1 is the mean of the F1 of all classes",
    "accuracy": "error is 100% minus accuracy",
}
"""A value of another tool -> what to choose here; shown where one of the choices is named in it."""


def plain(word: str) -> str:
    """A name without capitals, hyphens and underscores, as people vary them: `Back_Translation`, `fix-match`."""
    return re.sub(r"[-_ ]", "", word.lower())


def same_option(name: str, options: Mapping[str, str]) -> str | None:
    """The option of a verb that an unknown one stands for, such as `--out`, or `--precision=bf16`, or None.

    Args:
        name: as it was given, `--output_dir`.
        options: the options and arguments of the verb, with the name of the value (DIR, FILE, N).
    """
    hyphened = _hyphened(name)
    if f"--{hyphened}" in options:
        return f"--{hyphened}"
    same = SAME_OPTION.get(hyphened, "")
    value = options.get(option := same.partition("=")[0])
    if value is None or (option == "--encoder" and "--method" in options):  # there it is one of several models
        return None
    names_file = value == "FILE"
    if (hyphened.endswith("-dir") and names_file) or (hyphened == "output-file" and not names_file):
        return None
    return same


def _hyphened(name: str) -> str:
    return name.removeprefix("--").replace("_", "-").lower()


def option_hint(name: str, options: Collection[str]) -> str | None:
    """What to give in place of an unknown option, or None: the first hint whose options and arguments the verb has."""
    for hint in HINTS.get(_hyphened(name), ()):
        if set(re.findall(r"--[a-z-]+|(?<=the argument )[A-Z]+", hint)) <= {*options}:
            return hint
    return None


def same_value(value: str, choices: Collection[str]) -> str | None:
    """The choice that a value stands for, or None."""
    spelled = {plain(choice): choice for choice in choices}
    same = spelled.get(plain(value)) or SAME_VALUE.get(plain(value))
    return same if same in choices else None


def value_hint(value: str, choices: Collection[str]) -> str | None:
    """What to choose in place of an unknown value, or None."""
    hint = VALUE_HINTS.get(plain(value))
    if hint is None or not any(re.search(rf"\b{re.escape(choice)}\b", hint) for choice in choices):
        return None
    return hint


def nearest(word: str, words: Iterable[str]) -> str:
    """\" Did you mean ...?" with the word that is nearly `word`, or "" if none is."""
    spelled = {plain(candidate): candidate for candidate in words}
    near = get_close_matches(plain(word), spelled, n=1, cutoff=SIMILAR)
    return f" Did you mean {spelled[near[0]]!r}?" if near else ""
