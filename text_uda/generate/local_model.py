"""A causal language model in this process, by transformers. Its samples are keyed: they depend on the request alone."""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from text_uda.errors import SettingsError, reason_of
from text_uda.generate.request import Reply, Request, Usage
from text_uda.hub_connection import hub_may_answer, loading_options, missing_folder
from text_uda.keyed_random import keyed_generator
from text_uda.model.checkpoint_identity import checkpoint_identity

if TYPE_CHECKING:
    import torch

    from text_uda.translate.device import WorkerShare

_MAX_TOKENS = {"cpu": 1 << 13, "cuda": 1 << 16}  # of a batch, prompts and replies
_ROOM_OF_UNKNOWN = 1 << 20
_log = logging.getLogger(__name__)


class LocalModel:
    """Replies to requests in batches."""

    def __init__(
        self, name: str, *, temperature: float, top_p: float | None, usage: Usage, share: "WorkerShare"
    ) -> None:
        self._name, self._temperature, self._top_p, self._usage = name, temperature, top_p, usage
        self._share = share

    def __call__(self, requests: Sequence[Request]) -> list[Reply]:
        """A reply for each request, which does not depend on the others but for rounding.

        Raises:
            SettingsError: the model cannot be opened, or does not fit in memory.
        """
        from text_uda.translate.batching import Budget

        tokenizer = _open(self._name).tokenizer
        device = self._share.torch_device()
        network = _load_network(self._name, device)
        room = getattr(network.config.get_text_config(), "max_position_embeddings", None) or _ROOM_OF_UNKNOWN
        prompts = [_encode(tokenizer, request.prompt) for request in requests]
        lengths = [len(prompt) + request.max_tokens for prompt, request in zip(prompts, requests, strict=True)]
        replies = [Reply(status="invalid-request")] * len(requests)  # of those that do not fit
        fitting = [row for row, length in enumerate(lengths) if length <= room]

        def generate(batch: list[int]) -> list[Reply]:
            rows = [fitting[index] for index in batch]
            return self._generate(network, tokenizer, [prompts[row] for row in rows], [requests[row] for row in rows])

        budget = Budget(_MAX_TOKENS[device.type], device)
        for batch, of_batch in budget.run([lengths[row] for row in fitting], [1] * len(fitting), generate):
            for index, reply in zip(batch, of_batch, strict=True):
                replies[fitting[index]] = reply
                self._usage.add(reply)
        return replies

    def _generate(self, network: Any, tokenizer: Any, prompts: list[list[int]], requests: list[Request]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        longest, most = max(map(len, prompts)), max(request.max_tokens for request in requests)
        ends = _end_tokens(network, tokenizer)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends or [0])[0]
        ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])  # (R, T)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with torch.no_grad():
            output = network.generate(
                ids.to(network.device),
                attention_mask=mask.to(network.device),
                generation_config=GenerationConfig(
                    do_sample=False, num_beams=1, max_new_tokens=most, pad_token_id=pad, eos_token_id=ends or None
                ),
                logits_processor=LogitsProcessorList([self._sampler(requests)]),
                stopping_criteria=StoppingCriteriaList([_limits(requests, longest)]),
            )
        replies = []
        for request, prompt, tokens in zip(requests, prompts, output[:, longest:].tolist(), strict=True):
            tokens = tokens[: request.max_tokens]
            end = next((place for place, token in enumerate(tokens) if token in ends), None)
            text = tokenizer.decode(tokens[:end], skip_special_tokens=True)
            status = "truncated" if end is None else "ok"
            replies.append(Reply(text, status, len(prompt), len(tokens) if end is None else end + 1))
        return replies

    def _sampler(self, requests: list[Request]) -> Any:
        """A logits processor that leaves the drawn token alone, so that the greedy search takes it."""
        import torch

        from text_uda.translate.token_sampling import BLOCK, DRAWS, draw

        generators = [keyed_generator("llm", request.seed) for request in requests]

        def process(ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":  # (R, T), (R, V), once for a token
            uniform = torch.from_numpy(np.stack([row.random(DRAWS) for row in generators])).to(scores.device)  # float64
            blocks = torch.nn.functional.pad(scores.float(), (0, -scores.shape[1] % BLOCK), value=float("-inf"))
            drawn = draw(blocks, uniform, temperature=self._temperature, top_p=self._top_p)
            return torch.full_like(scores, float("-inf")).scatter_(1, drawn.tokens[:, None], 0.0)

        return process


def settings_of(name: str) -> dict[str, Any]:
    """The model and its revision: of a folder, a digest of its files."""
    checkpoint = _open(name)
    return checkpoint_identity(name, lambda: checkpoint.config) | {"precision": checkpoint.precision}


class _Checkpoint:
    def __init__(self, name: str) -> None:
        from transformers import AutoConfig, AutoTokenizer

        self.config: Any = _opened(name, AutoConfig.from_pretrained)
        self.tokenizer: Any = _opened(name, AutoTokenizer.from_pretrained)
        dtype = getattr(self.config, "dtype", None)
        self.precision = "float32" if dtype is None else str(dtype).removeprefix("torch.")
        if self.tokenizer.chat_template is None:
            _log.warning(
                "%s has no chat template: it may not follow instructions; the prompt is given to it as it is", name
            )


@cache
def _open(name: str) -> _Checkpoint:
    return _Checkpoint(name)


@cache
def _load_network(name: str, device: "torch.device") -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    precision = getattr(torch, _open(name).precision)
    network = _opened(name, AutoModelForCausalLM.from_pretrained, dtype=precision, use_safetensors=True)
    return network.to(device).eval()


def _opened(name: str, load: Callable[..., Any], **options: Any) -> Any:
    fault = missing_folder(name)
    try:
        if fault is not None:
            raise FileNotFoundError(fault)
        hub_may_answer(name)
        return load(name, **loading_options(name), **options)
    except Exception as error:  # transformers and safetensors raise many types for broken files
        reason = reason_of(error, letters=200)
        raise SettingsError(
            f"cannot open the language model {name!r} ({reason}); name a hub id, or a folder with its weights in "
            "safetensors files, or give --llm-url for a model that a server has"
        ) from error


def _encode(tokenizer: Any, prompt: str) -> list[int]:
    if tokenizer.chat_template is None:
        return tokenizer(prompt + "\n", verbose=False)["input_ids"]
    messages = [{"role": "user", "content": prompt}]
    # Templates of models that reason read enable_thinking; others ignore it.
    return tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False, enable_thinking=False
    )


def _end_tokens(network: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a reply."""
    ends = network.generation_config.eos_token_id
    ends = list(ends) if isinstance(ends, list | tuple) else [ends]
    return sorted({end for end in [*ends, tokenizer.eos_token_id] if end is not None})


def _limits(requests: list[Request], longest: int) -> Any:
    """A stopping criterion: each row ends at the max_tokens of its request."""
    import torch

    def reached(ids: "torch.Tensor", _scores: Any, **_: Any) -> "torch.Tensor":
        generated = ids.shape[1] - longest
        return torch.tensor([generated >= request.max_tokens for request in requests], device=ids.device)

    return reached
