/* vec_silero: the few vector operations that body_silero.h is written in, for one CPU level.
 * VEC_TILE is how many vectors of outputs a tile of 4 rows holds, so that the sums, the inputs
 * and the weights fit the level's registers. */
#ifndef VC_VEC_SILERO_H
#define VC_VEC_SILERO_H

#if defined(VC_SILERO_AVX512)
#include <immintrin.h>
typedef __m512 vec;
enum { VEC_LANES = 16, VEC_TILE = 4 };
#define vec_load(p)      _mm512_loadu_ps(p)
#define vec_store(p, a)  _mm512_storeu_ps(p, a)
#define vec_set(s)       _mm512_set1_ps(s)
#define vec_add(a, b)    _mm512_add_ps(a, b)
#define vec_sub(a, b)    _mm512_sub_ps(a, b)
#define vec_mul(a, b)    _mm512_mul_ps(a, b)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_sqrt(a)      _mm512_sqrt_ps(a)
#define vec_relu(a)      _mm512_max_ps(a, _mm512_setzero_ps())
#define one_fma(a, b, c) __builtin_fmaf(a, b, c)

#elif defined(VC_SILERO_AVX2)
#include <immintrin.h>
typedef __m256 vec;
enum { VEC_LANES = 8, VEC_TILE = 2 };
#define vec_load(p)      _mm256_loadu_ps(p)
#define vec_store(p, a)  _mm256_storeu_ps(p, a)
#define vec_set(s)       _mm256_set1_ps(s)
#define vec_add(a, b)    _mm256_add_ps(a, b)
#define vec_sub(a, b)    _mm256_sub_ps(a, b)
#define vec_mul(a, b)    _mm256_mul_ps(a, b)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_sqrt(a)      _mm256_sqrt_ps(a)
#define vec_relu(a)      _mm256_max_ps(a, _mm256_setzero_ps())
#define one_fma(a, b, c) __builtin_fmaf(a, b, c)

#elif defined(VC_SILERO_NEON)
#include <arm_neon.h>
typedef float32x4_t vec;
enum { VEC_LANES = 4, VEC_TILE = 4 };
#define vec_load(p)      vld1q_f32(p)
#define vec_store(p, a)  vst1q_f32(p, a)
#define vec_set(s)       vdupq_n_f32(s)
#define vec_add(a, b)    vaddq_f32(a, b)
#define vec_sub(a, b)    vsubq_f32(a, b)
#define vec_mul(a, b)    vmulq_f32(a, b)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_sqrt(a)      vsqrtq_f32(a)
#define vec_relu(a)      vmaxq_f32(a, vdupq_n_f32(0.0f))
#define one_fma(a, b, c) __builtin_fmaf(a, b, c)

#else /* plain: the compiler's portable vectors, 4 wide; products and sums are rounded apart */
#include <string.h>
typedef float vec __attribute__((vector_size(16)));
typedef int32_t vec_bits __attribute__((vector_size(16)));
enum { VEC_LANES = 4, VEC_TILE = 2 };

static inline vec vec_load(const float *p)
{
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}

static inline void vec_store(float *p, vec a)
{
    memcpy(p, &a, sizeof a);
}

static inline vec vec_set(float s)
{
    return (vec){s, s, s, s};
}

static inline vec vec_sqrt(vec a)
{
    return (vec){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]),
                 __builtin_sqrtf(a[3])};
}

static inline vec vec_relu(vec a)
{
    return (vec)((vec_bits)a & (vec_bits)(a > vec_set(0.0f)));
}

#define vec_add(a, b)    ((a) + (b))
#define vec_sub(a, b)    ((a) - (b))
#define vec_mul(a, b)    ((a) * (b))
#define vec_fma(a, b, c) ((a) * (b) + (c))
#define one_fma(a, b, c) ((a) * (b) + (c))
#endif

#endif
