/* vc_resample_parts: the handle of vc_resample and what its sources share (internal). */
#ifndef VC_RESAMPLE_PARTS_H
#define VC_RESAMPLE_PARTS_H

#include "dsp/vc_resample.h"
#include "dsp/vc_resample_kernels.h"

enum { VC_RESAMPLE_PPB = 1000000000 };

struct vc_resample {
    const vc_resample_kernels *kernels;
    const vc_allocator *allocator;
    int in_hz, out_hz;
    size_t channels;
    size_t l, m;          /* out / in in lowest terms */
    size_t span;          /* of the impulse response, lower-rate samples */
    size_t n_terms;       /* its cosines */
    const double *terms;  /* n_terms + 1 */
    size_t window;        /* of the filter, input samples */
    size_t block_samples; /* input samples that are filtered at a time, at the most */
    int by_columns;       /* which inner loop */
    int in_threes;        /* by columns, taps grouped for columns3 */
    size_t streams;       /* M when by columns, else 1 */
    size_t n_taps;        /* of a phase, padded */
    size_t body;          /* not by columns: of them, those before the tail */
    size_t group;         /* phases that share a window */
    size_t history;       /* columns (by columns) or samples before the present group */
    size_t block;         /* columns or samples that the buffer takes after the history */
    size_t stride;        /* floats of a stream */
    size_t tile_stride;   /* floats of a phase in the tile */
    float *taps;          /* l phases of n_taps */
    int32_t *offsets;     /* by columns: l phases of n_taps places in the buffer;
                           * else l places of windows, then l of tails from there */
    int32_t *newest;      /* l: the newest input that a phase needs, from the group's start */
    float *buffer;        /* streams, channel after channel */
    float *tile;          /* outputs of a block: by columns a row a phase, else in order */
    float *planes;        /* more than one channel: a block of each, in, then out */
    size_t plane_in;      /* floats of an input plane */
    size_t plane_out;     /* floats of an output plane: the most that a block gives */
    int32_t *starts;      /* not by columns: where each output's window starts, and its phase; */
    int32_t *phases;      /* trimmed: its row of the trim table */
    size_t in_group;      /* input samples consumed of the present group of m */
    size_t flush_left;    /* zeros still to feed while a flush goes on */
    int fed;              /* input came since reset */

    /* Ratio trim (vc_resample_trim.c). Places count in 1/unit of an input sample. */
    int trim;          /* it may be set */
    int trimmed;       /* the outputs have left the usual places */
    size_t trim_taps;  /* of a row, padded */
    size_t trim_rows;  /* an input sample */
    float *trim_table; /* rows -1 .. trim_rows + 1 of trim_taps */
    float *line;       /* trim_taps - 1 input samples and a block, channel after channel */
    size_t line_stride;
    float *weights; /* four an output of a block */
    int32_t trim_ppb;
    int64_t unit; /* l * 10^9 */
    int64_t step; /* from output to output: m * (10^9 + trim_ppb) */
    int64_t next; /* where the next output's window ends, from the last input on */
};

/* h(u), u in lower-rate samples from the middle. */
double vc_resample_prototype(const vc_resample *r, double u);
/* Lower-rate to input samples: 1 upwards, m / l downwards. */
double vc_resample_scale(const vc_resample *r);
/* The rates, preset and kernels of a handle, and from them all lengths. */
void vc_resample_plan(vc_resample *r, int preset, vc_cpu_level level);
void vc_resample_design(vc_resample *r);

void vc_resample_trim_plan(vc_resample *r);
size_t vc_resample_trim_table_floats(const vc_resample *r);
void vc_resample_trim_design(vc_resample *r);
void vc_resample_trim_reset(vc_resample *r);
/* As vc_resample_max_output and vc_resample_inputs_for, once trimmed. */
size_t vc_resample_trim_outputs(const vc_resample *r, size_t n_in);
size_t vc_resample_trim_inputs(const vc_resample *r, size_t n_out);
/* Starts, rows and weights of the outputs that n more inputs give; returns how many. */
size_t vc_resample_trim_schedule(vc_resample *r, size_t n);

#endif
