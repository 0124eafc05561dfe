# SPDX-License-Identifier: GPL-2.0-only
"""Findings of documents made up by hand, of which it is known what they show."""

import re
from dataclasses import replace

import pytest
from documents import MAPS, Cost, costing, document, kernel, shaped

from zsemu.reports.findings import findings
from zsemu.reports.matrix import Matrix
from zsemu.reports.words import listed
from zsemu.results.document import Document

# Over all 200 maps, and over the 40 spanning ones; half of those by reads, half by writes.
COPY = Cost(bytes=(4000, 4000), instructions=(400, 400), pool=(2000, 2000), access=10)
LESS = Cost(bytes=(3000, 3000), instructions=(300, 300), pool=(1500, 1500), access=10)
MORE = Cost(bytes=(5000, 5000), instructions=(800, 800), pool=(2500, 2500), access=10)
NOTHING = Cost(bytes=(400, 400), instructions=(100, 100), access=10)


def points(made: Document, base: str | None = None) -> tuple[str, list[str]]:
    found = findings(Matrix(made, base))
    return found.headline, [found.integrity, *found.points]


def test_who_is_least() -> None:
    headline, said = points(
        costing(
            {
                "x86_64": {"copy": COPY, "swap": LESS, "sg": NOTHING},
                "arm": {"copy": COPY, "swap": MORE, "sg": NOTHING},
            }
        )
    )
    # With 10 bytes of access a map: (400 + 2000) / (4000 + 2000), (3000 + 2000) / (4000 + 2000);
    # of the 40 spanning maps: (400 + 400) / (4000 + 400).
    assert headline == (
        "With the access included, the fewest bytes are loaded and stored over all maps by"
        " sg on both architectures (0.40x of copy); over spanning maps by sg on both architectures"
        " (0.18x of copy)."
    )
    assert said[0].startswith("All 6 cells are intact: ")
    assert said[1] == "Of 200 maps, 40 are of spanning objects (20.0 %)."
    assert said[2] == (
        "Of the strategies that move the object's bytes, fewest bytes over all maps, access"
        " included: swap on x86_64 (0.83x of copy); copy on arm."
    )
    assert said[3] == (
        "Over all maps, access included, fewest instructions: sg on both architectures (0.25x of"
        " copy). Of the strategies that move the object's bytes: swap on x86_64 (0.75x of copy);"
        " copy on arm."
    )
    # Reads: (200 + 300) / (2000 + 300) bytes of 30 maps; writes: (200 + 100) / (2000 + 100) of 10.
    assert said[4] == (
        "Over spanning reads and spanning writes, access included, fewest bytes: sg on both"
        " architectures (0.14x to 0.22x of copy). Of the strategies that move the object's bytes:"
        " swap on x86_64 (0.76x to 0.78x of copy); copy on arm."
    )
    assert said[6:8] == [
        "By bytes over all maps, architectures disagree how strategies compare with copy: swap"
        " needs fewer on x86_64 (0.83x) and more on arm (1.17x).",
        "By instructions over all maps, architectures disagree how strategies compare with copy:"
        " swap needs fewer on x86_64 (0.75x) and more on arm (2.00x).",
    ]
    assert said[8].startswith("x86_64: a rep-prefixed instruction is one")
    assert len(said) == 9


def test_architectures_that_agree() -> None:
    cells = {"copy": COPY, "swap": LESS, "sg": NOTHING}
    _, said = points(costing(dict.fromkeys(("arm", "aarch64", "riscv32"), cells)))
    for count in ("bytes", "instructions"):
        assert (
            f"By {count} over all maps, architectures agree which strategies need fewer than copy"
            " and which more."
        ) in said
    one = points(costing({"arm": cells}))[1]
    assert not any("architectures" in point for point in one)


def test_about_as_many_is_no_disagreement() -> None:
    closely = replace(COPY, bytes=(4001, 4001), instructions=(401, 401))
    cells = {"arm": {"copy": COPY, "swap": closely}, "i386": {"copy": COPY, "swap": LESS}}
    _, said = points(costing(cells))
    assert sum("architectures agree" in point for point in said) == 2
    assert not any("disagree" in point for point in said)


def test_all_but_one() -> None:
    cells = {name: {"copy": COPY, "swap": LESS} for name in ("x86_64", "i386", "arm", "riscv64")}
    cells["arm"] = {"copy": COPY, "swap": MORE}
    headline, _ = points(costing(cells))
    assert headline == (
        "With the access included, the fewest bytes are loaded and stored over all maps by"
        " swap on all architectures but arm (0.83x of copy) and by copy on arm; over spanning maps"
        " by swap on all architectures but arm (0.77x of copy) and by copy on arm."
    )


def test_equal_counts_are_named_together() -> None:
    headline, said = points(costing({"arm": {"copy": COPY, "swap": COPY, "mine.c": MORE}}))
    assert headline == (
        "With the access included, the fewest bytes are loaded and stored over all maps by"
        " copy and swap on arm; over spanning maps by copy and swap on arm."
    )
    assert "about as many" not in " ".join(said)


def test_one_byte_decides() -> None:
    closely = replace(COPY, bytes=(3999, 3999))
    headline, _ = points(costing({"arm": {"copy": COPY, "swap": closely}}))
    assert " over all maps by swap on arm (1.00x of copy); over" in headline


