# SPDX-License-Identifier: GPL-2.0-only
"""Store the records that a sweep has computed, each in a file named after all it depends on.

A file is JSON::

    key         what the record depends on, by name: see identify()
    sha256      of the text of the document
    document    as in zsemu.results.document, with this one record

A file is written whole or not at all. A file whose sum does not match is ignored, so that its cell
is computed again.
"""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import capstone
import unicorn

import zsemu
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import image_digest
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import target
from zsemu.kernel.link import image_digest as kernel_image_digest
from zsemu.kernel.strategy import KernelStrategy
from zsemu.paths import replacing
from zsemu.results.document import SCHEMA, Document, Record, dumps, loads
from zsemu.runs.request import Request, provenance
from zsemu.sources import sources_digest

Key = dict[str, str]

_NAMED: Final = ("arch", "strategy", "compiler family", "optimisation", "geometry", "page size")
"""the parts of a key that are written out in the name of the file"""


def identify(request: Request, arch: str, name: str, trace_digest: str) -> Key:
    """Return everything that the record of a cell depends on, by name.

    ``trace_digest`` is the digest of the request's trace, which takes long to compute for a long
    trace. The key is the same on every machine on which the record would be the same. ZsemuError
    for a missing compiler.
    """
    alone = replace(request, archs=(arch,), strategies={name: request.strategies[name]})
    made_by = provenance(alone)
    return {
        "arch": arch,
        "strategy": name,
        "geometry": request.geometry,
        "page size": str(request.page_size),
        "compiler family": request.cc,
        "optimisation": request.optimisation,
        "caches": str(request.caches or ""),
        "version of the compiler": made_by.compilers[arch].version,
        "flags": " ".join(made_by.compilers[arch].flags),
        "image": image_of(
            request.strategies[name],
            arch,
            page_shift=request.page_shift,
            cc=request.cc,
            optimisation=request.optimisation,
        ),
        "target.toml": target(arch).digest,
        "trace": f"{request.trace.name} {trace_digest}",
        "version of zsemu": zsemu.__version__,
        "sources of zsemu": sources_digest(),
        "version of Unicorn": unicorn.__version__,
        "version of Capstone": capstone.__version__,
        "schema of results": str(SCHEMA),
    }


def image_of(
    strategy: Strategy, arch: str, *, page_shift: int, cc: str, optimisation: str = "O2"
) -> str:
    """Return the digest of the image of a strategy, or of a kernel's object."""
    if isinstance(strategy, KernelStrategy):
        return kernel_image_digest(strategy.object(arch), page_shift, lse=strategy.lse)
    return image_digest(
        target(arch), strategy, cc=cc, page_shift=page_shift, optimisation=optimisation
    )


def digest(key: Key) -> str:
    """Return the SHA-256 of a key, hexadecimal."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


class Store:
    """A directory of records, which is made if it does not exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ZsemuError(
                f"{directory}: no place for what is computed ({error.strerror});"
                " choose a directory that can be written to"
            ) from error

    def path(self, key: Key) -> Path:
        """Return the file of a cell, which need not exist."""
        words = "-".join(key[name].replace("/", "_") for name in _NAMED)
        return self._directory / f"{words}-{digest(key)[:24]}.json"

    def load(self, key: Key) -> Record | None:
        """Return the record of a cell; None if it is not stored, or its file is damaged."""
        path = self.path(key)
        try:
            data = json.loads(path.read_bytes())
            if data["key"] != key:
                return None
            document = loads(json.dumps(data["document"]), str(path))
            if data["sha256"] != _sum(document):
                return None
            (record,) = document.records
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError, ZsemuError):
            return None
        return record

    def save(self, key: Key, request: Request, record: Record) -> None:
        """Store the record of a cell; ``request`` is the one that it was computed for."""
        alone = {record.strategy: request.strategies[record.strategy]}
        made_by = provenance(replace(request, archs=(record.arch,), strategies=alone))
        document = Document(made_by, (record,))
        content = {"key": key, "sha256": _sum(document), "document": asdict(document)}
        with replacing(self.path(key)) as stream:
            stream.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")


def _sum(document: Document) -> str:
    return hashlib.sha256(dumps(document).encode()).hexdigest()
