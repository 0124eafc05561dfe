/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A user's access to a payload: all of it, once. Who includes it says by what
 * names, in which section, and with which copy primitive: ZS_OUT, ZS_IN,
 * ZS_USER_COPY and ZS_USER_SECTION.
 */
#define __access	__attribute__((section(ZS_USER_SECTION), noinline))

/* Nothing is left to do where the caller's own buffer was handed out. */
__access void ZS_OUT(const struct zs_span *span, u32 spans, char *caller)
{
	u32 i;

	for (i = 0; i < spans; i++) {
		if (span[i].addr != caller)
			ZS_USER_COPY(caller, span[i].addr, span[i].length);
		caller += span[i].length;
	}
}

__access void ZS_IN(const struct zs_span *span, u32 spans, char *caller)
{
	u32 i;

	for (i = 0; i < spans; i++) {
		if (span[i].addr != caller)
			ZS_USER_COPY(span[i].addr, caller, span[i].length);
		caller += span[i].length;
	}
}
