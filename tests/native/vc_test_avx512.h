/* vc_test_avx512: the AVX-512 intrinsics that the kernels use, in vectors of the compiler, so that
 * a machine without AVX-512 can run that level: tools/native_tests.py --emulate avx512 puts this
 * header before each file of csrc/kernels/avx512. Every lane is computed as the instruction does
 * it, so results are those of the instructions bit for bit, except the order inside reduce_add. */
#ifndef VC_TEST_AVX512_H
#define VC_TEST_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define __AVX512F__ 1

typedef float vc_m512 __attribute__((vector_size(64)));
typedef uint32_t vc_m512i __attribute__((vector_size(64)));

static inline vc_m512 vc_m512_fill(float a)
{
    return (vc_m512){a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a};
}

static inline vc_m512 vc_m512_load(const float *p)
{
    vc_m512 r;
    memcpy(&r, p, sizeof r);
    return r;
}

static inline void vc_m512_store(float *p, vc_m512 a)
{
    memcpy(p, &a, sizeof a);
}

static inline vc_m512 vc_m512_fmadd(vc_m512 a, vc_m512 b, vc_m512 c)
{
    for (int i = 0; i < 16; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}

/* As the instruction: the second one unless the first is larger. */
static inline vc_m512 vc_m512_max(vc_m512 a, vc_m512 b)
{
    for (int i = 0; i < 16; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}

static inline vc_m512 vc_m512_sqrt(vc_m512 a)
{
    for (int i = 0; i < 16; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
}

static inline vc_m512 vc_m512_broadcast4(__m128 a)
{
    float four[4];
    vc_m512 r;
    memcpy(four, &a, sizeof four);
    for (int i = 0; i < 16; i++) r[i] = four[i % 4];
    return r;
}

/* In each quarter: two elements of a, then two of b, chosen by index; or a and b by turns. */
static inline vc_m512 vc_m512_shuffle(vc_m512 a, vc_m512 b, int index)
{
    vc_m512 r;
    for (int i = 0; i < 16; i++) {
        int from = i / 4 * 4 + (index >> 2 * (i % 4) & 3);
        r[i] = i % 4 < 2 ? a[from] : b[from];
    }
    return r;
}

static inline vc_m512 vc_m512_unpack(vc_m512 a, vc_m512 b, int first)
{
    vc_m512 r;
    for (int i = 0; i < 16; i++) {
        int from = i / 4 * 4 + first + i % 4 / 2;
        r[i] = i % 2 ? b[from] : a[from];
    }
    return r;
}

static inline vc_m512i vc_m512i_from_u16(__m256i a)
{
    uint16_t halves[16];
    vc_m512i r;
    memcpy(halves, &a, sizeof halves);
    for (int i = 0; i < 16; i++) r[i] = halves[i];
    return r;
}

static inline vc_m512 vc_m512_from_bits(vc_m512i a)
{
    vc_m512 r;
    memcpy(&r, &a, sizeof r);
    return r;
}

static inline float vc_m512_sum(vc_m512 a)
{
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) a[i] += a[i + half];
    return a[0];
}

#undef _mm512_shuffle_ps
#undef _mm512_slli_epi32
#define __m512                     vc_m512
#define _mm512_setzero_ps()        vc_m512_fill(0.0f)
#define _mm512_set1_ps(a)          vc_m512_fill(a)
#define _mm512_loadu_ps(p)         vc_m512_load(p)
#define _mm512_storeu_ps(p, a)     vc_m512_store(p, a)
#define _mm512_add_ps(a, b)        ((a) + (b))
#define _mm512_sub_ps(a, b)        ((a) - (b))
#define _mm512_mul_ps(a, b)        ((a) * (b))
#define _mm512_fmadd_ps(a, b, c)   vc_m512_fmadd(a, b, c)
#define _mm512_fnmadd_ps(a, b, c)  vc_m512_fmadd(-(a), b, c)
#define _mm512_max_ps(a, b)        vc_m512_max(a, b)
#define _mm512_sqrt_ps(a)          vc_m512_sqrt(a)
#define _mm512_broadcast_f32x4(a)  vc_m512_broadcast4(a)
#define _mm512_shuffle_ps(a, b, i) vc_m512_shuffle(a, b, i)
#define _mm512_unpacklo_ps(a, b)   vc_m512_unpack(a, b, 0)
#define _mm512_unpackhi_ps(a, b)   vc_m512_unpack(a, b, 2)
#define _mm512_reduce_add_ps(a)    vc_m512_sum(a)
#define _mm512_cvtepu16_epi32(a)   vc_m512i_from_u16(a)
#define _mm512_slli_epi32(a, n)    ((a) << (n))
#define _mm512_castsi512_ps(a)     vc_m512_from_bits(a)

#endif
