# SPDX-License-Identifier: GPL-2.0-only
"""The oracle against straightforward models: big integers, dicts and byte strings."""

from collections.abc import Callable

import numpy as np
import pytest

from zsemu.replay import oracle
from zsemu.traces.operation import Operation

POISON_BYTE = 0xA5


def model_content(object_: int, version: int, length: int) -> bytes:
    """splitmix64's finaliser on (object, version), then a Weyl sequence; on Python integers."""
    mask = (1 << 64) - 1
    word = (object_ << 32 | version) & mask
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & mask
    word ^= word >> 31
    words = ((word + i * 0x9E3779B97F4A7C15) & mask for i in range(length // 8 + 1))
    return b"".join(w.to_bytes(8, "little") for w in words)[:length]


def longest_equal_run(a: bytes, b: bytes) -> int:
    longest = run = 0
    for x, y in zip(a, b, strict=False):
        run = run + 1 if x == y else 0
        longest = max(longest, run)
    return longest


def test_contents_differ_wherever_objects_versions_or_places_do() -> None:
    """Bytes from another object, version or place are seen, be they as few as a word."""
    pieces = [model_content(o, v, 512) for o in range(20) for v in range(3)]
    for i, piece in enumerate(pieces):
        assert max((longest_equal_run(piece, other) for other in pieces[:i]), default=0) < 8
        assert max(longest_equal_run(piece, piece[shift:]) for shift in (1, 2, 4, 8, 16)) < 8


def random_operations(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    operation = random.integers(0, 5, n).astype(np.uint8)
    object_ = random.integers(0, 30, n).astype(np.uint32)
    length = random.integers(1, 300, n).astype(np.int64)
    return operation, object_, length


@pytest.mark.parametrize("seed", range(5))
def test_versions_follow_a_dict(seed: int) -> None:
    operation, object_, length = random_operations(seed)
    versions = oracle.Versions(30)
    model: dict[int, tuple[int, int, int]] = {}
    for part in (slice(0, 150), slice(150, 151), slice(151, 400)):
        history = versions.advance(operation[part], object_[part], length[part])
        for i in range(len(history.before)):
            row = part.start + i
            who = int(object_[row])
            if operation[row] == Operation.ALLOCATE:
                model[who] = (0, 0, 0)
            version, newest, defined = model.get(who, (0, 0, 0))
            assert history.before[i] == version
            assert (history.newest[i], history.defined[i]) == (newest, defined)
            size = int(length[row])
            if operation[row] == Operation.WRITE:
                model[who] = (version + 1, size, size)
            if operation[row] == Operation.UPDATE:
                model[who] = (version + 1, size, max(size, newest))
            assert history.after[i] == model.get(who, (0, 0, 0))[0]


@pytest.mark.parametrize("seed", range(5))
def test_arena_holds_what_is_meant(seed: int) -> None:
    """Every byte of the arena, before and after, against a model built byte by byte."""
    operation, object_, length = random_operations(seed, 120)
    history = oracle.Versions(30).advance(operation, object_, length)
    arena = oracle.arena(operation, object_, length, history)
    before, after = arena.before.tobytes(), arena.after.tobytes()
    used, buffer = 0, 0
    for i, kind in enumerate(operation.tolist()):
        who, size = int(object_[i]), int(length[i])
        old = model_content(who, int(history.before[i]), size)
        if history.defined[i] > history.newest[i]:
            # What the last update left alone.
            kept = int(history.newest[i])
            old = old[:kept] + model_content(who, int(history.before[i]) - 1, size)[kept:]
        new = model_content(who, int(history.after[i]), size)
        nothing = bytes([POISON_BYTE]) * size
        wanted = {
            Operation.READ: [(nothing, old)],
            Operation.WRITE: [(new, new)],
            Operation.UPDATE: [(nothing, new), (new, old)],
        }.get(Operation(kind), [])
        for first, last in wanted:
            assert arena.owner[buffer] == i
            start = int(arena.start[buffer]) * 8
            assert start == used
            assert start % 64 == 0
            end = int(arena.start[buffer + 1]) * 8 if buffer + 1 < len(arena.start) else len(before)
            assert end - start - size >= 16
            padding = bytes([POISON_BYTE]) * (end - start - size)
            assert before[start:end] == first + padding
            assert after[start:end] == last + padding
            used, buffer = end, buffer + 1
    assert buffer == len(arena.owner)
    assert used == len(before) == len(after)


def test_what_an_update_does_not_reach_is_known() -> None:
    """An update of 24 of 40 bytes: the other 16 must be as before; a write leaves nothing known."""
    kinds = [Operation.WRITE, Operation.UPDATE, Operation.READ, Operation.WRITE, Operation.READ]
    length = np.array([40, 24, 48, 8, 48], np.int64)
    object_ = np.zeros(5, np.uint32)
    operation = np.array(kinds, np.uint8)
    arena = oracle.arena(
        operation, object_, length, oracle.Versions(1).advance(operation, object_, length)
    )
    first, last = int(arena.start[3]) * 8, int(arena.start[5]) * 8
    wanted = model_content(0, 2, 24) + model_content(0, 1, 40)[24:]
    assert arena.after.tobytes()[first : first + 40] == wanted
    known = {at for at in range(arena.after.nbytes) if _mismatch(arena, at)}
    assert set(range(first, first + 40)) <= known
    assert not known & {*range(first + 40, first + 48), *range(last + 8, last + 48)}


def _mismatch(arena: oracle.Arena, at: int) -> bool:
    bad = arena.after.copy()
    bad.view(np.uint8)[at] ^= 1
    return bool(arena.mismatches(bad).tolist() == [at])


def test_every_wrong_byte_is_found_and_undefined_ones_are_not() -> None:
    operation = np.array([Operation.WRITE, Operation.READ, Operation.READ], np.uint8)
    object_ = np.array([0, 0, 1], np.uint32)
    length = np.array([40, 60, 24], np.int64)
    history = oracle.Versions(2).advance(operation, object_, length)
    arena = oracle.arena(operation, object_, length, history)
    good = arena.after.copy()
    assert len(arena.mismatches(good)) == 0
    second, third = int(arena.start[1]) * 8, int(arena.start[2]) * 8
    # Only 40 of the 60 bytes read were ever written, and none of object 1's.
    undefined = {*range(second + 40, second + 60), *range(third, third + 24)}
    for at in range(good.nbytes):
        bad = good.copy()
        bad.view(np.uint8)[at] ^= 1
        found = arena.mismatches(bad).tolist()
        assert found == ([] if at in undefined else [at])


@pytest.mark.parametrize(
    ("old", "new", "sees"),
    [
        pytest.param(
            "if (operation[i] == ALLOCATE)",
            "if (operation[i] > UPDATE)",
            lambda: test_versions_follow_a_dict(0),
            id="a handle that is used again goes on",
        ),
        pytest.param(
            "older = c->older",
            "older = c->first",
            test_what_an_update_does_not_reach_is_known,
            id="an update reaches everything",
        ),
        pytest.param(
            "wrong |= words[i] ^ (c->first",
            "wrong = words[i] ^ (c->first",
            test_every_wrong_byte_is_found_and_undefined_ones_are_not,
            id="only one word of each content is judged",
        ),
        pytest.param(
            "wrong |= words[i] ^ POISON;",
            ";",
            test_every_wrong_byte_is_found_and_undefined_ones_are_not,
            id="nothing is judged between the buffers",
        ),
    ],
)
def test_finds_planted_fault(
    old: str, new: str, sees: Callable[[], None], edit_oracle: Callable[..., None]
) -> None:
    edit_oracle(old, new)
    with pytest.raises(AssertionError):
        sees()
