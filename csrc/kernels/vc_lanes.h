/* vc_lanes: one vector of floats of the width of the CPU level that is compiled. Only for kernel
 * bodies: the same body gives 4 lanes (C, NEON), 8 (AVX2) or 16 (AVX-512).
 * bf16 is the upper half of a float: 8 bits of precision, the range of a float. Stores round to the
 * nearest, halves up.
 * vc_lanes_madd (to + a b) and vc_lanes_nmadd (from - a b) are fused where the level has FMA,
 * multiply and add where it has not. */
#ifndef VC_LANES_H
#define VC_LANES_H

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#else
#include <stdint.h>
#include <string.h>
#endif

/* The vector stays in its register: a load that is used twice is not done twice. */
#if defined(__x86_64__) && !defined(VC_CPU_EMULATED)
#define vc_lanes_keep(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define vc_lanes_keep(v) __asm__("" : "+w"(v))
#else
#define vc_lanes_keep(v) ((void)(v))
#endif

#if defined(__AVX512F__)

#define VC_LANES 16
typedef __m512 vc_lanes;
#define vc_lanes_zero()      _mm512_setzero_ps()
#define vc_lanes_fill(value) _mm512_set1_ps(value)
#define vc_lanes_load(p)     _mm512_loadu_ps(p)
#define vc_lanes_store(p, v) _mm512_storeu_ps((p), (v))
#define vc_lanes_load_bf16(p)                                                                      \
    _mm512_castsi512_ps(                                                                           \
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))), 16))
#define vc_lanes_store_bf16(p, v)                                                                  \
    _mm256_storeu_si256(                                                                           \
        (__m256i *)(p),                                                                            \
        _mm512_cvtepi32_epi16(_mm512_srli_epi32(                                                   \
            _mm512_add_epi32(_mm512_castps_si512(v), _mm512_set1_epi32(0x8000)), 16)))
#define vc_lanes_load_s8(p)                                                                        \
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define vc_lanes_add(a, b)         _mm512_add_ps((a), (b))
#define vc_lanes_sub(a, b)         _mm512_sub_ps((a), (b))
#define vc_lanes_mul(a, b)         _mm512_mul_ps((a), (b))
#define vc_lanes_madd(a, b, to)    _mm512_fmadd_ps((a), (b), (to))
#define vc_lanes_nmadd(a, b, from) _mm512_fnmadd_ps((a), (b), (from))
#define vc_lanes_sum(v)            _mm512_reduce_add_ps(v)

#elif defined(__AVX2__)

#define VC_LANES             8
typedef __m256 vc_lanes;
#define vc_lanes_zero()      _mm256_setzero_ps()
#define vc_lanes_fill(value) _mm256_set1_ps(value)
#define vc_lanes_load(p)     _mm256_loadu_ps(p)
#define vc_lanes_store(p, v) _mm256_storeu_ps((p), (v))
#define vc_lanes_load_bf16(p)                                                                      \
    _mm256_castsi256_ps(                                                                           \
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), 16))
#define vc_lanes_load_s8(p)                                                                        \
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define vc_lanes_add(a, b)         _mm256_add_ps((a), (b))
#define vc_lanes_sub(a, b)         _mm256_sub_ps((a), (b))
#define vc_lanes_mul(a, b)         _mm256_mul_ps((a), (b))
#define vc_lanes_madd(a, b, to)    _mm256_fmadd_ps((a), (b), (to))
#define vc_lanes_nmadd(a, b, from) _mm256_fnmadd_ps((a), (b), (from))

static inline void vc_lanes_store_bf16(uint16_t *p, vc_lanes v)
{
    const __m256i half = _mm256_set1_epi32(0x8000);
    __m256i bits = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(v), half), 16);
    bits = _mm256_permute4x64_epi64(_mm256_packus_epi32(bits, bits), 0x08);
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(bits));
}

static inline float vc_lanes_sum(vc_lanes v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

#elif defined(__aarch64__)

#define VC_LANES                   4
typedef float32x4_t vc_lanes;
#define vc_lanes_zero()            vdupq_n_f32(0.0f)
#define vc_lanes_fill(value)       vdupq_n_f32(value)
#define vc_lanes_load(p)           vld1q_f32(p)
#define vc_lanes_store(p, v)       vst1q_f32((p), (v))
#define vc_lanes_load_bf16(p)      vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))
#define vc_lanes_store_bf16(p, v)  vst1_u16((p), vrshrn_n_u32(vreinterpretq_u32_f32(v), 16))
#define vc_lanes_add(a, b)         vaddq_f32((a), (b))
#define vc_lanes_sub(a, b)         vsubq_f32((a), (b))
#define vc_lanes_mul(a, b)         vmulq_f32((a), (b))
#define vc_lanes_madd(a, b, to)    vfmaq_f32((to), (a), (b))
#define vc_lanes_nmadd(a, b, from) vfmsq_f32((from), (a), (b))
#define vc_lanes_sum(v)            vaddvq_f32(v)

static inline vc_lanes vc_lanes_load_s8(const int8_t *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four))))));
}

#else

#define VC_LANES                   4
typedef float vc_lanes __attribute__((vector_size(16)));
#define vc_lanes_zero()            ((vc_lanes){0.0f, 0.0f, 0.0f, 0.0f})
#define vc_lanes_add(a, b)         ((a) + (b))
#define vc_lanes_sub(a, b)         ((a) - (b))
#define vc_lanes_mul(a, b)         ((a) * (b))
#define vc_lanes_madd(a, b, to)    ((to) + (a) * (b))
#define vc_lanes_nmadd(a, b, from) ((from) - (a) * (b))
#define vc_lanes_sum(v)            (((v)[0] + (v)[2]) + ((v)[1] + (v)[3]))

static inline vc_lanes vc_lanes_fill(float value)
{
    return (vc_lanes){value, value, value, value};
}

static inline vc_lanes vc_lanes_load(const float *p)
{
    vc_lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vc_lanes_store(float *p, vc_lanes v)
{
    memcpy(p, &v, sizeof v);
}

static inline vc_lanes vc_lanes_load_s8(const int8_t *p)
{
    return (vc_lanes){(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
}

static inline void vc_lanes_store_bf16(uint16_t *p, vc_lanes v)
{
    uint32_t bits[4];
    memcpy(bits, &v, sizeof bits);
    for (int i = 0; i < 4; i++) p[i] = (uint16_t)((bits[i] + 0x8000u) >> 16);
}

static inline vc_lanes vc_lanes_load_bf16(const uint16_t *p)
{
    typedef uint32_t bits __attribute__((vector_size(16)));
    bits b = {(uint32_t)p[0] << 16, (uint32_t)p[1] << 16, (uint32_t)p[2] << 16,
              (uint32_t)p[3] << 16};
    vc_lanes v;
    memcpy(&v, &b, sizeof v);
    return v;
}

#endif

#endif
