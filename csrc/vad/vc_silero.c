/* vc_silero: the model (weights, packed for one CPU level), streams and batches. See vc_silero.h;
 * the arithmetic is in kernels/body_silero.h.
 *
 * Source: the ONNX graph of Silero VAD v6.2 (MIT), converted by tools/convert_silero.py, which
 * also describes the weight file. Deviation: the STFT is a fast DFT of the stored window instead
 * of a product with a stored basis. Limits: x beyond +-65536 is clipped, below 1e-15 is 0.
 */
#include "vad/vc_silero.h"

#include <math.h>
#include <string.h>

#include "base/vc_huge_pages.h"
#include "kernels/vc_silero_kernel.h"

#define PI 3.14159265358979323846

enum { HEADER_BYTES = 32, VERSION = 1 };

struct vc_silero_model {
    vc_silero_net net;
    const vc_silero_kernel *kernel;
    vc_cpu_level level;
    int rate_hz;
    const vc_allocator *allocator;
    vc_allocator hooks;
};

struct vc_silero {
    vc_silero_state state;
    const vc_silero_model *model;
    const vc_allocator *allocator;
    vc_allocator hooks;
};

struct vc_silero_batch {
    vc_silero_scratch scratch;
    vc_silero_row rows[VC_SILERO_TILE];
    const vc_silero_model *model;
    const vc_allocator *allocator;
    vc_allocator hooks;
};

_Static_assert(sizeof(vc_silero) <= 2048, "a stream's state must stay within 2 KB");

/* The caller's allocator struct need not outlive create. */
static const vc_allocator *keep_hooks(vc_allocator *hooks, const vc_allocator *allocator)
{
    if (!allocator) return NULL;
    *hooks = *allocator;
    return hooks;
}

static uint32_t crc32_of(const unsigned char *bytes, size_t n)
{
    uint32_t table[256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0xedb88320u : 0);
        table[i] = value;
    }
    for (size_t i = 0; i < n; i++) crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return ~crc;
}

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Floats of the file after the header, for a DFT of `dft` points. */
static size_t payload_floats(size_t dft)
{
    size_t bins = dft / 2 + 1;
    return dft + 128 * bins * 3 + 128 + 64 * 128 * 3 + 64 + 64 * 64 * 2 + 64 + 128 * 64 + 128 +
           512 * 256 + 512 + VC_SILERO_HIDDEN + 1;
}

static vc_status check_file(const vc_silero_model_config *config)
{
    const unsigned char *file = config->weights;
    size_t dft = config->rate_hz == 16000 ? 256 : 128, floats = payload_floats(dft);
    if (config->weights_bytes != HEADER_BYTES + 4 * floats) return VC_E_DATA;
    if (memcmp(file, "VCSILERO", 8) != 0) return VC_E_DATA;
    if (read_u32(file + 8) != VERSION) return VC_E_DATA;
    if (read_u32(file + 12) != (uint32_t)config->rate_hz) return VC_E_DATA;
    if (read_u32(file + 16) != dft || read_u32(file + 20) != dft / 2 + 1) return VC_E_DATA;
    if (read_u32(file + 24) != floats) return VC_E_DATA;
    if (read_u32(file + 28) != crc32_of(file + HEADER_BYTES, 4 * floats)) return VC_E_DATA;
    return VC_OK;
}

static const vc_silero_kernel *kernel_of(vc_cpu_level level)
{
    switch (level) {
#if defined(__x86_64__)
    case VC_CPU_AVX2: return &vc_silero_kernel_avx2;
    case VC_CPU_AVX512: return &vc_silero_kernel_avx512;
#endif
#if defined(__aarch64__)
    case VC_CPU_NEON: return &vc_silero_kernel_neon;
#endif
    default: return &vc_silero_kernel_c;
    }
}

vc_silero_model_config vc_silero_model_config_default(void)
{
    vc_silero_model_config config = {
        .rate_hz = 16000,
        .weights = NULL,
        .weights_bytes = 0,
        .cpu_level = VC_CPU_AUTO,
        .allocator = NULL,
    };
    return config;
}

/* Takes what follows in the file and in the packed block. */
typedef struct packer {
    const unsigned char *file;
    float *packed;
} packer;

