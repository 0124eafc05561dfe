/* SPDX-License-Identifier: GPL-2.0-only */
/* The phases of an operation. */
#ifndef ZSEMU_PHASES_H
#define ZSEMU_PHASES_H

/* As zsemu/counts.py has them. DRIVER: no phase, the driver itself runs. */
enum phase { SETTLE, MAP, ACCESS, UNMAP, PHASES, DRIVER = PHASES };

#endif
