# SPDX-License-Identifier: GPL-2.0-only
"""Show what each instruction of a strategy did, beside its source, for one strategy or for two.

profile.py replays and counts by instruction, listing.py joins that with the disassembly and the
source, alignment.py pairs two listings, and the modules named *_text.py write them. loops.py finds
the inner loops of a listing, about which llvm_mca.py asks llvm-mca. They may import results,
replay, guest and what is below these.
"""
