/* vc_l16: see vc_l16.h. Written by value, so right on either byte order; compilers make it a
 * byte swap of vectors. */
#include "codec/vc_l16.h"

void vc_l16_encode(const int16_t *pcm, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t x = (uint16_t)pcm[i];
        out[2 * i] = (uint8_t)(x >> 8);
        out[2 * i + 1] = (uint8_t)(x & 0xff);
    }
}

void vc_l16_decode(const uint8_t *in, int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++) pcm[i] = (int16_t)(uint16_t)(in[2 * i] << 8 | in[2 * i + 1]);
}
