/* SPDX-License-Identifier: GPL-2.0-only */
/* The access copies with code of its own: the same, but where only it executes. */
#define zs_copy		zs_access_copy
#define ZS_COPY_SECTION	.access
#ifndef ZS_COPY_SOURCE
#define ZS_COPY_SOURCE "copy.S"
#endif
#include ZS_COPY_SOURCE
