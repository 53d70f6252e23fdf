/* vc_silero_kernel: what csrc/vad/vc_silero.c and the kernels of each CPU level share.
 *
 * Packed weights: outputs are cut into blocks of `block` (the level's vector tile); within a block
 * the inputs follow each other, and for each input (and tap) the block's outputs are contiguous:
 * weight[block][input][tap][output in block]. Everything is 64-byte aligned.
 */
#ifndef VC_SILERO_KERNEL_H
#define VC_SILERO_KERNEL_H

#include "base/vc_base.h"

enum {
    VC_SILERO_FRAMES = 4,      /* STFT frames in one window */
    VC_SILERO_COLUMNS = 16,    /* the DFT of 16 x rows points is done as rows, then columns */
    VC_SILERO_MAX_ROWS = 16,   /* 256 points */
    VC_SILERO_MAX_INPUT = 640, /* context 64 + window 512 + reflected 64 */
    VC_SILERO_MAX_BINS = 129,
    VC_SILERO_HIDDEN = 128,
    VC_SILERO_MAGNITUDES = 144, /* what a stream's STFT writes; MAX_BINS used */
    VC_SILERO_CONV_ROWS = 3,    /* streams whose convolutions run together */
    VC_SILERO_TILE = 16,        /* streams that one pass over the other weights serves */
};

/* The network's constants, packed for one level. */
typedef struct vc_silero_net {
    size_t rows;         /* 16 at 16 kHz, 8 at 8 kHz */
    size_t bins;         /* 8 * rows + 1 */
    const float *window; /* [16 * rows] */
    const float *dft;    /* [rows / 2 + 1][16 columns][re, im][4 bins][4 times the same] */
    const float *conv1, *conv1_bias, *conv2, *conv2_bias, *conv3, *conv3_bias;
    const float *conv4, *conv4_bias, *lstm, *lstm_bias, *head; /* head: 128 weights, the bias */
} vc_silero_net;

/* What a stream remembers. context: the last 4 * rows samples of the previous window. */
typedef struct vc_silero_state {
    float h[VC_SILERO_HIDDEN];
    float c[VC_SILERO_HIDDEN];
    float context[64];
} vc_silero_state;

/* Scratch of one stream within a tile: the later layers run for the whole tile at once. */
typedef struct vc_silero_row {
    float conv2[128]; /* [2 frames][64] */
    float conv3[64];
    float xh[256]; /* LSTM input, then h */
    float gates[512];
} vc_silero_row;

/* Scratch of the layers that run for few streams at once. */
typedef struct vc_silero_scratch {
    float input[VC_SILERO_MAX_INPUT];
    float rows[9 * 2 * VC_SILERO_COLUMNS * VC_SILERO_FRAMES];
    /* [bin][frame] */
    float magnitude[VC_SILERO_CONV_ROWS][VC_SILERO_MAGNITUDES * VC_SILERO_FRAMES];
    float conv1[VC_SILERO_CONV_ROWS][VC_SILERO_FRAMES * 128];
} vc_silero_scratch;

typedef struct vc_silero_kernel {
    size_t block;       /* outputs in one block of packed weights */
    size_t conv1_block; /* in one of the first convolution */
    /* One window for each of n <= VC_SILERO_TILE streams. Scratch is 64-byte aligned. */
    void (*step)(const vc_silero_net *net, const float *const *windows,
                 vc_silero_state *const *states, size_t n, vc_silero_scratch *scratch,
                 vc_silero_row *rows, float *probabilities);
} vc_silero_kernel;

extern const vc_silero_kernel vc_silero_kernel_c;
#if defined(__x86_64__)
extern const vc_silero_kernel vc_silero_kernel_avx2;
extern const vc_silero_kernel vc_silero_kernel_avx512;
#endif
#if defined(__aarch64__)
extern const vc_silero_kernel vc_silero_kernel_neon;
#endif

#endif
