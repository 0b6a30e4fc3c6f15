"""`lacks_spans` counts each span as `str.count` does, in one pass over the text rather than one for each span."""

from hypothesis import given
from hypothesis import strategies as st

from text_uda.paraphrasing import filters
from text_uda.paraphrasing.filters import lacks_spans

_WORDS = st.lists(
    st.sampled_from(["@ab", "@abc", " ", "/", ":)", ":))", "**", "***", "mp3", "x", "{a}", "😀"]), max_size=12
)


@given(_WORDS, _WORDS)
def test_the_counts_are_those_of_the_string(old: list[str], new: list[str]):
    source, text = "".join(old), "".join(new)
    spans = {source[start:end] for start, end in filters.find_spans(source)}
    assert filters._occurrences(text, spans) == {span: text.count(span) for span in spans}
    wanted = [source[start:end] for start, end in filters.find_spans(source)]
    assert lacks_spans(source, text) == any(text.count(span) < wanted.count(span) for span in wanted)


def test_the_work_grows_with_the_text_and_not_with_its_square():
    """Every mention occurs, in places where it is no span, so that none is settled early."""

    class Counted(str):
        operations = 0

        def __getitem__(self, key):
            Counted.operations += 1
            return str.__getitem__(self, key)

        def count(self, *words):
            raise AssertionError("a pass for each span")

    work = []
    for mentions in (200, 800):
        names = [f"@name{number:04}" for number in range(mentions)]
        Counted.operations = 0
        assert not lacks_spans(" ".join(names), Counted("x/" + "/".join(names)))
        work.append(Counted.operations)
    assert work[1] <= 5 * work[0]
