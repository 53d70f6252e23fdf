/* vc_bytes: one vector of bytes, and two of 16-bit halves, of the width of the CPU level that is
 * compiled. Only for kernel bodies: the same body takes 16 bytes (NEON), 32 (AVX2) or 64 (AVX-512)
 * at a time. VC_BYTES is not defined at the level C: the baseline of x86-64 cannot look bytes up.
 *
 * Two vectors of halves, low and high, go with one of bytes. An AVX register is two or four of 16
 * bytes side by side, and packing or widening stays inside each of them. So bytes that are packed
 * need vc_bytes_in_order before they are stored, and bytes that are loaded need vc_bytes_by_halves
 * before they are widened. */
#ifndef VC_BYTES_H
#define VC_BYTES_H

#include <stdint.h>

#if defined(__AVX512BW__)

#include <immintrin.h>

#define VC_BYTES 64
typedef __m512i vc_bytes;
typedef __m512i vc_halves;
#define vc_bytes_load(p)            _mm512_loadu_si512(p)
#define vc_bytes_store(p, v)        _mm512_storeu_si512((p), (v))
#define vc_bytes_fill(x)            _mm512_set1_epi8((char)(x))
#define vc_bytes_table(p)           _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(p)))
#define vc_bytes_look_up(table, at) _mm512_shuffle_epi8((table), (at))
#define vc_bytes_and(a, b)          _mm512_and_si512((a), (b))
#define vc_bytes_xor(a, b)          _mm512_xor_si512((a), (b))
#define vc_bytes_add(a, b)          _mm512_add_epi8((a), (b))
#define vc_bytes_sub(a, b)          _mm512_sub_epi8((a), (b))
#define vc_bytes_min_u8(a, b)       _mm512_min_epu8((a), (b))
#define vc_bytes_max_s8(a, b)       _mm512_max_epi8((a), (b))
#define vc_bytes_upper_nibbles(v)   vc_bytes_and(_mm512_srli_epi16((v), 4), vc_bytes_fill(15))
#define vc_bytes_by_halves(v)                                                                      \
    _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), (v))
#define vc_bytes_in_order(v)                                                                       \
    _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), (v))
#define vc_halves_load(p)          vc_bytes_load(p)
#define vc_halves_store(p, v)      vc_bytes_store((p), (v))
#define vc_halves_fill(x)          _mm512_set1_epi16(x)
#define vc_halves_xor(a, b)        _mm512_xor_si512((a), (b))
#define vc_halves_add(a, b)        _mm512_add_epi16((a), (b))
#define vc_halves_min(a, b)        _mm512_min_epi16((a), (b))
#define vc_halves_abs(v)           _mm512_abs_epi16(v)
#define vc_halves_shift_down(v, n) _mm512_srai_epi16((v), (n))
/* The upper 16 bits of the products of u16 halves and bytes times 256. */
#define vc_halves_times_low(v, by)                                                                 \
    _mm512_mulhi_epu16((v), _mm512_unpacklo_epi8(_mm512_setzero_si512(), (by)))
#define vc_halves_times_high(v, by)                                                                \
    _mm512_mulhi_epu16((v), _mm512_unpackhi_epi8(_mm512_setzero_si512(), (by)))
#define vc_halves_pack_u8(low, high) _mm512_packus_epi16((low), (high))
#define vc_halves_pack_s8(low, high) _mm512_packs_epi16((low), (high))
/* a b + c d: a and c are u8, b and d are s8. */
#define vc_bytes_dot_low(a, b, c, d)                                                               \
    _mm512_maddubs_epi16(_mm512_unpacklo_epi8((a), (c)), _mm512_unpacklo_epi8((b), (d)))
#define vc_bytes_dot_high(a, b, c, d)                                                              \
    _mm512_maddubs_epi16(_mm512_unpackhi_epi8((a), (c)), _mm512_unpackhi_epi8((b), (d)))

#elif defined(__AVX2__)

#include <immintrin.h>

#define VC_BYTES                    32
typedef __m256i vc_bytes;
typedef __m256i vc_halves;
#define vc_bytes_load(p)            _mm256_loadu_si256((const __m256i *)(p))
#define vc_bytes_store(p, v)        _mm256_storeu_si256((__m256i *)(p), (v))
#define vc_bytes_fill(x)            _mm256_set1_epi8((char)(x))
#define vc_bytes_table(p)           _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(p)))
#define vc_bytes_look_up(table, at) _mm256_shuffle_epi8((table), (at))
#define vc_bytes_and(a, b)          _mm256_and_si256((a), (b))
#define vc_bytes_xor(a, b)          _mm256_xor_si256((a), (b))
#define vc_bytes_add(a, b)          _mm256_add_epi8((a), (b))
#define vc_bytes_sub(a, b)          _mm256_sub_epi8((a), (b))
#define vc_bytes_min_u8(a, b)       _mm256_min_epu8((a), (b))
#define vc_bytes_max_s8(a, b)       _mm256_max_epi8((a), (b))
#define vc_bytes_upper_nibbles(v)   vc_bytes_and(_mm256_srli_epi16((v), 4), vc_bytes_fill(15))
#define vc_bytes_by_halves(v)       _mm256_permute4x64_epi64((v), 0xd8)
#define vc_bytes_in_order(v)        _mm256_permute4x64_epi64((v), 0xd8)
#define vc_halves_load(p)           vc_bytes_load(p)
#define vc_halves_store(p, v)       vc_bytes_store((p), (v))
#define vc_halves_fill(x)           _mm256_set1_epi16(x)
#define vc_halves_xor(a, b)         _mm256_xor_si256((a), (b))
#define vc_halves_add(a, b)         _mm256_add_epi16((a), (b))
#define vc_halves_min(a, b)         _mm256_min_epi16((a), (b))
#define vc_halves_abs(v)            _mm256_abs_epi16(v)
#define vc_halves_shift_down(v, n)  _mm256_srai_epi16((v), (n))
/* The upper 16 bits of the products of u16 halves and bytes times 256. */
#define vc_halves_times_low(v, by)                                                                 \
    _mm256_mulhi_epu16((v), _mm256_unpacklo_epi8(_mm256_setzero_si256(), (by)))
