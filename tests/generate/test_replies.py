"""What is read from a reply: chatter is removed where that is certain, else the answer is rejected with a reason."""

import pytest

from text_uda.generate.replies import read_reply

SOURCE = "The film was great, but far too long."
OK = "The movie was excellent, yet much too long."


@pytest.mark.parametrize(
    "reply",
    [
        OK,
        f"  {OK}\n",
        f'"{OK}"',
        f"“{OK}”",
        f"«{OK}»",
        f"**{OK}**",
        f"Sure, here is the rewritten text:\n\n{OK}",
        f"Sure! Here's a paraphrase of the sentence: {OK}",
        f'Certainly! Here is one way to rephrase it:\n\n"{OK}"',
        f"Of course.\n{OK}",
        f"Okay!\n\n{OK}",
        f"Here is the paraphrased text:\n{OK}",
        f"Paraphrase: {OK}",
        f"**Rewritten text:** {OK}",
        f"Rephrased version:\n{OK}",
        f"1. {OK}",
        f"- {OK}",
        f"<think>\nThe user wants\n\na paraphrase.\n</think>\n\n{OK}",
        f"I think the user wants a paraphrase.</think>{OK}",
        f"{OK}<|im_end|>",
        f"{OK}</s>",
        f"```\n{OK}\n```",
        f"```text\n{OK}\n```",
        f"<text>{OK}</text>",
        f"{OK}\n\nLet me know if you need another version!",
        f"{OK}\n\n(Note: I kept the negative opinion.)",
        f"{OK}\n\nI hope this helps.",
        f"{OK[:10]}\x00\x1b{OK[10:]}\u202e",
        OK.replace(" ", " ", 1) + "\r\n",
    ],
)
def test_what_is_not_of_the_paraphrase_is_removed(reply: str) -> None:
    assert read_reply(reply, SOURCE, 1) == [(OK, "ok")]


@pytest.mark.parametrize(
    ("reply", "source"),
    [
        ("“Great” is what I would call it", SOURCE),
        ('"Great", he said, and "never again"', '"Super", he said, and "not again"'),
        ("1. Never again", "1. Not again"),
        ("Sure, it was fun: I laughed.", "Sure, it was funny: I had to laugh."),
        ("*Really* good", "*Very* good"),
        ("Rewritten text: the sequel", "Paraphrased: the second part"),
        ("- a dog\n- a cat", "- dog\n- cat"),
        ("</s> ends a sentence", "</s> is the end of a sentence"),
        ("I'm sorry, but I can't help thinking it is bad", "I'm sorry, I can't help that I think it is bad"),
        ("I can't stand this film.", "I do not bear this film."),
        ("I can't recommend it.", "I cannot advise to buy it."),
        ("I'm sorry that I saw it.", "I regret that I saw it."),
        ("It isn't good, he's right", "It is not good, he is right"),
        ("كلمة\u200cأخرى 👨\u200d👩\u200d👧", "كلمة 👨\u200d👩\u200d👧"),
    ],
)
def test_what_may_be_of_the_paraphrase_stays(reply: str, source: str) -> None:
    assert read_reply(reply, source, 1) == [(reply, "ok")]


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that request.",
        "I cannot rewrite this text.",
        "I can’t assist with that.",
        "Sorry, I can't do that.",
        "Unfortunately, I am unable to paraphrase hateful content.",
        "As an AI language model, I do not rewrite reviews.",
        "As a large language model I cannot",
        "This content violates the policy.",
        "I won't write that.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "抱歉，我无法帮助你。",
        "申し訳ありませんが、お手伝いできません。",
    ],
)
def test_a_refusal_is_refused(reply: str) -> None:
    assert read_reply(reply, SOURCE, 1) == [(reply, "refused")]
    assert read_reply(reply, SOURCE, 2) == [(reply, "refused")] * 2
    assert read_reply(f"1. {reply}", SOURCE, 2)[0].status == "refused"


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("<think>all tokens went into", "truncated"),
        (f"{OK}\n\nOr: The film, though great, never ends.", "chatter"),
        (f"You could rephrase it as {OK}", "chatter"),
        (f"The text you provided says that {OK}", "chatter"),
        ('"Great" film, and "too long"', "chatter"),
        ("x" * 5000, "length-ratio"),
        ("a" + "\n" * 1_000_000 + "b", "length-ratio"),
        ("half a pair \ud83d", "malformed"),
    ],
)
def test_what_is_unclear_is_rejected_with_a_reason(reply: str, status: str) -> None:
    answer = read_reply(reply, SOURCE, 1)[0]
    assert answer.status == status and len(answer.text or "") < 3000


def test_a_reply_that_is_far_too_long_is_not_read() -> None:
    assert [answer.status for answer in read_reply("word\n" * 10_000, "A text.", 2)] == ["length-ratio"] * 2


RUNS = ["\n", " ", "\t\n", "*", "_\n", "`", "<", "paraphras", "</", '"', "Sure ", "1. ", "(\n", "sorry ", "\x00"]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("source", ["A text.", "A long text. " * 20_000])
def test_a_long_run_is_read_in_linear_time(run: str, source: str) -> None:
    """Of minutes where a pattern is quadratic; the second source is so long that the reply is not too long for it."""
    long_run = run * (200_000 // len(run))
    for reply in (f"a{long_run}b", f"{long_run}b", f"<think>{long_run}"):
        assert len(read_reply(reply, source, 1)) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("1. One.\n2. Two.\n3. Three.", ["One.", "Two.", "Three."]),
        ("Sure! Here are 3 versions:\n\n1) One.\n\n2) Two.\n\n3) Three.\n\nLet me know!", ["One.", "Two.", "Three."]),
        ('1. "One."\n2. "Two."\n3. "Three."', ["One.", "Two.", "Three."]),
        ("**1.** One.\n**2.** Two.", ["One.", "Two.", None]),
        ("One.\nIt keeps the meaning.", None),
        ("- One.\n- Two.\n- Three.", ["One.", "Two.", "Three."]),
        ("One.\nTwo.\nThree.", ["One.", "Two.", "Three."]),
        ("1. One.\n2. Two.", ["One.", "Two.", None]),
        ("1. One.\n3. Three.", None),
        ("1. One.\nand more\n2. Two.", None),
        ("1. A.\n2. B.\n3. C.\n4. D.", None),
    ],
)
def test_a_list_is_read_item_by_item(reply: str, expected: list[str | None] | None) -> None:
    answers = read_reply(reply, "A text.", 3)
    assert len(answers) == 3
    if expected is None:
        assert {answer.status for answer in answers} == {"chatter"}
    else:
        assert [answer.text for answer in answers] == expected
        assert [answer.status for answer in answers] == ["empty" if text is None else "ok" for text in expected]
