"""`LanguageModel` through a server: what is asked, what is kept, and with which status."""

import pickle
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from chat_stub import Answer, completion, fails, says, serving

from text_uda import Filters, LanguageModel, paraphrase, read_paraphrases
from text_uda.errors import SettingsError
from text_uda.generate.chat_server import TRIES
from translation_cache import Cache, fingerprint

SOURCE = "I did not like the 2 sequels at https://example.org/x, Zorg."
GOOD = "I did not enjoy the 2 sequels at https://example.org/x, Zorg."
PROMPT = "{count} of: {text}"


def text_of(prompt: str) -> str:
    return prompt.removeprefix("1 of: ")


def model(address: str, **given: object) -> LanguageModel:
    return LanguageModel(**{"model": "stub", "url": address, "prompt": PROMPT, "retries": 0} | given)  # pyright: ignore[reportArgumentType]


ANSWERS: dict[str, tuple[Answer, str]] = {
    "good": (says(GOOD), "ok"),
    "chatter around it": (says(f'Sure! Here is a paraphrase:\n\n"{GOOD}"'), "ok"),
    "unchanged": (says(SOURCE), "unchanged"),
    "refused": (says("I'm sorry, but I can't help with that."), "refused"),
    "filtered": (says("", finish="content_filter"), "refused"),
    "chatter": (says(f"You could paraphrase it like this: {GOOD}"), "chatter"),
    "two in one": (says(f"{GOOD}\n\n{GOOD}"), "chatter"),
    "truncated": (says(GOOD, finish="length"), "truncated"),
    "reasoning without end": (says("<think>Well,"), "truncated"),
    "empty": (says(""), "empty"),
    "numbers": (says(GOOD.replace("2", "3")), "numbers"),
    "negation": (says(GOOD.replace(" not", "")), "negation"),
    "span lost": (says(GOOD.replace("https://example.org/x", "the site")), "protected"),
    "name lost": (says(GOOD.replace("Zorg", "my friend")), "protected"),
    "other language": (says("No me gustaron nada las 2 continuaciones de https://example.org/x, Zorg."), "language"),
    "far too long": (says(GOOD + " really, truly and also" * 9), "length-ratio"),
    "loop": (says(GOOD + " taste taste taste"), "repetition"),
    "endless": (says("so " * 9000), "length-ratio"),
    "half a character": (Answer(completion("half \ud83d")), "malformed"),
    "nonsense": (Answer(b"{nonsense"), "malformed"),
    "wrong type": (says(17), "malformed"),
    "500": (fails(500, "oops"), "no-answer"),
    "cut": (Answer(completion(GOOD), cut_after=40), "no-answer"),
    "400": (fails(400, "prompt is too long"), "invalid-request"),
}


def test_each_fault_has_its_status(pauses: list[float], tmp_path: Path) -> None:
    sources = {name: f"{SOURCE} {'A' * (1 + place)}" for place, name in enumerate(ANSWERS)}
    by_text = {source: name for name, source in sources.items()}

    def answer(prompt: str, _: int) -> Answer:
        name = by_text.get(text_of(prompt))
        if name is None:
            return says("yes")  # the probe
        reply = ANSWERS[name][0]
        tail = sources[name].removeprefix(SOURCE)
        return Answer(
            reply.body.replace(b", Zorg.", f", Zorg.{tail}".encode()), reply.status, cut_after=reply.cut_after
        )

    with serving(answer) as stub:
        job = model(stub.url, protect=("Zorg",))
        paraphrase(list(sources.values()), job, tmp_path, workers=1)
        asked = stub.prompts.total()
        read = [each for (each,) in read_paraphrases(list(sources.values()), job, tmp_path)]
        assert dict(zip(sources, (each.status for each in read), strict=True)) == {
            name: status for name, (_, status) in ANSWERS.items()
        }
        assert [each.text for each in read[:2]] == [f"{GOOD} A", f"{GOOD} AA"]
        report = paraphrase(list(sources.values()), job, tmp_path)
        assert report.computed == 0 and stub.prompts.total() == asked  # nothing is asked twice
    accepting = Filters(accept=("negation", "numbers", "language"))
    read = [each for (each,) in read_paraphrases(list(sources.values()), job, tmp_path, filters=accepting)]
    assert [name for name, each in zip(sources, read, strict=True) if each.status == "ok"] == [
        *("good", "chatter around it", "numbers", "negation", "other language")
    ]


