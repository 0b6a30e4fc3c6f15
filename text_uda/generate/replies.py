"""Reads paraphrases from the reply of a language model: what is said about them is removed, or they are rejected.

A reply is untrusted text: each pattern takes linear time, and what is longer than the paraphrases may be is not read.
Only what is certainly not of the paraphrase is removed: an opening line ("Sure, here is the rewritten text:"), a
number, quotation marks around the whole, reasoning in <think>, a closing offer of help. A rule does not apply where the
source itself has the form that the rule removes.

Measured on the 83,118 texts of movie-, product-, tweet- and news-snippets and wordnet-14, each read as the reply to a
source without any such form: 26 are rejected as chatter, none as a refusal, and 132 lose a number, a bullet or
quotation marks around the whole.
"""

import re
import unicodedata
from typing import NamedTuple

_MAX_EXPANSION, _MAX_EXTRA = 8, 2000  # characters of a paraphrase: at most 8 times the source and 2,000 more


class Answer(NamedTuple):
    text: str | None
    status: str = "ok"
    """`ok`, `empty`, `truncated`, `refused`, `chatter` (words about the answer that cannot be told from it),
    `length-ratio` (far too long), or `malformed` (no valid Unicode)."""


_ABOUT = r"(?:paraphras|re-?phras|re-?word|re-?writ|re-?stat|version|variant|alternative|variation|option)"
_KIND = r"(?:text|sentence|version|review|statement|paraphrase|passage|snippet|answer|response|output)s?"
_YES = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|alright|great|gladly|no problem|happy to help)"
# Each ends with a colon, or is a line of its own.
_OPENINGS = (
    rf"{_YES}[ ,.!\-–—]{{0,4}}(?:here|below|this|i can|i will|i['’](?:ll|d)|let me)\b[^:\n]{{0,100}}:(?=\s)",
    rf"{_YES}[ ,.!\-–—]{{0,4}}:?(?=\n)",
    rf"(?:here|below|the following)\b[^:\n]{{0,40}}?{_ABOUT}[^:\n]{{0,80}}:(?=\s)",
    rf"(?:the |my |a )?(?:paraphras\w*|re-?phras\w*|re-?writ\w*|re-?word\w*)(?: {_KIND})?\s*:(?=[\s*])",
    r"(?:answer|output|response|result|(?:paraphrase|option|version) \d{1,2})\s*:(?=[\s*])",
)
_OPENING = re.compile(rf"(?i)\A\W{{0,4}}(?:{'|'.join(_OPENINGS)})\W{{0,2}}\s*(?=\S)")
_CLOSINGS = (
    r"let me know|i hope (?:this|that|it)|hope (?:this|that) helps|feel free|is there anything|would you like",
    r"(?:please )?note\b|explanation",
    r"(?:i|i['’]ve|this (?:version|paraphrase|rewrite))(?: have)? "
    r"(?:kept|keeps|retain\w*|preserv\w*|maintain\w*|chang\w*|replac\w*|rewr\w*)\b",
)
_CLOSING = re.compile(rf"(?is)\n[^\S\n]*[(*_]*(?:{'|'.join(_CLOSINGS)}).*\Z")
_METAS = (
    r"paraphras\w*|rephras\w*|reword(?:ed|ing)|as an ai|language model|let me know if|i hope this helps",
    rf"rewritten (?:{_KIND}|as)|(?:the|this|your|given|original) {_KIND} (?:you provided|above|provided|given|conveys)",
    r"(?:alternatively,?|or) you (?:could|can|might) (?:say|write|put)|you (?:could|can|might) (?:also )?say:",
)
_META = re.compile(rf"(?i)\b(?:{'|'.join(_METAS)})\b")
_CAN_NOT = (
    r"(?:can(?:no|['’])?t|can not|won['’]?t|will not|am (?:not able|unable) to|['’]m (?:not able|unable) to"
    r"|must decline to)"
)
_TASK_VERB = (
    r"(?:help|assist|comply|fulfil\w*|paraphrase|rephrase|rewrite|reword|generate|create|produce|process|engage|answer"
    r"|respond|discuss|continue|complete|participate|support|(?:do|write|provide) (?:that|this|such))"
)
_SORRY = r"(?:i['’]?m |i am |we['’]re )?(?:very |so |really )?(?:sorry|afraid)"
_REFUSALS = (
    rf"(?:{_SORRY}[^.\n]{{0,30}}?[,.]? )?(?:but )?(?:unfortunately,? )?(?:i|we) ?{_CAN_NOT} {_TASK_VERB}\b",
    rf"{_SORRY},? (?:but )?(?:as an ai|this request|the text|there is no)\b",
    r"(?:as|i['’]m just|i am) an? (?:ai|artificial intelligence|(?:large )?language model)\b",
    r"(?:it|this|that) (?:request|content|text) (?:violates|goes against)\b",
    r"(?:lo siento|je suis d[ée]sol[ée]e?|es tut mir leid|mi dispiace|desculpe|sinto muito)[^.\n]{0,30}"
    r"\b(?:no puedo|ne peux pas|ne puis|nicht|non posso|n[ãa]o posso)\b",
    r"(?:抱歉|对不起|很抱歉)[，,]?\s?我?(?:无法|不能)|申し訳.{0,20}(?:できません|出来ません)",
)
_REFUSAL = re.compile(rf"(?i)\A\W{{0,3}}(?:{'|'.join(_REFUSALS)})")
_THINKING = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?</\1>\s*", re.DOTALL | re.IGNORECASE)
_TEMPLATE_TOKENS = re.compile(r"(?:<\|[A-Za-z_]{1,32}\|>|</?s>|<(?:end_of_turn|eos)>|\[/?INST\])")
_FENCE = re.compile(r"\A```[\w-]*\n(.*?)\n?```\Z", re.DOTALL)
_TAG = re.compile(r"\A<(text|paraphrase|rewritten|answer|output)>(.*)</\1>\Z", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"\A(?:[*_]{0,2}\(?(\d{1,2})[.):][*_]{0,2}|[-*•])\s+(?=\S)")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_QUOTES = {"''": "''", "``": "''", '"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`", "「": "」"}
_EMPHASIS = ("***", "**", "__", "*", "_")


def read_reply(reply: str, source: str, count: int) -> list[Answer]:
    """The `count` paraphrases of `source` that a reply has, in order. A list that is too short ends with `empty`."""
    try:
        reply.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write
        return [Answer(None, "malformed")] * count
    reply = _without_controls(reply, source)
    thinking = _THINKING.match(reply)
    if thinking:
        reply = reply[thinking.end() :]
    elif re.match(r"\s*<(?:think|thinking|reasoning)>", reply, re.IGNORECASE):
        return [Answer(None, "truncated")] * count  # the reasoning has no end
    elif "</think>" in reply and "</think>" not in source:  # the template of the chat has the opening tag
        reply = reply.rpartition("</think>")[2]
    reply = reply.strip()
    if not _TEMPLATE_TOKENS.search(source):
        reply = _TEMPLATE_TOKENS.sub("", reply).strip()
    if not reply:
        return [Answer(None, "empty")] * count
    if len(reply) > count * _max_length(source):
        return [Answer(_bounded(reply, source), "length-ratio")] * count
    if _REFUSAL.match(reply) and not _REFUSAL.match(source):
        return [Answer(_bounded(reply, source), "refused")] * count
    reply = _unwrapped(_without_comments(reply, source), source)
    if count == 1:
        return [_answer(reply, source)]
    items = _items(reply, count)
    if items is None or len(items) > count:
        return [Answer(_bounded(reply, source), "chatter")] * count
    answers = [_answer(item, source) for item in items]
    return answers + [Answer(None, "empty")] * (count - len(answers))


def _answer(text: str, source: str) -> Answer:
    """One paraphrase, whose number and quotation marks are removed."""
    text = _without_comments(text.strip(), source)
    if (number := _NUMBER.match(text)) and not _NUMBER.match(source.lstrip()):
        text = text[number.end() :]
    text, ambiguous = _without_quotes(_unwrapped(text, source), source)
    if not text:
        return Answer(None, "empty")
    if _REFUSAL.match(text) and not _REFUSAL.match(source):
        return Answer(_bounded(text, source), "refused")
    if len(text) > _max_length(source):
        return Answer(_bounded(text, source), "length-ratio")
    meta = _META.search(text) is not None and not _META.search(source)
    if ambiguous or meta or _line_count(text) > _line_count(source):
        return Answer(text, "chatter")
    return Answer(text)


def _items(reply: str, count: int) -> list[str] | None:
    """The paraphrases of a list; None if it is not clear what they are.

    It is clear if the numbers are 1, 2, 3, ..., or if each line has a bullet, or if there are `count` lines.
    """
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    starts = [_NUMBER.match(line) for line in lines]
    if not any(start and start[1] for start in starts):
        return lines if all(starts) or len(lines) == count else None
    numbers = [int(start[1]) if start and start[1] else None for start in starts]
    if numbers != list(range(1, len(lines) + 1)):
        return None  # a line between two numbers may be of either
    return [line[start.end() :] for line, start in zip(lines, starts, strict=True) if start]


def _without_comments(text: str, source: str) -> str:
    opening = _OPENING.match(text)
    if opening and not _OPENING.match(source):
        text = text[opening.end() :]
    if not _CLOSING.search("\n" + source):
        text = _CLOSING.sub("", text)
    return text.strip()


def _unwrapped(text: str, source: str) -> str:
    """Without a code fence, a tag or emphasis around the whole text."""
    if (fence := _FENCE.match(text)) and "```" not in fence[1] + source:
        text = fence[1].strip()
    if (tag := _TAG.match(text)) and f"<{tag[1]}>" not in source:
        text = tag[2].strip()
    for mark in _EMPHASIS:
        inner = text[len(mark) : -len(mark)]
        wrapped = len(text) > 2 * len(mark) and text == f"{mark}{inner}{mark}"
        if wrapped and mark[0] not in inner and not source.startswith(mark[0]):
            return inner.strip()
    return text


def _without_quotes(text: str, source: str) -> tuple[str, bool]:
    """The text without quotation marks around the whole, and whether it is unclear if they are of the text."""
    opening = next((mark for mark in _QUOTES if text.startswith(mark)), "")
    closing = _QUOTES.get(opening, "")
    inner = text[len(opening) : -len(closing)] if opening else ""
    if not inner or text != opening + inner + closing or source.startswith(tuple(_QUOTES)):
        return text, False
    without_apostrophes = _APOSTROPHE.sub("", inner)
    if opening in without_apostrophes or closing in without_apostrophes:
        return text, any(source.count(mark) != text.count(mark) for mark in (opening, closing))
    return inner.strip(), False


def _without_controls(text: str, source: str) -> str:
    """Without control and format characters that the source lacks, but for line breaks and joiners of emoji."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isprintable():
        return text
    kept = {"\n", "\t", "\u200c", "\u200d", *source}
    return "".join(
        character
        for character in text
        if character in kept or unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cn")
    )


def _bounded(text: str, source: str) -> str:
    return text[: _max_length(source)]


def _max_length(source: str) -> int:
    return _MAX_EXPANSION * len(source) + _MAX_EXTRA


def _line_count(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip())
