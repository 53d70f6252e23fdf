/* vc_g722_lanes: eight 16-bit integers at once (internal). SSE2 and NEON are the baseline of x86-64
 * and aarch64, so there is no choice of level; other machines (or VC_PLAIN_LANES) take the plain C,
 * which says what each does. Compilers make no saturating sums or these products of plain C. */
#ifndef VC_G722_LANES_H
#define VC_G722_LANES_H

#include <stdint.h>

#if defined(__SSE2__) && !defined(VC_PLAIN_LANES)

#include <emmintrin.h>

typedef __m128i lanes;
#define lanes_load(p)            _mm_loadu_si128((const __m128i *)(p))
#define lanes_store(p, v)        _mm_storeu_si128((__m128i *)(p), (v))
#define lanes_fill(x)            _mm_set1_epi16((int16_t)(x))
#define lanes_add(a, b)          _mm_add_epi16((a), (b))
#define lanes_sub(a, b)          _mm_sub_epi16((a), (b))
#define lanes_xor(a, b)          _mm_xor_si128((a), (b))
#define lanes_shift_down(v, n)   _mm_srai_epi16((v), (n))
#define lanes_add_saturate(a, b) _mm_adds_epi16((a), (b))
#define lanes_from(v, i)         _mm_srli_si128((v), 2 * (i))
#define lanes_first(v)           ((int16_t)_mm_cvtsi128_si32(v))
#define lanes_put_first(v, x)    _mm_insert_epi16(_mm_slli_si128((v), 2), (x), 0)

static inline lanes lanes_product(lanes a, lanes b)
{
    return _mm_or_si128(_mm_slli_epi16(_mm_mulhi_epi16(a, b), 1),
                        _mm_srli_epi16(_mm_mullo_epi16(a, b), 15));
}

#elif defined(__aarch64__) && !defined(VC_PLAIN_LANES)

#include <arm_neon.h>

typedef int16x8_t lanes;
#define lanes_load(p)            vld1q_s16(p)
#define lanes_store(p, v)        vst1q_s16((p), (v))
#define lanes_fill(x)            vdupq_n_s16((int16_t)(x))
#define lanes_add(a, b)          vaddq_s16((a), (b))
#define lanes_sub(a, b)          vsubq_s16((a), (b))
#define lanes_xor(a, b)          veorq_s16((a), (b))
#define lanes_shift_down(v, n)   vshrq_n_s16((v), (n))
#define lanes_add_saturate(a, b) vqaddq_s16((a), (b))
#define lanes_from(v, i)         vextq_s16((v), vdupq_n_s16(0), (i))
#define lanes_first(v)           vgetq_lane_s16((v), 0)
#define lanes_put_first(v, x)    vextq_s16(vdupq_n_s16((int16_t)(x)), (v), 7)
#define lanes_product(a, b)      vqdmulhq_s16((a), (b))

#else

typedef struct lanes {
    int16_t at[8];
} lanes;

#define LANES_OF(name, parameters, value)                                                          \
    static inline lanes name parameters                                                            \
    {                                                                                              \
        lanes made;                                                                                \
        for (int i = 0; i < 8; i++) made.at[i] = (int16_t)(value);                                 \
        return made;                                                                               \
    }

static inline int32_t lanes_saturate(int32_t x)
{
    return x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x;
}

LANES_OF(lanes_load, (const int16_t *p), p[i])
LANES_OF(lanes_fill, (int32_t x), x)
LANES_OF(lanes_add, (lanes a, lanes b), a.at[i] + b.at[i])
LANES_OF(lanes_sub, (lanes a, lanes b), a.at[i] - b.at[i])
LANES_OF(lanes_xor, (lanes a, lanes b), a.at[i] ^ b.at[i])
LANES_OF(lanes_shift_down, (lanes v, int n), v.at[i] >> n)
LANES_OF(lanes_add_saturate, (lanes a, lanes b), lanes_saturate(a.at[i] + b.at[i]))
/* Lanes i to 7, at the front. */
LANES_OF(lanes_from, (lanes v, int from), i + from < 8 ? v.at[i + from] : 0)
/* All move back by one; the last is gone. */
LANES_OF(lanes_put_first, (lanes v, int32_t x), i ? v.at[i - 1] : x)
/* Of numbers with 15 bits after the point; the remainder is cut off. */
LANES_OF(lanes_product, (lanes a, lanes b), (int32_t)a.at[i] * b.at[i] >> 15)

static inline int16_t lanes_first(lanes v)
{
    return v.at[0];
}

static inline void lanes_store(int16_t *p, lanes v)
{
    for (int i = 0; i < 8; i++) p[i] = v.at[i];
}

#endif

#endif
