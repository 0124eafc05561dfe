/* SPDX-License-Identifier: GPL-2.0-only */
/* The layouts of lock words that there are; a target says which are its own. */
#ifndef ZS_LOCKTYPES_H
#define ZS_LOCKTYPES_H

#define ZK_QUEUED	0	/* qspinlock_types.h, qrwlock_types.h */
#define ZK_TICKET	1	/* the next ticket in the upper half */
#define ZK_ARM		2	/* arch/arm: readers counted, writer in bit 31 */

#endif
