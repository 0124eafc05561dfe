# SPDX-License-Identifier: GPL-2.0-only
"""A Trial judges the user's accesses by their spans; a Replay sees each of them.

Both must find the same wherever a strategy sends the user.
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
from zsemu.replay.observation import StrictTranslations
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


def source() -> str:
    """Return ``sg``, whose second span is where ``sent`` says, one of SENT."""
    text = (ARCH / "strategies" / "sg.c").read_text()
    right = "	span[1].addr = zs_page_address(loc->zspage, loc->page + 1);"
    assert text.count(right) == 1
    cases_ = "".join(
        f"	case {number}:\n		span[1].addr = {address};\n		break;\n"
        for number, (address, _) in enumerate(SENT.values())
    )
    second = "	char *second = zs_page_address(loc->zspage, loc->page + 1);\n"
    wrong = f"{second}	switch (sent) {{\n{cases_}	}}"
    return text.replace(right, wrong).replace(
        '#include "zs.h"', '#include "zs.h"\n\nvolatile unsigned long sent;'
    )


@pytest.fixture(scope="module", params=target_names())
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The strategy on each architecture."""
    file = tmp_path_factory.mktemp("sent") / "sent.c"
    file.write_text(source())
    machine = target(request.param)
    return Image(build(machine, strategy(str(file))), machine)


def violations_of(kind: type[Replay], image: Image, number: int) -> list[Violation]:
    """Return what a kind of replay finds if users are sent to one of SENT."""
    work = cases.between.work(image.target.name)
    replay = kind(image, work, observe=StrictTranslations)
    memory = replay.machines.memory
    memory.view_symbol("sent", memory.types.word)[0] = number
    return replay.run().violations


@pytest.mark.parametrize("where", SENT)
def test_user_is_sent_elsewhere(image: Image, where: str) -> None:
    """The first operation in which something is wrong: what comes after it may be chaos."""
    number, (_, finds) = list(SENT).index(where), SENT[where]
    found = [violations_of(kind, image, number) for kind in (Trial, Replay)]
    first = found[1][0].operation
    by_span, each = (
        [(one.kind, one.detail, one.found) for one in some if one.operation == first]
        for some in found
    )
    assert by_span == each
    assert finds in {kind for kind, *_ in each}