static float file_float(const packer *p, size_t index)
{
    uint32_t bits = read_u32(p->file + 4 * index);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float *take(packer *p, size_t floats)
{
    float *start = p->packed;
    p->packed += (floats + 15) & ~(size_t)15;
    return start;
}

static const float *pack_vector(packer *p, size_t n)
{
    float *to = take(p, n);
    for (size_t i = 0; i < n; i++) to[i] = file_float(p, i);
    p->file += 4 * n;
    return to;
}

/* The bin whose magnitude the STFT puts at a position; see stft() in body_silero.h. */
static size_t bin_at(size_t position, size_t rows)
{
    size_t inner = 16 * (rows / 2 - 1);
    if (position < 9) return rows * position;
    if (position >= 9 + inner) return rows / 2 + rows * (position - 9 - inner);
    size_t k = 1 + (position - 9) / 16 + rows * ((position - 9) % 16);
    return k > 8 * rows ? 16 * rows - k : k;
}

/* File [output][input][tap] -> [block][input][tap][output in block]. With stft_rows the inputs are
 * reordered as the STFT delivers them; tap_major turns [input][tap] into [tap][input], which makes
 * a convolution over adjacent frames one long dense layer. */
static const float *pack_matrix(packer *p, size_t block, size_t outputs, size_t inputs, size_t taps,
                                size_t stft_rows, int tap_major)
{
    float *start = take(p, outputs * inputs * taps), *to = start;
    for (size_t first = 0; first < outputs; first += block)
        for (size_t j = 0; j < inputs * taps; j++) {
            size_t input = tap_major ? j % inputs : j / taps;
            size_t tap = tap_major ? j / inputs : j % taps;
            if (stft_rows) input = bin_at(input, stft_rows);
            for (size_t o = first; o < first + block; o++)
                *to++ = file_float(p, (o * inputs + input) * taps + tap);
        }
    p->file += 4 * outputs * inputs * taps;
    return start;
}

/* dft[k1][4 j + m][re, im][k2 = 0..3][4 times] = exp(-2 pi i c (k1 + rows k2) / (16 rows)) for the
 * column c = 4 m + j */
static const float *make_dft(packer *p, size_t rows)
{
    float *start = take(p, (rows / 2 + 1) * 512), *to = start;
    for (size_t k1 = 0; k1 <= rows / 2; k1++)
        for (size_t place = 0; place < 16; place++, to += 32)
            for (size_t i = 0; i < 16; i++) {
                size_t column = place / 4 + 4 * (place % 4);
                size_t turns = column * (k1 + rows * (i / 4)) % (16 * rows);
                double angle = 2.0 * PI * (double)turns / (double)(16 * rows);
                to[i] = (float)cos(angle);
                to[16 + i] = (float)-sin(angle);
            }
    return start;
}

vc_status vc_silero_model_create(vc_silero_model **out, const vc_silero_model_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!config || !config->weights) return VC_E_NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    vc_cpu_level level;
    vc_status status = vc_cpu_resolve(config->cpu_level, &level);
    if (status < 0) return status;
    status = check_file(config);
    if (status < 0) return status;

    size_t rows = config->rate_hz == 16000 ? 16 : 8, bins = 8 * rows + 1;
    size_t header = (sizeof(vc_silero_model) + 63) & ~(size_t)63;
    /* 14 arrays, each rounded up to 16 floats */
    size_t floats = payload_floats(16 * rows) + (rows / 2 + 1) * 512 + 14 * 16;
    const vc_allocator *allocator = config->allocator ? config->allocator : vc_huge_pages();
    vc_silero_model *model = vc_allocate(allocator, header + floats * sizeof(float));
    if (!model) return VC_E_MEMORY;
    model->allocator = keep_hooks(&model->hooks, allocator);
    model->kernel = kernel_of(level);
    model->level = level;
    model->rate_hz = config->rate_hz;

    packer p = {(const unsigned char *)config->weights + HEADER_BYTES,
                (float *)(void *)((char *)model + header)};
    size_t block = model->kernel->block;
    vc_silero_net *net = &model->net;
    net->rows = rows;
    net->bins = bins;
    net->window = pack_vector(&p, 16 * rows);
    net->conv1 = pack_matrix(&p, model->kernel->conv1_block, 128, bins, 3, rows, 0);
    net->conv1_bias = pack_vector(&p, 128);
    net->conv2 = pack_matrix(&p, block, 64, 128, 3, 0, 0);
    net->conv2_bias = pack_vector(&p, 64);
    net->conv3 = pack_matrix(&p, block, 64, 64, 2, 0, 1);
    net->conv3_bias = pack_vector(&p, 64);
    net->conv4 = pack_matrix(&p, block, 128, 64, 1, 0, 0);
    net->conv4_bias = pack_vector(&p, 128);
    net->lstm = pack_matrix(&p, block, 512, 256, 1, 0, 0);
    net->lstm_bias = pack_vector(&p, 512);
    net->head = pack_vector(&p, VC_SILERO_HIDDEN + 1);
    net->dft = make_dft(&p, rows);
    *out = model;
    return VC_OK;
}

