/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things every file needs: compiler attributes, arithmetic on sizes, and loads and stores of
 * fixed endianness at any alignment. No state, any thread.
 */
#ifndef CORE_UTIL_H
#define CORE_UTIL_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#ifdef NDEBUG
#error "asserts stay on: build without NDEBUG (meson: -Db_ndebug=false)"
#endif

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define CLEANUP(fn)             __attribute__((cleanup(fn)))

#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)             ((a) < (b) ? (a) : (b))
#define MAX(a, b)             ((a) > (b) ? (a) : (b))
#define container_of(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))

#define KiB (1ull << 10)
#define MiB (1ull << 20)
#define GiB (1ull << 30)
#define TiB (1ull << 40)

/* `align` is a power of two. The caller makes sure that rounding up does not wrap. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return align_down(v + align - 1, align);
}

static inline bool is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* The smallest power of two that is at least `v`; v in 1..2^63. */
static inline uint64_t pow2_ceil(uint64_t v)
{
	return v <= 1 ? 1 : 1ull << (64 - __builtin_clzll(v - 1));
}

/* All ones in the low `len` bytes, len in 1..8: what an absent register reads as. */
static inline uint64_t ones(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (1ull << (8 * len)) - 1;
}

/* True if [off, off + len) lies inside [0, size), without an addition that could wrap. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* True if [a, a + alen) and [b, b + blen) share a byte. Neither range wraps. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && (a <= b ? b - a < alen : a - b < blen);
}

/* Little-endian load and store of 1..8 bytes at any alignment. */
static inline uint64_t load_le(const void *p, unsigned len)
{
	uint64_t v = 0;

	/* What most registers have, without a call. */
	if (len == 4)
		memcpy(&v, p, 4);
	else
		memcpy(&v, p, len);
	return le64toh(v);
}

static inline void store_le(void *p, unsigned len, uint64_t v)
{
	v = htole64(v);
	if (len == 4)
		memcpy(p, &v, 4);
	else
		memcpy(p, &v, len);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Closes `*fd` if open and marks it closed: for fds that live in structures. */
static inline void close_fd(int *fd)
{
	closep(fd);
	*fd = -1;
}

#endif
