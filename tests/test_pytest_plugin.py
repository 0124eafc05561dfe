# SPDX-License-Identifier: GPL-2.0-only
"""The plugin in projects of its own: with the README's example, and where nobody uses it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from documents import document
from samples import busy_trace, versions
from test_api import HEAVY

import zsemu
from zsemu.guest.targets import names as target_names
from zsemu.pytest_plugin import assert_counts_within
from zsemu.results.document import Record, save
from zsemu.runs import compare
from zsemu.runs import request as requests
from zsemu.traces.file import save as save_trace

pytest_plugins = "pytester"

README = (Path(zsemu.__file__).parent / "README.md").read_text()
(EXAMPLE,) = (
    block
    for block in re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    if "def test_" in block
)
ARM = "--zsemu-arch=arm"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> zsemu.Document:
    mine = tmp_path_factory.mktemp("base") / "mine.c"
    mine.write_text(versions()["good"])
    return zsemu.run(mine, "copy", arch="arm")


@pytest.fixture
def project(
    base: zsemu.Document, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """A project with the README's example, its strategy, and what that cost so far."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (pytester.path / "test_mine.py").write_text(EXAMPLE)
    (pytester.path / "mine.c").write_text(versions()["good"])
    save(base, pytester.path / "base.json")
    return pytester


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) <= 16


def test_example(project: pytest.Pytester) -> None:
    """Good, one instruction more, and a bug."""
    done = project.runpytest_subprocess(ARM, "-v")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["*test_costs_no_more_than_before?arm? PASSED*"])

    (project.path / "mine.c").write_text(versions()["more"])
    old = zsemu.load(project.path / "base.json").records[0]
    was = old.sum("instructions", "total", ("settle", "map", "unmap"))
    done = project.runpytest_inprocess(ARM)
    done.assert_outcomes(passed=1, failed=1)
    (line,) = [line for line in done.outlines if line.startswith("E  ")]
    assert re.fullmatch(
        rf"E +AssertionError: arm mine\.c compile-zstd: strategy instructions"
        rf" {was + old.maps}\|{was} \(\+\d\.\d\d%\) \[1\.\d+x\]: instructions=0%",
        line,
    )
    # The line of the test, and nothing of zsemu's own.
    done.stdout.fnmatch_lines(["> *assert_counts_within(zsemu_run(*"])
    assert "pytest_plugin.py" not in done.stdout.str()

    (project.path / "mine.c").write_text(versions()["broken"])
    done = project.runpytest_inprocess(ARM)
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(
        [
            "E*AssertionError: arm mine.c compile-zstd: * violations, the first: wrong bytes:*",
            "E*kind='wrong bytes'*",
        ],
        consecutive=False,
    )


def test_another_compiler(project: pytest.Pytester, base: zsemu.Document) -> None:
    """A base of which the counts mean something else is refused, in the words of zsemu diff."""
    compilers = {"arm": replace(base.provenance.compilers["arm"], version="zig 0.1")}
    made_by = replace(base.provenance, compilers=compilers)
    save(replace(base, provenance=made_by), project.path / "base.json")
    done = project.runpytest_inprocess(ARM, "-k", "before")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E*ZsemuError: not to be compared: compiler of arm: zig 0.1 and*"])


def test_what_does_not_compile(project: pytest.Pytester) -> None:
    (project.path / "mine.c").write_text("int wrong(void) { return nothing; }\n")
    done = project.runpytest_inprocess(ARM, "-k", "before")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["E*ZsemuError: */mine.c:1: does not compile for arm: *nothing*", "E*ziglang cc*mine.c*"]
    )
    assert not re.search(r"^\S+(build|api|pytest_plugin)\.py:\d+", done.stdout.str(), re.MULTILINE)


def test_architectures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_all(zsemu_arch):
            pass

        @pytest.mark.parametrize("zsemu_arch", ["riscv32"])
        @pytest.mark.parametrize("other", [1, 2])
        def test_one(zsemu_arch, other, zsemu_run):
            assert zsemu_run.arch == "riscv32"

        def test_none():
            pass
        """
    )

    def collected(*options: str) -> list[str]:
        done = pytester.runpytest_inprocess("--collect-only", "-q", *options)
        return [line.partition("::")[2] for line in done.outlines if "::" in line]

    own = ["test_one[1-riscv32]", "test_one[2-riscv32]", "test_none"]
    assert collected() == [*(f"test_all[{arch}]" for arch in target_names()), *own]
    some = ["test_all[arm]", "test_all[i386]", "test_all[x86_64]"]
    assert collected("--zsemu-arch", "arm, i386", "--zsemu-arch=x86_64,arm") == [*some, *own]
    done = pytester.runpytest_inprocess("--zsemu-arch", "mips")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--zsemu-arch: no architecture 'mips': there are x86_64, *"])
    assert "Traceback" not in done.stderr.str()
    assert pytester.runpytest_inprocess("-k", "one").ret == 0


def test_each_cell_runs_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a session, as long as neither content nor options change."""
    ran: list[tuple[str, str]] = []
    really = compare.single

    def single(request: requests.Request, arch: str, name: str) -> Record:
        ran.append((arch, name))
        return really(request, arch, name)

    monkeypatch.setattr(compare, "single", single)
    zsemu_trace = pytester.path / "t.npz"
    save_trace(busy_trace(), zsemu_trace)
    pytester.path.joinpath("mine.c").write_text(versions()["good"])
    pytester.makepyfile(
        """
        from pathlib import Path

        MINE, TRACE = Path(__file__).parent / "mine.c", Path(__file__).parent / "t.npz"

        def test_one(zsemu_run):
            assert len(zsemu_run(MINE, trace=TRACE).records) == 1

        def test_two(zsemu_run):
            mine, sg = zsemu_run(MINE, "sg", trace=TRACE).records
            again, = zsemu_run(MINE, trace=TRACE).records
            assert again is mine and (mine.strategy, sg.strategy) == ("mine.c", "sg")
            shorter, = zsemu_run(MINE, trace=TRACE, operations=300).records
            assert shorter.operations == 300 < mine.operations

        def test_three(zsemu_run):
            before, = zsemu_run(MINE, trace=TRACE).records
            text = MINE.read_text()
            MINE.write_text(text + "int more;\\n")
            assert zsemu_run(MINE, trace=TRACE).records[0] is not before
            MINE.write_text(text)
            assert zsemu_run(MINE, trace=TRACE).records[0] is before
        """
    )
    pytester.runpytest_inprocess("--zsemu-arch=arm,riscv64").assert_outcomes(passed=6)
    expected = []
    for arch in ("arm", "riscv64"):
        expected += [(arch, "mine.c"), (arch, "sg"), (arch, "mine.c"), (arch, "mine.c")]
    assert sorted(ran) == sorted(expected)