void vc_silero_model_destroy(vc_silero_model *model)
{
    if (!model) return;
    vc_allocator hooks = model->hooks;
    vc_release(model->allocator ? &hooks : NULL, model);
}

int vc_silero_model_rate_hz(const vc_silero_model *model)
{
    return model ? model->rate_hz : 0;
}

vc_cpu_level vc_silero_model_cpu_level(const vc_silero_model *model)
{
    return model ? model->level : VC_CPU_AUTO;
}

size_t vc_silero_model_window_samples(const vc_silero_model *model)
{
    return model ? 32 * model->net.rows : 0;
}

size_t vc_silero_state_bytes(void)
{
    return sizeof(vc_silero);
}

vc_status vc_silero_create(vc_silero **out, const vc_silero_model *model,
                           const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!model) return VC_E_NULL;
    vc_silero *vad = vc_allocate(allocator, sizeof *vad);
    if (!vad) return VC_E_MEMORY;
    vad->model = model;
    vad->allocator = keep_hooks(&vad->hooks, allocator);
    *out = vad;
    return VC_OK;
}

void vc_silero_destroy(vc_silero *vad)
{
    if (!vad) return;
    vc_allocator hooks = vad->hooks;
    vc_release(vad->allocator ? &hooks : NULL, vad);
}

void vc_silero_reset(vc_silero *vad)
{
    if (vad) memset(&vad->state, 0, sizeof vad->state);
}

vc_status vc_silero_process(vc_silero *vad, const float *window, float *probability)
{
    if (!vad || !window || !probability) return VC_E_NULL;
    /* On the stack (24 KB), so that a thousand streams do not hold scratch. */
    _Alignas(64) vc_silero_scratch scratch;
    _Alignas(64) vc_silero_row row;
    vc_silero_state *state = &vad->state;
    vad->model->kernel->step(&vad->model->net, &window, &state, 1, &scratch, &row, probability);
    return VC_OK;
}

vc_status vc_silero_batch_create(vc_silero_batch **out, const vc_silero_model *model,
                                 const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!model) return VC_E_NULL;
    vc_silero_batch *batch = vc_allocate(allocator, sizeof *batch);
    if (!batch) return VC_E_MEMORY;
    batch->model = model;
    batch->allocator = keep_hooks(&batch->hooks, allocator);
    *out = batch;
    return VC_OK;
}

void vc_silero_batch_destroy(vc_silero_batch *batch)
{
    if (!batch) return;
    vc_allocator hooks = batch->hooks;
    vc_release(batch->allocator ? &hooks : NULL, batch);
}

vc_status vc_silero_batch_process(vc_silero_batch *batch, vc_silero *const *vads,
                                  const float *const *windows, size_t n, float *probabilities)
{
    if (!batch || (n && (!vads || !windows || !probabilities))) return VC_E_NULL;
    const vc_silero_model *model = batch->model;
    for (size_t i = 0; i < n; i++) {
        if (!vads[i] || !windows[i]) return VC_E_NULL;
        if (vads[i]->model != model) return VC_E_STATE;
    }
    for (size_t first = 0; first < n; first += VC_SILERO_TILE) {
        size_t count = n - first < VC_SILERO_TILE ? n - first : VC_SILERO_TILE;
        vc_silero_state *states[VC_SILERO_TILE];
        for (size_t i = 0; i < count; i++) states[i] = &vads[first + i]->state;
        model->kernel->step(&model->net, windows + first, states, count, &batch->scratch,
                            batch->rows, probabilities + first);
    }
    return VC_OK;
}
