# SPDX-License-Identifier: GPL-2.0-only
"""Symbol tables, against pyelftools' own reading of them."""

import pytest
from elftools.elf.constants import SHN_INDICES
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_ST_INFO_BIND, ENUM_ST_INFO_TYPE, ENUM_ST_SHNDX
from samples import image

from zsemu.guest import elf_symbols
from zsemu.guest.elf_symbols import ElfSymbol
from zsemu.guest.targets import names, target


@pytest.mark.parametrize("arch", names())
def test_as_pyelftools_reads_them(arch: str) -> None:
    with image(target(arch), "copy").path.open("rb") as stream:
        elf = ELFFile(stream)
        found = elf_symbols.read(elf)
        expected = [
            ElfSymbol(
                symbol.name,
                symbol["st_value"],
                symbol["st_size"],
                ENUM_ST_INFO_TYPE[symbol["st_info"]["type"]],
                ENUM_ST_INFO_BIND[symbol["st_info"]["bind"]],
                ENUM_ST_SHNDX.get(symbol["st_shndx"], symbol["st_shndx"]),
            )
            for symbol in elf.get_section_by_name(".symtab").iter_symbols()
        ]
    assert found == expected
    assert {symbol.type for symbol in found} >= {elf_symbols.OBJECT, elf_symbols.FUNCTION}
    (map_object,) = (symbol for symbol in found if symbol.name == "zs_map_object")
    assert map_object.in_section
    assert not found[0].in_section
    assert elf_symbols.UNDEFINED == SHN_INDICES.SHN_UNDEF