def test_samples_differ(pauses: list[float]) -> None:
    words = ["A fine film.", "A fine film.", "A good film!", "A great film."]
    with serving(lambda _, before: says(words[before])) as stub:
        made = model(stub.url, retries=1)(["Some nice movie."] * 3, [0, 1, 2])
    assert [(each.text, each.status) for each in made] == [
        ("A fine film.", "ok"),
        ("A great film.", "ok"),  # the second attempt; the first was a duplicate
        ("A good film!", "ok"),
    ]
    assert len({body["seed"] for body in stub.bodies}) == 4


@pytest.mark.parametrize("last", ["A great film.", "A fine film."])
def test_a_sample_does_not_depend_on_a_higher_one(pauses: list[float], last: str) -> None:
    """Sample 0 is rejected at first, and then equals sample 1, which was accepted before."""
    by_seed: dict[int, str] = {}
    with serving(lambda *_: says(by_seed[stub.bodies[-1]["seed"]])) as stub:
        job = model(stub.url, retries=2, concurrency=1)
        replies = {0: ["", "A fine film.", "A bad film."], 1: ["A fine film.", "A good film.", last]}
        for number, of_number in replies.items():
            for attempt, reply in enumerate(of_number):
                by_seed[job._request("Some movie.", number, attempt).seed] = reply
        alone = job(["Some movie."], [0])
        assert (alone[0].text, alone[0].status, alone[0].scores["retries"]) == ("A fine film.", "ok", 1)
        together = job(["Some movie."] * 2, [0, 1])
        assert together[0] == alone[0]
        assert (together[1].text, together[1].status) == ("A good film.", "ok")
        by_seed[job._request("Some movie.", 1, 1).seed] = "A fine film."
        together = job(["Some movie."] * 2, [0, 1])
        assert together[0] == alone[0]
        assert together[1].status == ("ok" if last == "A great film." else "duplicate")


def test_the_tokens_of_a_sample_are_those_of_all_its_attempts(pauses: list[float]) -> None:
    with serving(lambda _, before: says(["", "", "A fine film."][before], tokens=5)) as stub:
        (paraphrase_of,) = model(stub.url, retries=2)(["Some nice movie."], [0])
        assert paraphrase_of.scores["generated_tokens"] == 15


