# SPDX-License-Identifier: GPL-2.0-only
"""Numbers in every notation that tools print, and what is refused since nobody can tell."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import event

from zsemu.errors import ZsemuError
from zsemu.traces import text_blocks
from zsemu.traces.recording import read

STYLES: dict[str, Callable[[int], str]] = {
    "%#llx": lambda value: f"{value:#x}" if value else "0",
    "0x%llx": lambda value: f"{value:#x}",
    "%llx": lambda value: f"{value:x}",
    "%016llX": lambda value: f"{value:016X}",
    "%llu": lambda value: f"{value}",
    "%lld": lambda value: f"{value - 2**64 if value >= 2**63 else value}",
}
"""By the format of a printf, what it prints."""


def line(us: int, values: tuple[int, int, int, int], styles: tuple[str, str]) -> str:
    """Return three events with a size, two handles and a mode.

    The first handle, which is returned, is in the first style, and all others are in the second.
    """
    size, returned, handle, mode = values
    first, second = (STYLES[style] for style in styles)
    return (
        event(us, "zs_malloc", f"size={second(size)}")
        + event(us, "zs_malloc_ret", f"handle={first(returned)}")
        + event(us, "zs_map_object", f"handle={second(handle)} mode={second(mode)}")
    )


def numbers(path: Path) -> list[int]:
    """Return the numbers of such events, in the order of the text."""
    _, events = read(path)
    return [
        value
        for first, second, probe in zip(
            events.first.tolist(), events.second.tolist(), events.probe.tolist(), strict=True
        )
        for value in ([first, second] if probe == 3 else [first])
    ]


WORD = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 300))


@pytest.mark.parametrize(
    "styles",
    [
        *((style, style) for style in STYLES),
        # Kernels from 6.6 on.
        ("%llu", "0x%llx"),
        ("%lld", "%#llx"),
    ],
    ids=" and ".join,
)
@given(
    values=st.lists(st.tuples(st.integers(0, 65536), WORD, WORD, st.integers(0, 2)), max_size=6),
    block=st.integers(1, 400),
    source=st.randoms(use_true_random=False),
)
def test_every_notation(
    tmp_path_factory: pytest.TempPathFactory,
    styles: tuple[str, str],
    values: list[tuple[int, int, int, int]],
    block: int,
    source: random.Random,
) -> None:
    """The numbers come back, however late the one is that tells hexadecimal from decimal."""
    telling = (0xABC, 0xFEDCBA9876543210, 0xFEDCBA9876543210, 2)
    values.insert(source.randint(0, len(values)), telling)
    path = tmp_path_factory.mktemp("numbers") / "text"
    path.write_text("".join(line(us, row, styles) for us, row in enumerate(values)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_blocks, "BLOCK", block)
        assert numbers(path) == [value for row in values for value in row]


def test_digits_alone_are_decimal(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(line(1, (59, 1234, 1234, 1), ("%llu", "%llu")))
    assert numbers(path) == [59, 1234, 1234, 1]
    # Whatever another event has: the kernel prints 0x wherever it prints hexadecimal.
    path.write_text(line(1, (59, 0x4D2, 0x4D2, 1), ("%llu", "0x%llx")))
    assert numbers(path) == [59, 1234, 1234, 1]


def test_digits_alone_are_hexadecimal_if_the_argument_has_letters_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(
        event(1, "zs_malloc", "size=a")
        + event(2, "zs_free", "handle=1234")
        + event(3, "zs_unmap_object", "handle=ab")
    )
    _, events = read(path)
    assert events.first.tolist() == [10, 0x1234, 0xAB]


REFUSED = {
    # name: text, message
    "0x in some lines only": (
        event(1, "zs_free", "handle=0x8") + event(2, "zs_free", "handle=16"),
        r":2: handle=16 is in another notation than handle=0x8 in line 1; import a recording in"
        " which each event has one notation for its handle",
    ),
    "0x in a later line only": (
        event(1, "zs_free", "handle=8") + event(2, "zs_free", "handle=0x10"),
        r":2: handle=0x10 is in another notation than handle=8 in line 1",
    ),
    "negative beside letters": (
        event(1, "zs_free", "handle=ff") + event(2, "zs_free", "handle=-12"),
        r":2: handle=-12 is in another notation than handle=ff in line 1",
    ),
    "more than 16 digits beside letters": (
        event(1, "zs_free", "handle=18374686479671623680") + event(2, "zs_free", "handle=ff"),
        r":2: handle=ff is in another notation than handle=18374686479671623680 in line 1",
    ),
    "size beside handles with letters": (
        event(1, "zs_malloc", "size=59") + event(2, "zs_malloc_ret", "handle=ff10"),
        r":1: size=59 may be decimal or hexadecimal, since handle=ff10 in line 2 is hexadecimal"
        r" without 0x; put 0x before what is hexadecimal, for instance with: sed 's/handle=/&0x/'",
    ),
    "no number of 64 bits": (
        event(1, "zs_free", "handle=18446744073709551616"),
        r":1: 18446744073709551616 does not fit in 64 bits; the line is damaged, remove it",
    ),
    "negative number of more than 64 bits": (
        event(1, "zs_free", "handle=-9223372036854775809"),
        ":1: -9223372036854775809 does not fit in 64 bits",
    ),
}


@pytest.mark.parametrize("block", [1, 1000])
@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_can_tell(
    tmp_path: Path, name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK", block)
    text, message = REFUSED[name]
    path = tmp_path / "text"
    path.write_text(text)
    with pytest.raises(ZsemuError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f"{path}:")


def test_the_remedy_of_the_message_helps(tmp_path: Path) -> None:
    text, _ = REFUSED["size beside handles with letters"]
    path = tmp_path / "text"
    path.write_text(text.replace("handle=", "handle=0x"))
    _, events = read(path)
    assert events.first.tolist() == [59, 0xFF10]


def test_a_handle_is_not_ambiguous(tmp_path: Path) -> None:
    """What matters of it is only which events have the same."""
    path = tmp_path / "text"
    path.write_text(
        event(1, "zs_malloc", "size=a")
        + event(2, "zs_malloc_ret", "handle=1234")
        + event(3, "zs_free", "handle=1234")
    )
    _, events = read(path)
    assert events.first[1] == events.first[2]


def test_a_mode_of_one_digit_is_not_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(line(1, (0xABC, 0xFF10, 0xFF10, 2), ("%llx", "%llx")))
    assert numbers(path) == [0xABC, 0xFF10, 0xFF10, 2]
