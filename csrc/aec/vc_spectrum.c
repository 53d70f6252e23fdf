/* vc_spectrum: see vc_spectrum.h. */
#include "aec/vc_spectrum.h"

#include "dsp/vc_fft.h"

struct vc_spectrum {
    const vc_allocator *allocator;
    vc_fft *fft;
    size_t n;
    float *samples;
};

enum { MOST = 1024 };

vc_status vc_spectrum_create(vc_spectrum **out, size_t n, vc_cpu_level cpu_level,
                             const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_fft *fft;
    vc_status status = vc_fft_create(&fft, n, cpu_level, allocator);
    if (status != VC_OK) return status;
    size_t head = (sizeof(vc_spectrum) + 63) / 64 * 64;
    vc_spectrum *s = vc_allocate(allocator, head + n * sizeof(float));
    if (!s) {
        vc_fft_destroy(fft);
        return VC_E_MEMORY;
    }
    s->allocator = allocator;
    s->fft = fft;
    s->n = n;
    s->samples = (float *)((char *)s + head);
    *out = s;
    return VC_OK;
}

void vc_spectrum_destroy(vc_spectrum *s)
{
    if (!s) return;
    vc_fft_destroy(s->fft);
    vc_release(s->allocator, s);
}

size_t vc_spectrum_size(const vc_spectrum *s)
{
    return s->n;
}

float *vc_spectrum_samples(vc_spectrum *s)
{
    return s->samples;
}

void vc_spectrum_forward(vc_spectrum *s, float *re, float *im)
{
    float bins[MOST + 2], scratch[2 * MOST];
    vc_fft_forward(s->fft, s->samples, bins, scratch);
    for (size_t k = 0; k < s->n / 2; k++) {
        re[k] = bins[2 * k];
        im[k] = bins[2 * k + 1];
    }
    re[0] = im[0] = 0.0f;
}

void vc_spectrum_inverse(vc_spectrum *s, const float *re, const float *im)
{
    float bins[MOST + 2], scratch[2 * MOST];
    for (size_t k = 0; k < s->n / 2; k++) {
        bins[2 * k] = re[k];
        bins[2 * k + 1] = im[k];
    }
    bins[0] = bins[1] = bins[s->n] = bins[s->n + 1] = 0.0f;
    vc_fft_inverse(s->fft, bins, s->samples, scratch);
}
