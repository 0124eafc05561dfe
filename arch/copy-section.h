/* SPDX-License-Identifier: GPL-2.0-only */
/* Where zs_copy() goes; the access has one of its own, elsewhere (access.S). */
#ifndef ZS_COPY_SECTION
#define ZS_COPY_SECTION	.text
#endif
