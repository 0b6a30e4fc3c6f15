"""A model in this process: the same contract, and samples that depend on the request alone."""

import shutil
import string
from collections import Counter
from pathlib import Path

import pytest
import torch

from text_uda import LanguageModel, paraphrase
from text_uda.errors import SettingsError
from text_uda.generate.local_model import LocalModel, settings_of
from text_uda.generate.request import Reply, Request, Usage
from text_uda.translate.device import WorkerShare
from translation_cache import Cache, Job, fingerprint, lookup

TEXTS = [f"Some nice movie number {n}, which nobody saw{' twice' * n}." for n in range(6)]
REQUESTS = [Request(text, seed=place, max_tokens=20 + place) for place, text in enumerate(TEXTS)]


def replies(
    folder: Path, requests: list[Request], *, temperature: float = 0.8, top_p: float | None = None
) -> list[Reply]:
    model = LocalModel(str(folder), temperature=temperature, top_p=top_p, usage=Usage(), share=WorkerShare())
    return model(requests)


@pytest.mark.parametrize("top_p", [None, 0.9])
def test_a_reply_does_not_depend_on_the_batch(tiny_llm: Path, top_p: float | None) -> None:
    state = torch.get_rng_state()
    together = replies(tiny_llm, REQUESTS, top_p=top_p)
    assert together == [replies(tiny_llm, [request], top_p=top_p)[0] for request in REQUESTS]
    assert together == replies(tiny_llm, REQUESTS[::-1], top_p=top_p)[::-1]
    assert torch.equal(state, torch.get_rng_state())
    assert len({reply.text for reply in together}) == len(TEXTS)
    other_seed = replies(tiny_llm, [Request(TEXTS[0], seed=99, max_tokens=20)], top_p=top_p)[0]
    assert other_seed.text != together[0].text


def test_each_reply_has_its_own_limit_and_its_tokens(tiny_llm: Path) -> None:
    for reply, request in zip(replies(tiny_llm, REQUESTS), REQUESTS, strict=True):
        assert 0 < reply.generated_tokens <= request.max_tokens
        assert (reply.status == "truncated") == (
            "</s>" not in reply.text and reply.generated_tokens == request.max_tokens
        )
        assert reply.prompt_tokens == len(f"user: {request.prompt}\nassistant: ".encode())


def test_the_draws_are_of_the_distribution_of_the_model(tiny_llm: Path) -> None:
    """The first byte of many samples, against the softmax of transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    model = AutoModelForCausalLM.from_pretrained(tiny_llm)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    temperature, count = 0.05, 3000  # the logits of the random model differ by little
    with torch.no_grad():
        expected = (model(**ids).logits[0, -1].double() / temperature).softmax(-1)
    requests = [Request("Hi", seed=seed, max_tokens=1) for seed in range(count)]
    drawn = Counter(reply.text for reply in replies(tiny_llm, requests, temperature=temperature))
    letters = [letter for letter in string.ascii_letters if expected[tokenizer.convert_tokens_to_ids(letter)] > 0.005]
    assert len(letters) > 5
    for letter in letters:
        probability = expected[tokenizer.convert_tokens_to_ids(letter)].item()
        assert abs(drawn[letter] / count - probability) < 4 * (probability / count) ** 0.5


def test_a_prompt_that_does_not_fit_is_an_invalid_request(tiny_llm: Path) -> None:
    ok, too_long = replies(tiny_llm, [REQUESTS[0], Request("x" * 5000, 0, 10)])
    assert ok.status != "invalid-request" and too_long == Reply(status="invalid-request")


def test_it_fills_a_cache_as_any_method_does(tiny_llm: Path, tmp_path: Path) -> None:
    job: Job = LanguageModel(model=str(tiny_llm), prompt="{text}", retries=1, max_tokens=12)
    report = paraphrase(TEXTS, job, tmp_path / "one", samples=2)
    assert (report.computed, report.present) == (12, 0)
    assert paraphrase(TEXTS, job, tmp_path / "one", samples=2).computed == 0
    paraphrase(TEXTS, job, tmp_path / "two", samples=1, batch_size=2)
    paraphrase(TEXTS, job, tmp_path / "two", samples=2, batch_size=3)  # the others, in other batches
    one, two = (lookup(Cache(tmp_path / name), job.settings(), TEXTS, samples=2) for name in ("one", "two"))
    assert one == two


def test_the_fingerprint_has_the_digest_of_the_weights(tiny_llm: Path, tmp_path: Path) -> None:
    copy = tmp_path / tiny_llm.name
    shutil.copytree(tiny_llm, copy)
    jobs = [LanguageModel(model=str(folder)) for folder in (tiny_llm, copy)]
    assert fingerprint(jobs[0].settings()) == fingerprint(jobs[1].settings())
    assert settings_of(str(copy))["precision"] == "float32"
    other = tmp_path / "other" / tiny_llm.name
    shutil.copytree(tiny_llm, other)
    (other / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", "utf-8")
    assert fingerprint(LanguageModel(model=str(other)).settings()) != fingerprint(jobs[0].settings())


@pytest.mark.parametrize("name", ["no/such/folder", "owner/no-such-model"])
def test_a_model_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot open the language model '{name}'.*or give --llm-url"):
        LanguageModel(model=name)(["A text."], [0])
