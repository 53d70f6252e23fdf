/* vc_base: what every unit shares: status codes, signal scales, allocation hooks, markers.
 *
 * Ownership: handles are opaque and made by vc_<unit>_create, freed by vc_<unit>_destroy
 * (NULL is allowed). Callers own every audio and packet buffer.
 * Threading: a handle serves one thread at a time; different handles are independent.
 * Time is a signed 64-bit sample index at a stated rate, or CLOCK_MONOTONIC nanoseconds
 * handed in by the caller; no unit reads a clock.
 */
#ifndef VC_BASE_H
#define VC_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Signal scales.
 *   s16   int16_t   -32768 .. 32767        at every edge of a unit
 *   f32   float     -1.0 .. 1.0 nominal    inside; s16 = saturate(round_half_even(f32 * 32768))
 *   prob  float     0.0 .. 1.0             speech probability
 */
#define VC_SCALE_S16 32768.0f

#define VC_NS_PER_MS 1000000LL
#define VC_NS_PER_S  1000000000LL
#define VC_TICK_MS   20
#define VC_TICK_NS   (VC_TICK_MS * VC_NS_PER_MS)

#if defined(__GNUC__) || defined(__clang__)
#define VC_CHECKED __attribute__((warn_unused_result))
#else
#define VC_CHECKED
#endif

/* Callable from the media thread: no allocation, lock, system call, log or unbounded loop. */
#if defined(__clang__) && defined(__has_attribute)
#if __has_attribute(nonblocking)
#define VC_RT __attribute__((nonblocking))
#endif
#endif
#ifndef VC_RT
#define VC_RT
#endif

/* 0 is success, negative an error, positive an expected outcome that is not an error. */
typedef enum vc_status {
    VC_OK = 0,
    VC_NEED_MORE = 1,   /* nothing can be produced until more input comes */
    VC_CONCEALED = 2,   /* output was made up for a lost packet */
    VC_LATE = 3,        /* the packet came after its place was played */
    VC_DUPLICATE = 4,   /* the packet is held or was played already */
    VC_FULL = 5,        /* no room: nothing, or less than asked, was taken */
    VC_IGNORED = 6,     /* valid input that this unit has no use for */
    VC_E_NULL = -1,     /* a required pointer is NULL */
    VC_E_RANGE = -2,    /* an argument is outside its legal range */
    VC_E_RATE = -3,     /* a sample rate that is not supported */
    VC_E_LENGTH = -4,   /* a buffer has the wrong length or too little room */
    VC_E_MEMORY = -5,   /* an allocation failed */
    VC_E_CPU = -6,      /* the CPU level asked for does not exist on this machine */
    VC_E_PACKET = -7,   /* a packet is truncated or malformed */
    VC_E_DATA = -8,     /* model or table data is damaged or of another version */
    VC_E_SYSTEM = -9,   /* a system call failed; errno tells why */
    VC_E_STATE = -10,   /* the call is not allowed in the present state */
    VC_E_MISSING = -11, /* a library that is loaded at run time is not installed */
} vc_status;

/* In two steps: a week of samples times 10^9 does not fit in 64 bits. */
static inline int64_t vc_samples_to_ns(int64_t samples, int rate_hz)
{
    return samples / rate_hz * VC_NS_PER_S + samples % rate_hz * VC_NS_PER_S / rate_hz;
}

/* A short English phrase for a status; never NULL. */
const char *vc_status_str(vc_status status);

/* Where handles take their memory; NULL anywhere means malloc and free. An allocator must outlive
 * the handles that were made with it. */
typedef struct vc_allocator {
    void *(*alloc)(void *context, size_t bytes);
    void (*release)(void *context, void *memory);
    void *context;
} vc_allocator;

/* Zeroed, 64-byte aligned memory, or NULL. Release it with vc_release and the same allocator. */
void *vc_allocate(const vc_allocator *allocator, size_t bytes);
void vc_release(const vc_allocator *allocator, void *memory);

#endif
