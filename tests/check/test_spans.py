# SPDX-License-Identifier: GPL-2.0-only
"""A Trial judges the user's accesses by their spans, as a Replay does of most; or it sees each.

All must find the same wherever a strategy sends the user.
"""

import pytest
from faulty import cases

from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.paths import ARCH
from zsemu.replay import violations
from zsemu.replay.by_shape import EachShape
from zsemu.replay.observation import Listener, Observation, StrictTranslations
from zsemu.replay.replay import Replay, Trial
from zsemu.replay.violations import Violation

SENT = {
    # where the second span is, and what finds it
    "its CPU's buffer, unwritten": ("area->buffer", violations.WRONG_BYTES),
    "its own and the next slot": ("second + 24", violations.WRONG_BYTES),
    "another CPU's buffer": (
        "area->buffer + (area->cpu ? -2 * PAGE_SIZE : 2 * PAGE_SIZE)",
        violations.STRAY,
    ),
    "another zspage": (
        "second + 2 * PAGE_SIZE * (loc->zspage->nr_pages - loc->page - 1)",
        violations.STRAY,
    ),
    "over the end of a page": ("second + PAGE_SIZE - 16", violations.FAULT),
    "half in the caller's buffer": ("(char *)caller + 8", violations.WRONG_BYTES),
    "behind the caller's buffer": ("(char *)caller + 65536", violations.STRAY),
    "a descriptor": ("(char *)loc->zspage", violations.STRAY),
    "another CPU's entries": (
        "(char *)(area->window_pte + (area->cpu ? -4 : 4))",
        violations.STRAY,
    ),
    "static data": ("(char *)&zs_direct_map", violations.STRAY),
}


ONE = {
    where: SENT[where]
    for where in (
        "another CPU's buffer",
        "behind the caller's buffer",
        "a descriptor",
        "another CPU's entries",
    )
}
"""where the only span of an object is"""


def source() -> str:
    """Return ``sg``, whose spans are where ``sent`` says: from 1 on SENT, from 100 on ONE."""

    def switch(first: int, span: int, places: dict[str, tuple[str, str]]) -> str:
        cases_ = "".join(
            f"	case {number}:\n		span[{span}].addr = {address};\n		break;\n"
            for number, (address, _) in enumerate(places.values(), first)
        )
        return f"	switch (sent) {{\n{cases_}	}}\n"

    right = "	span[1].addr = zs_page_address(loc->zspage, loc->page + 1);"
    second = f"	char *second;\n\n{right}\n	second = span[1].addr;\n"
    one = "		return zs_one_span(span, zs_payload(loc), loc);"
    wrong = {
        right: second + switch(1, 1, SENT),
        one: f"{{\n{one.replace('return ', '')}\n{switch(100, 0, ONE)}		return 1;\n	}}",
        '#include "zs.h"': '#include "zs.h"\n\nvolatile unsigned long sent;',
    }
    text = (ARCH / "strategies" / "sg.c").read_text()
    for old, new in wrong.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module", params=target_names())
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The strategy on each architecture."""
    file = tmp_path_factory.mktemp("sent") / "sent.c"
    file.write_text(source())
    machine = target(request.param)
    return Image(build(machine, strategy(str(file))), machine)


KINDS: tuple[tuple[type[Replay], type[Observation]], ...] = (
    (Replay, StrictTranslations),  # sees each access, and the others should find the same
    (Trial, StrictTranslations),
    (Replay, EachShape),
)


def violations_of(
    kind: tuple[type[Replay], type[Observation]], image: Image, number: int
) -> list[Violation]:
    """Return what one of KINDS finds if users are sent where a number of ``sent`` says."""
    which, observe = kind
    replay = which(image, cases.between.work(image.target.name), observe=observe)
    memory = replay.machines.memory
    memory.view_symbol("sent", memory.types.word)[0] = number
    return replay.run().violations


@pytest.mark.parametrize("where", ONE)
def test_user_of_one_span_is_sent_elsewhere(
    image: Image, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listener, "samples", 0)
    number = 100 + list(ONE).index(where)
    each, *by_span = (violations_of(kind, image, number)[0] for kind in KINDS)
    assert [(one.operation, one.kind, one.detail, one.found) for one in by_span] == [
        (each.operation, each.kind, each.detail, each.found)
    ] * 2
    assert each.kind == ONE[where][1]
    # What the driver does not know by its address is looked at, access by access.
    known = where in ("another CPU's buffer", "behind the caller's buffer")
    assert all(("by_span" in one.pc) == known for one in by_span)
    assert "by_span" not in each.pc


@pytest.mark.parametrize("where", SENT)
def test_user_is_sent_elsewhere(image: Image, where: str) -> None:
    """The first operation in which something is wrong: what comes after it may be chaos."""
    number, (_, finds) = 1 + list(SENT).index(where), SENT[where]
    found = [violations_of(kind, image, number) for kind in KINDS]
    first = found[0][0].operation
    each, *by_span = (
        [(one.kind, one.detail, one.found) for one in some if one.operation == first]
        for some in found
    )
    assert by_span == [each, each]
    assert finds in {kind for kind, *_ in each}