def test_about_as_many() -> None:
    closely = replace(COPY, bytes=(4001, 4001))
    _, said = points(
        costing(
            {
                "arm": {"copy": COPY, "swap": closely},
                "aarch64": {"copy": COPY, "swap": LESS},
                "riscv64": {"copy": COPY, "swap": MORE},
            }
        )
    )
    assert any(
        "swap needs about as many on arm (1.00x), fewer on aarch64 (0.83x) and more on riscv64"
        in point
        for point in said
    )


def test_other_base() -> None:
    headline, said = points(costing({"arm": {"swap": MORE, "mine.c": LESS}}))
    assert headline.endswith("spanning maps by mine.c on arm (0.63x of swap).")
    headline, _ = points(costing({"arm": {"copy": COPY, "mine.c": LESS}}), "mine.c")
    assert headline.endswith("over all maps by mine.c on arm; over spanning maps by mine.c on arm.")
    assert not any("copy" in point for point in said)


def test_work_that_falls_on_others() -> None:
    # 40 spanning maps move 1500 bytes of the pool, the other 160 move 500 more.
    lazy = replace(LESS, bytes=(4500, 3000), pool=(2000, 1500))
    _, said = points(costing({"arm": {"copy": COPY, "swap-lazy": lazy, "swap": LESS}}))
    (told,) = [point for point in said if "where nothing spans" in point]
    assert told.startswith(
        "swap-lazy works on the pool where nothing spans, too: 25 % of the bytes"
    )
    assert told.endswith(
        "of copy's bytes its own are 0.75x over spanning maps and 1.12x over all maps."
    )
    _, said = points(costing({"arm": {"copy": COPY, "swap-lazy": LESS, "swap": LESS}}))
    assert not any("where nothing spans" in point for point in said)


def test_where_the_page_ends() -> None:
    rows = {
        "copy": {"read": [(1000, 250, 1, 2000), (1000, 750, 1, 2000)]},
        "swap": {"read": [(1000, 250, 1, 1000), (1000, 750, 1, 3000)]},
    }
    made = replace(document(), records=tuple(shaped(rows)))
    (told,) = [point for point in points(made)[1] if "page ends" in point]
    assert told == (
        "Where the page ends decides between swap and copy: by bytes of map + unmap swap needs"
        " fewer while less than 50 % of the slot is in the first page, copy beyond that."
    )


def test_no_spanning_maps() -> None:
    maps = dict.fromkeys(MAPS, 0) | {"total": 200}
    headline, said = points(
        costing({"arm": {"copy": COPY, "sg": NOTHING}, "i386": {"copy": COPY, "sg": LESS}}, maps)
    )
    assert headline == (
        "With the access included, the fewest bytes are loaded and stored over all maps by"
        " sg on both architectures (0.40x to 0.83x of copy)."
    )
    assert said[1].startswith("No map is of a spanning object: ")
    assert not any("spanning reads" in point or "page ends" in point for point in said)


def test_all_maps_span() -> None:
    """Then what is said of all is said of the spanning ones, and not again."""
    maps = {**MAPS, "total": 40, "spanning_read": 40, "spanning_write": 0}
    found = findings(Matrix(costing({"arm": {"copy": COPY, "sg": NOTHING}}, maps)))
    assert {one.measure.scope for one in found.comparisons} == {"total"}
    assert not any("spanning reads" in point for point in found.points)


def test_violations() -> None:
    headline, said = points(
        costing({"arm": {"copy": COPY, "sg": NOTHING}, "i386": {"copy": COPY, "sg": None}})
    )
    assert said[0] == (
        "1 of 4 cells has violations and therefore no counts: i386 sg (25 violations: fault)."
    )
    assert " over all maps by sg on arm (0.40x of copy) and by copy on i386; over" in headline


def test_a_broken_base() -> None:
    headline, said = points(costing({"arm": {"copy": None, "sg": NOTHING, "swap": LESS}}))
    assert headline == (
        "With the access included, the fewest bytes are loaded and stored over all maps by"
        " sg on arm; over spanning maps by sg on arm."
    )
    assert said[0].startswith("1 of 3 cells has violations")
    assert said[2].endswith("access included: swap on arm.")


def test_a_kernel_with_other_size_classes() -> None:
    """Of spanning maps nothing is said: they are not the same maps."""
    headline, said = points(kernel(document(), "2012", 50))
    assert headline.endswith("all maps by pgtable on both architectures (0.05x to 0.13x of copy).")
    assert said[1] == (
        "Of 200 maps, 40 to 50 are of spanning objects (20.0 % to 25.0 %); how many depends on the"
        " size classes, and a kernel's object has those of its kernel: so of spanning maps nothing"
        " is said here."
    )
    assert not any("spanning reads" in point for point in said)


def test_nothing_to_compare() -> None:
    headline, said = points(costing({"arm": {"copy": COPY}, "i386": {"copy": LESS}}))
    assert headline == (
        "Only copy has counts: there is nothing to compare it with. It takes 25 to 30 bytes and 1.5"
        " to 2.0 instructions for map, access and unmap."
    )
    assert len(said) == 2
    headline, said = points(costing({"arm": {"copy": None}}))
    assert headline == "No cell is intact: there is nothing to compare."
    assert said[0].startswith("1 of 1 cell has violations")


def test_only_what_counts_can_say() -> None:
    made = [document(), document(broken=True), costing({"arm": {"copy": COPY, "sg": NOTHING}})]
    for one in made:
        found = findings(Matrix(one))
        text = " ".join([found.headline, *found.points])
        assert not re.search(r"\b(fast|slow|cycle|time|quick|cheap)", text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listed(words: list[str], text: str) -> None:
    assert listed(words) == text