def test_a_finished_row_is_committed_while_the_next_one_is_under_way(
    pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed, write = threading.Event(), Cache.write

    def watched(*arguments: Any) -> Any:
        try:
            return write(*arguments)
        finally:
            committed.set()

    monkeypatch.setattr(Cache, "write", watched)

    def answer(prompt: str, _: int) -> Answer:
        return says("A good film.") if text_of(prompt) != "A nice movie 1." or committed.wait(60) else fails(401)

    with serving(answer) as stub:
        report = paraphrase(["A nice movie.", "A nice movie 1."], model(stub.url), tmp_path)
    assert report.computed == 2


def test_a_rejected_sample_is_asked_again_with_another_seed(pauses: list[float]) -> None:
    with serving(lambda _, before: says(["I cannot help with that.", "", "A fine film."][before])) as stub:
        (made,) = model(stub.url, retries=2)(["Some nice movie."], [0])
    assert (made.text, made.status, made.scores["retries"]) == ("A fine film.", "ok", 2)
    with serving(lambda _, before: says(["I cannot help with that.", "", ""][before])) as stub:
        (made,) = model(stub.url, retries=2)(["Some nice movie."], [0])
    assert made.status == "refused"  # of the first attempt
    with serving(lambda prompt, _: says("yes") if "word" in prompt else fails(400)) as stub:
        model(stub.url, retries=2)(["Some nice movie."], [0])
    assert stub.prompts.total() == 2  # the request and the probe


def test_one_request_gives_several_samples(pauses: list[float]) -> None:
    reply = "Sure:\n1. A fine film.\n2. I cannot help with that.\n3. A good film."
    with serving(lambda *_: says(reply)) as stub:
        made = model(stub.url, per_request=3)(["Some nice movie."] * 3, [0, 1, 2])
        assert [(each.text, each.status) for each in made] == [
            ("A fine film.", "ok"),
            ("I cannot help with that.", "refused"),
            ("A good film.", "ok"),
        ]
        assert stub.bodies[0]["messages"][0]["content"] == "3 of: Some nice movie."
        (last,) = model(stub.url, per_request=3)(["Some nice movie."], [5])
        assert last.text == "A good film." and stub.prompts.total() == 2
        assert stub.bodies[0]["seed"] != stub.bodies[1]["seed"]


def test_the_last_of_a_truncated_list_is_rejected(pauses: list[float]) -> None:
    with serving(lambda *_: says("1. A fine film.\n2. A goo", finish="length")) as stub:
        made = model(stub.url, per_request=3)(["Some nice movie."] * 3, [0, 1, 2])
    assert [each.status for each in made] == ["ok", "truncated", "truncated"]


def test_what_has_nothing_to_paraphrase_is_not_asked(pauses: list[float]) -> None:
    with serving(lambda *_: says("x")) as stub:
        made = model(stub.url, protect=("Zorg",))(["", " ?! ", "https://example.org/x", "Zorg"], [0] * 4)
    assert [each.status for each in made] == ["empty", "empty", "unchanged", "unchanged"]
    assert stub.prompts.total() == 0


def test_requests_are_concurrent_and_at_most_that_many(pauses: list[float]) -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(4, timeout=60)  # passes when four requests are there together

    def answer(prompt: str, _: int) -> Answer:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        full.wait()
        with lock:
            at_once -= 1
        return says(f"Another text {prompt[-2]}.")

    with serving(answer) as stub:
        made = model(stub.url, concurrency=4)([f"Some text {n}." for n in range(8)], [0] * 8)
    assert most == 4 and [each.text for each in made] == [f"Another text {n}." for n in range(8)]


def test_a_server_that_fails_in_the_middle_loses_nothing(pauses: list[float], tmp_path: Path) -> None:
    texts = [f"Some nice movie number {n}." for n in range(40)]
    alive = True

    def answer(prompt: str, _: int) -> Answer:
        return says(text_of(prompt).replace("Some nice", "A fine")) if alive else fails(503)

    with serving(answer) as stub:
        job = model(stub.url, concurrency=2)

        def progress(done: int, _: int) -> None:
            nonlocal alive
            alive = alive and done < 17

        with pytest.raises(SettingsError, match="answers no request"):
            paraphrase(texts, job, tmp_path, progress=progress)
        asked = stub.prompts.copy()
        stub.prompts.clear()
        alive = True
        report = paraphrase(texts, job, tmp_path)
        assert report.present >= 17 and report.present + report.computed == 40 and report.rejected == {}
        assert len(stub.prompts) == report.computed and stub.prompts.total() == report.computed
        assert sum(count == 1 for prompt, count in asked.items() if prompt in stub.prompts) <= 2  # were under way


def test_a_poisonous_text_does_not_end_the_call(pauses: list[float], tmp_path: Path) -> None:
    texts = [f"Some nice movie number {n}." for n in range(9)]

    def answer(prompt: str, _: int) -> Answer:
        return fails(500) if "4" in prompt else says(text_of(prompt).replace("Some nice", "A fine"))

    with serving(answer) as stub:
        report = paraphrase(texts, model(stub.url), tmp_path)
    assert report.rejected == {"no-answer": 1} and report.computed == 9
    assert stub.prompts["1 of: Some nice movie number 4."] == TRIES + 1  # once more after the probe


def test_the_fingerprint_has_what_decides_and_no_address_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT_UDA_LLM_KEY", "s3cret")
    base = model("http://one/v1")
    same = [model("http://two:99/v1"), model("http://one/v1", concurrency=3), model("http://one/v1", timeout_s=5.0)]
    assert {fingerprint(each.settings()) for each in same} == {fingerprint(base.settings())}
    changes: list[dict[str, object]] = [
        *({"model": "b"}, {"prompt": "x {count} {text}"}, {"per_request": 2}, {"temperature": 0.7}, {"top_p": 0.9}),
        *({"max_tokens": 9}, {"retries": 1}, {"seed": 1}, {"protect": ("Zorg",)}),
    ]
    others = [fingerprint(model("http://one/v1", **change).settings()) for change in changes]
    assert len({fingerprint(base.settings()), *others}) == 1 + len(changes)
    assert not re.search("s3cret|one/v1", repr(base.settings()))
    copy = pickle.loads(pickle.dumps(base))
    assert copy == base and b"s3cret" not in pickle.dumps(base)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": " "}, "needs the name of a model"),
        ({"url": "localhost"}, "no address of a server"),
        ({"url": "http://me:pw@host/v1"}, "set TEXT_UDA_LLM_KEY"),
        ({"prompt": "rewrite"}, "has no {text}"),
        ({"prompt": "rewrite {text}", "per_request": 2}, "has no {count}"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": 9.0}, "at most 5"),
        ({"per_request": 0}, "per_request=0"),
        ({"per_request": 99}, "at most"),
        ({"retries": -1}, "retries=-1"),
        ({"protect": "Zorg"}, "protect"),
    ],
)
def test_unusable_settings_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        model("http://localhost/v1", **given)