def test_nothing_is_loaded_where_nobody_uses_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import sys

        def test_modules(request):
            assert request.config.pluginmanager.has_plugin("zsemu")
            assert not {HEAVY - {"pytest"}!r} & sys.modules.keys()
            assert {{name for name in sys.modules if name.startswith("zsemu.")}} == {{
                "zsemu.pytest_plugin"
            }}
        """
    )
    # Others bring their own.
    done = pytester.runpytest_subprocess("-p", "no:hypothesispytest")
    done.assert_outcomes(passed=1)


# assert_counts_within() on documents made up by hand.


def fails(*arguments: object, **more: object) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_counts_within(*arguments, **more)  # type: ignore[arg-type]
    return str(caught.value)


def refuses(*arguments: object, **more: object) -> str:
    with pytest.raises(zsemu.ZsemuError) as caught:
        assert_counts_within(*arguments, **more)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_limits(tmp_path: Path) -> None:
    made = document()
    pgtable, copy = made.records[:2]
    stores = copy.sum("stores", "total", ("map",))
    assert_counts_within(made, base=made)
    assert_counts_within(made, "instructions=0%", "map.stores=+0", base=made)
    assert_counts_within(copy, f"map.stores={stores}")
    assert fails(copy, f"map.stores={stores - 1}", "map.loads=99999").startswith(
        f"x86_64 copy made: map stores {stores}|"
    )
    # pgtable's counts are all 10000 below copy's.
    assert_counts_within(pgtable, "stores=0%", base=copy)
    old = pgtable.sum("stores", "total", ("map",))
    assert f"map stores {stores}|{old} (+" in fails(copy, "map.stores=+9999", base=pgtable)
    assert_counts_within(copy, "map.stores=+10000", base=pgtable)
    spanning = copy.sum("stores", "spanning", ("map",))
    assert_counts_within(copy, f"map.stores={spanning}", scope="spanning")
    assert f" spanning) {spanning}|" in fails(
        copy, f"map.stores={spanning - 1}", scope="spanning"
    ).replace("(", " ")
    # Without limits nothing may rise: every cell of arm did.
    arm = [replace(record, arch="arm") for record in made.records[:3]]
    lower = replace(made, records=(*made.records[:3], *arm))
    save(lower, tmp_path / "base.json")
    lines = fails(made, base=tmp_path / "base.json").split("\n")
    assert len(lines) == 3 * 3 * 3 and all(line.endswith(": rise") for line in lines)
    # One for some cells says nothing of the others.
    assert_counts_within(made, "x86_64/*:bytes=0%", base=str(tmp_path / "base.json"))
    assert "arm copy made: strategy bytes" in fails(made, "arm/copy:bytes=0%", base=lower)


def test_violations() -> None:
    broken = document(broken=True)
    line = fails(broken, "instructions=99999999")
    assert line.startswith("arm mine.c made: 25 violations, the first: fault: operation 7 ")
    # Also where the base has it, too.
    assert fails(broken, base=broken) == line
    assert fails(broken.records[-1], "arm/*:stores=99999999") == line
    # And a base without counts allows no limit above it.
    assert "a base without counts" in refuses(document(), "bytes=5%", base=broken)
    assert_counts_within(document(), "stores=99999999", base=broken)


def test_bad_use() -> None:
    made = document()
    record = made.records[0]
    assert "needs limits, or a base" in refuses(made)
    assert "no count 'cycles'" in refuses(made, "cycles=5%")
    assert "'riscv*/*:stores=1' is for none" in refuses(made, "riscv*/*:stores=1")
    assert "a base without counts" in refuses(made, "stores=5%")
    assert "no scope 'all'" in refuses(made, "stores=99999999", scope="all")
    assert "not a document" in refuses(record, "stores=5%", base=made)
    assert "not a record" in refuses(made, "stores=5%", base=record)
    other = replace(record, geometry="2012")
    assert "geometry: 2012 and chain-8" in refuses(record, "stores=5%", base=other)
    assert "cannot be read" in refuses(made, base="none.json")