#define vc_halves_times_high(v, by)                                                                \
    _mm256_mulhi_epu16((v), _mm256_unpackhi_epi8(_mm256_setzero_si256(), (by)))
#define vc_halves_pack_u8(low, high) _mm256_packus_epi16((low), (high))
#define vc_halves_pack_s8(low, high) _mm256_packs_epi16((low), (high))
/* a b + c d: a and c are u8, b and d are s8. */
#define vc_bytes_dot_low(a, b, c, d)                                                               \
    _mm256_maddubs_epi16(_mm256_unpacklo_epi8((a), (c)), _mm256_unpacklo_epi8((b), (d)))
#define vc_bytes_dot_high(a, b, c, d)                                                              \
    _mm256_maddubs_epi16(_mm256_unpackhi_epi8((a), (c)), _mm256_unpackhi_epi8((b), (d)))

#elif defined(__aarch64__)

#include <arm_neon.h>

#define VC_BYTES                    16
typedef uint8x16_t vc_bytes;
typedef int16x8_t vc_halves;
#define vc_bytes_load(p)            vld1q_u8(p)
#define vc_bytes_store(p, v)        vst1q_u8((p), (v))
#define vc_bytes_fill(x)            vdupq_n_u8((uint8_t)(x))
#define vc_bytes_table(p)           vld1q_u8(p)
#define vc_bytes_look_up(table, at) vqtbl1q_u8((table), (at))
#define vc_bytes_and(a, b)          vandq_u8((a), (b))
#define vc_bytes_xor(a, b)          veorq_u8((a), (b))
#define vc_bytes_add(a, b)          vaddq_u8((a), (b))
#define vc_bytes_sub(a, b)          vsubq_u8((a), (b))
#define vc_bytes_min_u8(a, b)       vminq_u8((a), (b))
#define vc_bytes_max_s8(a, b)                                                                      \
    vreinterpretq_u8_s8(vmaxq_s8(vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b)))
#define vc_bytes_upper_nibbles(v)    vshrq_n_u8((v), 4)
#define vc_bytes_by_halves(v)        (v)
#define vc_bytes_in_order(v)         (v)
#define vc_halves_load(p)            vld1q_s16(p)
#define vc_halves_store(p, v)        vst1q_s16((p), (v))
#define vc_halves_fill(x)            vdupq_n_s16(x)
#define vc_halves_xor(a, b)          veorq_s16((a), (b))
#define vc_halves_add(a, b)          vaddq_s16((a), (b))
#define vc_halves_min(a, b)          vminq_s16((a), (b))
#define vc_halves_abs(v)             vabsq_s16(v)
#define vc_halves_shift_down(v, n)   vshrq_n_s16((v), (n))
#define vc_halves_times_low(v, by)   vc_halves_times((v), vshll_n_u8(vget_low_u8(by), 8))
#define vc_halves_times_high(v, by)  vc_halves_times((v), vshll_n_u8(vget_high_u8(by), 8))
#define vc_halves_pack_u8(low, high) vcombine_u8(vqmovun_s16(low), vqmovun_s16(high))
#define vc_halves_pack_s8(low, high)                                                               \
    vreinterpretq_u8_s8(vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)))
#define vc_bytes_dot_low(a, b, c, d)                                                               \
    vc_bytes_dot(vget_low_u8(a), vget_low_u8(b), vget_low_u8(c), vget_low_u8(d))
#define vc_bytes_dot_high(a, b, c, d)                                                              \
    vc_bytes_dot(vget_high_u8(a), vget_high_u8(b), vget_high_u8(c), vget_high_u8(d))

static inline int16x8_t vc_halves_times(int16x8_t v, uint16x8_t by)
{
    uint16x8_t u = vreinterpretq_u16_s16(v);
    uint16x8_t low = vreinterpretq_u16_u32(vmull_u16(vget_low_u16(u), vget_low_u16(by)));
    uint16x8_t high = vreinterpretq_u16_u32(vmull_high_u16(u, by));
    return vreinterpretq_s16_u16(vuzp2q_u16(low, high));
}

static inline int16x8_t vc_bytes_dot(uint8x8_t a, uint8x8_t b, uint8x8_t c, uint8x8_t d)
{
    int16x8_t first =
        vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(a)), vmovl_s8(vreinterpret_s8_u8(b)));
    return vmlaq_s16(first, vreinterpretq_s16_u16(vmovl_u8(c)), vmovl_s8(vreinterpret_s8_u8(d)));
}

#endif

#endif
