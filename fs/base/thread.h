/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a thread asks of the scheduler.  Where the kernel does not offer it (before Linux 6.12) or forbids it, nothing changes:
 * it makes answers prompt, and nothing depends on it.
 */
#ifndef FS_BASE_THREAD_H
#define FS_BASE_THREAD_H

/* Short slices for this thread, and for those it starts from now on: it runs soon after it was woken, also beside threads that
 * compute.  For who answers somebody that waits. */
void thread_prompt(void);
/* The usual slices and a lower priority: for who works while nobody waits for it. */
void thread_background(void);

#endif
