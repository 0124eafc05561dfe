/* SPDX-License-Identifier: GPL-2.0-only */
/* And once more, for what the user accesses where nothing is hooked. */
#define zs_copy		zs_copy_by_span
#define ZS_COPY_SECTION	.access.by_span
#ifndef ZS_COPY_SOURCE
#define ZS_COPY_SOURCE "copy.S"
#endif
#include ZS_COPY_SOURCE
