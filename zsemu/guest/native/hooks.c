// SPDX-License-Identifier: GPL-2.0-only
/*
 * The callbacks that Unicorn calls while the guest runs. They are native code
 * because a Python call for each event would cost more than the emulation.
 * zsemu/guest/hooks.py compiles this file, fills in struct hooks and reads it.
 *
 * A CPU has one of two sets of callbacks:
 *   on_block            counts how often each translated block ran;
 *   on_code, on_memory  fill a row of counts for every operation, and one for
 *                       every instruction if that is wanted, and judge every
 *                       access.
 * In addition, leaf_read and leaf_write can serve the windows' page table as a
 * device, which keeps a valid entry as it was until its invalidate.
 *
 * All parts are one translation unit, so that the compiler can inline across
 * them. No header of Unicorn or Python is needed: the callbacks have the
 * prototypes of Unicorn's uc_cb_hookcode_t, uc_cb_hookmem_t, uc_cb_mmio_read_t
 * and uc_cb_mmio_write_t.
 */
#include "hooks.h"

#include "alternate.h"		/* two CPUs in turns */
#include "findings.c"		/* what is wrong */
#include "loads.c"		/* what it may load outside its slot */
#include "judge.c"		/* the rest of what it may do, and promises */
#include "tlb.c"		/* the windows' page table as a device */
#include "phases.c"		/* which phase of which operation runs */
#include "sequence.c"		/* every access, in order */
#include "translate.c"		/* blocks that are translated without hooks */
#include "count_blocks.c"	/* the histogram of blocks */
#include "count_events.c"	/* the rows of counts */
