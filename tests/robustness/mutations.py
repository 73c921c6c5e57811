"""Ways in which a text file arrives spoiled, as Hypothesis strategies: bytes, words, lines, files.

How many examples a test draws is `TIMES`: a few hundred, or what the environment variable
`BENCH_MUTATIONS` says. Ten thousand of each:

    BENCH_MUTATIONS=10000 python -m pytest tests/robustness --timeout 0
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("BENCH_MUTATIONS", "200"))

MUTATED = settings(
    max_examples=TIMES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # The same examples on every run of CI; other ones where many are asked for.
    derandomize="BENCH_MUTATIONS" not in os.environ,
    database=None,
)

Mutation = Callable[[bytes], bytes]

WORDS = (
    b"-1", b"0", b"1", b"2", b"3", b"51", b"9" * 400, b"1e999", b"-1e308", b"nan", b"inf", b".inf",
    b".nan", b"1_000", b"0x10", b"0o17", b"+1", b"1.5", "٣".encode(), "²".encode(), b"true",
    b"null", b"..", b"/", b"\\", b"../../../etc/passwd", b"/etc/passwd", b"img/A/0007.jpg",
    b"img/a/0007.JPG", b"\0", b"\x1b[2J", b"\r", b"\t", b" ", b"\xff\xfe", b"\xc2\xa0",
    b"\xe2\x80\xa8", b"\xe2\x80\xae",
    b"<script>", b"{{7*7}}", b"$(id)", b"`id`", b"%s%n", b"!!python/object/apply:os.system [id]",
    b"&a", b"*a", b"<<", b"{", b"}", b"[", b"]", b":", b"- ", b"? ", b"#", b"|", b">", b"'", b'"',
    b"~", b"---", b"...", b"test", b"val", b"train", b"9**9**9", b"__import__('os')", b"(" * 60,
    b"[" * 60,
)  # fmt: skip


def mutations() -> st.SearchStrategy[Mutation]:
    """One to three spoilings, one after another; small ones more often than large ones."""
    small = st.one_of(_digits(), _word(), _line(), _bytes())
    rare = st.one_of(small, small, small, small, _file())
    return st.one_of(
        small.map(lambda step: _in_turn([step])),
        st.lists(rare, min_size=1, max_size=3).map(_in_turn),
    )


def _in_turn(steps: list[Mutation]) -> Mutation:
    def spoil(text: bytes) -> bytes:
        for step in steps:
            text = step(text)
        return text

    return spoil


def _place(text: bytes, share: float) -> int:
    return min(int(share * (len(text) + 1)), len(text))


@st.composite
def _bytes(draw: st.DrawFn) -> Mutation:
    """Some bytes somewhere become others, or none."""
    share, cut = draw(st.floats(0, 1)), draw(st.integers(0, 40))
    put = draw(st.one_of(st.binary(max_size=8), st.sampled_from(WORDS)))

    def spoil(text: bytes) -> bytes:
        at = _place(text, share)
        return text[:at] + put + text[at + cut :]

    return spoil


@st.composite
def _digits(draw: st.DrawFn) -> Mutation:
    """Numbers of one to eight lines become others: digits misread, signs and points slipped in."""
    places = draw(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    which = draw(st.integers(0, 30))
    put = draw(st.sampled_from([b"%d" % n for n in (*range(10), 51, 300, -1)]))

    def spoil(text: bytes) -> bytes:
        lines = text.split(b"\n")
        for share in places:
            row = min(int(share * len(lines)), len(lines) - 1)
            numbers = list(re.finditer(rb"(?<![\w./])[0-9.]+(?![\w/])", lines[row]))
            if numbers:
                start, end = numbers[which % len(numbers)].span()
                lines[row] = lines[row][:start] + put + lines[row][end:]
        return b"\n".join(lines)

    return spoil


@st.composite
def _word(draw: st.DrawFn) -> Mutation:
    """A word of a line becomes another, or is doubled, dropped or joined to the next one."""
    share, which = draw(st.floats(0, 1)), draw(st.integers(0, 30))
    put = draw(st.sampled_from((*WORDS, b"", None, "joined")))

    def spoil(text: bytes) -> bytes:
        lines = text.split(b"\n")
        row = min(int(share * len(lines)), len(lines) - 1)
        words = lines[row].split(b" ")
        at = which % len(words)
        if put is None:
            words.insert(at, words[at])
        elif put == "joined":
            words[at : at + 2] = [b"".join(words[at : at + 2])]
        else:
            words[at] = bytes(put)
        lines[row] = b" ".join(words)
        return b"\n".join(lines)

    return spoil


@st.composite
def _line(draw: st.DrawFn) -> Mutation:
    """A line is doubled, dropped, swapped with another, split, joined to the next or indented."""
    share, other = draw(st.floats(0, 1)), draw(st.floats(0, 1))
    how = draw(st.sampled_from(("double", "drop", "swap", "split", "join", "indent", "blank")))

    def spoil(text: bytes) -> bytes:
        lines = text.split(b"\n")
        row, second = (min(int(s * len(lines)), len(lines) - 1) for s in (share, other))
        line = lines[row]
        half = len(line) // 2
        new = {
            "double": [line, line],
            "drop": [],
            "split": [line[:half], line[half:]],
            "indent": [b"  " + line],
            "blank": [line, b"   "],
        }
        if how == "swap":
            lines[row], lines[second] = lines[second], line
        elif how == "join":
            lines[row : row + 2] = [b"".join(lines[row : row + 2])]
        else:
            lines[row : row + 1] = new[how]
        return b"\n".join(lines)

    return spoil


@st.composite
def _file(draw: st.DrawFn) -> Mutation:
    """The whole file is cut, doubled, of other line ends or in another encoding."""
    share = draw(st.floats(0, 1))
    how = draw(st.sampled_from(("cut", "behead", "double", "cr", "crlf", "bom", "utf16", "upper")))

    def spoil(text: bytes) -> bytes:
        at = _place(text, share)
        return {
            "cut": text[:at],
            "behead": text[at:],
            "double": text + text,
            "cr": text.replace(b"\n", b"\r"),
            "crlf": text.replace(b"\n", b"\r\n"),
            "bom": b"\xef\xbb\xbf" + text,
            "utf16": text.decode("latin-1").encode("utf-16"),
            "upper": text[:at] + text[at : at + 40].upper() + text[at + 40 :],
        }[how]

    return spoil
