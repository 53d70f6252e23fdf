// voicecore._kernels: each kernel at each CPU level of this machine, called and timed from numpy.
//
// For tests/kernels and bench/kernels only: nothing at run time imports it, and wheels do not have
// it (setup.py builds it in place, if pybind11 and a C++ compiler are there).
//
//     KERNELS["resample.columns"]["avx2"](x, offsets, taps, n_taps, y, n)
//     KERNELS["resample.columns"]["avx2"].time_ns(1000, x, offsets, taps, n_taps, y, n)
//
// Arguments are those of the C function. Arrays must have its sample type, be contiguous and, where
// it writes, writable; that is checked. Their lengths follow from the function's contract and are
// the caller's affair, as in C. A new kernel is one line in add_all().
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

extern "C" {
#include "aec/vc_echo_kernels.h"
#include "base/vc_convert.h"
#include "base/vc_cpu.h"
#include "codec/vc_g711_kernels.h"
#include "dsp/vc_fft.h"
#include "dsp/vc_gain.h"
#include "dsp/vc_resample_kernels.h"
#include "vad/vc_silero.h"
}

namespace py = pybind11;

static void need(vc_status status, const char *what)
{
    if (status < 0) throw py::value_error(std::string(what) + ": " + vc_status_str(status));
}

static std::vector<vc_cpu_level> usable_levels()
{
    std::vector<vc_cpu_level> found;
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve(static_cast<vc_cpu_level>(level), &usable) == VC_OK)
            found.push_back(usable);
    }
    return found;
}

static vc_cpu_level level_of(const std::string &name)
{
    for (vc_cpu_level level : usable_levels())
        if (name == vc_cpu_name(level)) return level;
    throw py::value_error("this machine has no CPU level '" + name + "'");
}

// -- what has a state: the kernel is reached through its unit, at a level ---------------------

struct Fft {
    std::string level;
    vc_fft *fft = nullptr;

    Fft(size_t n, const std::string &level_name) : level(level_name)
    {
        need(vc_fft_create(&fft, n, level_of(level_name), nullptr), "Fft");
    }
    Fft(const Fft &) = delete;
    ~Fft()
    {
        vc_fft_destroy(fft);
    }
};

struct Silero {
    std::string level;
    vc_silero_model *model = nullptr;
    vc_silero_batch *batch = nullptr;
    std::vector<vc_silero *> vads;

    Silero(const std::string &weights, int rate_hz, size_t streams, const std::string &level_name)
        : level(level_name)
    {
        vc_silero_model_config config = vc_silero_model_config_default();
        config.rate_hz = rate_hz;
        config.weights = weights.data();
        config.weights_bytes = weights.size();
        config.cpu_level = level_of(level_name);
        try {
            need(vc_silero_model_create(&model, &config), "Silero");
            need(vc_silero_batch_create(&batch, model, nullptr), "Silero");
            for (size_t i = 0; i < streams; i++) {
                vc_silero *vad;
                need(vc_silero_create(&vad, model, nullptr), "Silero");
                vads.push_back(vad);
            }
        } catch (...) {
            release();
            throw;
        }
    }
    Silero(const Silero &) = delete;
    ~Silero()
    {
        release();
    }

    void release()
    {
        for (vc_silero *vad : vads) vc_silero_destroy(vad);
        vc_silero_batch_destroy(batch);
        vc_silero_model_destroy(model);
    }
};

static void fft_forward(const Fft *of, const float *in, float *bins, float *scratch)
{
    vc_fft_forward(of->fft, in, bins, scratch);
}

static void fft_inverse(const Fft *of, const float *bins, float *out, float *scratch)
{
    vc_fft_inverse(of->fft, bins, out, scratch);
}

// windows: one after the other, one for each of the handle's streams.
static void silero_step(const Silero *of, const float *windows, float *probabilities)
{
    enum { MOST = 64 };
    const float *starts[MOST];
    size_t n = of->vads.size() < MOST ? of->vads.size() : MOST;
    for (size_t i = 0; i < n; i++)
        starts[i] = windows + i * vc_silero_model_window_samples(of->model);
    (void)vc_silero_batch_process(of->batch, of->vads.data(), starts, n, probabilities);
}

// -- from a C function to something that Python calls -----------------------------------------

struct Kernel {
    std::string name, level;
    std::function<void(const py::tuple &, size_t, int64_t *)> run; // arguments, calls, nanoseconds
};

static int64_t thread_ns()
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

template <class T> T argument(py::handle given, const Kernel &kernel, size_t place)
{
    const std::string where = kernel.name + ": argument " + std::to_string(place + 1);
    if constexpr (!std::is_pointer_v<T>) {
        return given.cast<T>();
    } else {
        using Item = std::remove_const_t<std::remove_pointer_t<T>>;
        if constexpr (std::is_arithmetic_v<Item>) {
            if (!py::isinstance<py::array_t<Item>>(given))
                throw py::type_error(where + " must be an array of " +
                                     std::string(py::str(py::dtype::of<Item>())));
            auto array = py::reinterpret_borrow<py::array>(given);
            if (!(array.flags() & py::array::c_style))
                throw py::value_error(where + " must be contiguous");
            if constexpr (std::is_const_v<std::remove_pointer_t<T>>)
                return static_cast<T>(array.data());
            else
                return static_cast<T>(array.mutable_data());
        } else {
            T handle = given.cast<Item *>();
            if (handle->level != kernel.level)
                throw py::value_error(where + " was made for level " + handle->level + ", not " +
                                      kernel.level);
            return handle;
        }
    }
}

template <class... A, size_t... Places>
static void run_as(void (*function)(A...), const Kernel &kernel, const py::tuple &given,
                   size_t calls, int64_t *ns, std::index_sequence<Places...>)
{
    if (given.size() != sizeof...(A))
        throw py::type_error(kernel.name + " takes " + std::to_string(sizeof...(A)) +
                             " arguments, not " + std::to_string(given.size()));
    std::tuple<A...> ready{argument<A>(given[Places], kernel, Places)...};
    void (*volatile hidden)(A...) = function; // or the compiler might take the calls together
    int64_t start_ns = thread_ns();
    for (size_t i = 0; i < calls; i++) std::apply(hidden, ready);
    *ns = thread_ns() - start_ns;
}

static std::vector<std::shared_ptr<Kernel>> kernels;

template <class... A> static void add(const char *name, vc_cpu_level level, void (*function)(A...))
{
    auto kernel = std::make_shared<Kernel>();
    kernel->name = name;
    kernel->level = vc_cpu_name(level);
    const Kernel *self = kernel.get();
    kernel->run = [function, self](const py::tuple &given, size_t calls, int64_t *ns) {
        run_as(function, *self, given, calls, ns, std::index_sequence_for<A...>{});
    };
    kernels.push_back(kernel);
}

// A function that is the same at every level.
template <class... A> static void plain(const char *name, void (*function)(A...))
{
    add(name, VC_CPU_C, function);
}

// A function whose first argument is a handle that was made for a level.
template <class... A> static void by_handle(const char *name, void (*function)(A...))
{
    for (vc_cpu_level level : usable_levels()) add(name, level, function);
}

template <class Table> using Tables = std::vector<std::pair<vc_cpu_level, const Table *>>;

// A member of the tables of each level.
template <class Table, class Function>
static void each(const char *name, const Tables<Table> &tables, Function Table::*member)
{
    for (vc_cpu_level level : usable_levels())
        for (const auto &table : tables)
            if (table.first == level) add(name, level, table.second->*member);
}

#if defined(__x86_64__)
#define TABLES(type)                                                                               \
    Tables<type>                                                                                   \
    {                                                                                              \
        {VC_CPU_C, &type##_c}, {VC_CPU_AVX2, &type##_avx2}, {VC_CPU_AVX512, &type##_avx512},       \
    }
#elif defined(__aarch64__)
#define TABLES(type)                                                                               \
    Tables<type>                                                                                   \
    {                                                                                              \
        {VC_CPU_C, &type##_c}, {VC_CPU_NEON, &type##_neon},                                        \
    }
#else
#define TABLES(type)                                                                               \
    Tables<type>                                                                                   \
    {                                                                                              \
        {VC_CPU_C, &type##_c},                                                                     \
    }
#endif

// The struct of vc_resample_dots as arguments.
template <const vc_resample_kernels &Table>
static void dots(const float *x, const float *taps, const int32_t *starts, const int32_t *phases,
                 const int32_t *tails, size_t body, size_t l, int group, float *y, size_t n)
{
    const vc_resample_dots all = {x, taps, starts, phases, tails, body, l, group};
    Table.dots(&all, y, n);
}

static void resample_dots()
{
    for (vc_cpu_level level : usable_levels()) {
        if (level == VC_CPU_C) add("resample.dots", level, dots<vc_resample_kernels_c>);
#if defined(__x86_64__)
        if (level == VC_CPU_AVX2) add("resample.dots", level, dots<vc_resample_kernels_avx2>);
        if (level == VC_CPU_AVX512) add("resample.dots", level, dots<vc_resample_kernels_avx512>);
#elif defined(__aarch64__)
        if (level == VC_CPU_NEON) add("resample.dots", level, dots<vc_resample_kernels_neon>);
#endif
    }
}

// The struct of vc_echo_path as arguments: spectra and coefficients [part][bin].
static vc_echo_path echo_path(const uint16_t *x_re, const uint16_t *x_im, float *w_re, float *w_im,
                              float *p, size_t bins, size_t parts)
{
    vc_echo_path path = {};
    path.bins = bins;
    path.parts = parts < VC_ECHO_MAX_PARTS ? parts : VC_ECHO_MAX_PARTS;
    for (size_t i = 0; i < path.parts; i++) {
        path.x_re[i] = x_re + i * bins;
        path.x_im[i] = x_im + i * bins;
    }
    path.w_re = w_re;
    path.w_im = w_im;
    path.p = p;
    return path;
}

template <const vc_echo_kernels &Table>
static void echo_predict(const uint16_t *x_re, const uint16_t *x_im, float *w_re, float *w_im,
                         float *p, size_t bins, size_t parts, float *re, float *im, float *variance)
{
    const vc_echo_path path = echo_path(x_re, x_im, w_re, w_im, p, bins, parts);
    Table.predict(&path, re, im, variance);
}

template <const vc_echo_kernels &Table>
static void echo_learn(const uint16_t *x_re, const uint16_t *x_im, float *w_re, float *w_im,
                       float *p, size_t bins, size_t parts, const float *re, const float *im,
                       const float *step, float spend, float noise_gain, float noise_floor)
{
    const vc_echo_path path = echo_path(x_re, x_im, w_re, w_im, p, bins, parts);
    const vc_echo_rates rates = {spend, noise_gain, noise_floor};
    Table.learn(&path, re, im, step, &rates);
}

template <const vc_echo_kernels &Table> static void echo_at(vc_cpu_level level)
{
    add("echo.predict", level, echo_predict<Table>);
    add("echo.learn", level, echo_learn<Table>);
}

static void echo()
{
    for (vc_cpu_level level : usable_levels()) {
        if (level == VC_CPU_C) echo_at<vc_echo_kernels_c>(level);
#if defined(__x86_64__)
        if (level == VC_CPU_AVX2) echo_at<vc_echo_kernels_avx2>(level);
        if (level == VC_CPU_AVX512) echo_at<vc_echo_kernels_avx512>(level);
#elif defined(__aarch64__)
        if (level == VC_CPU_NEON) echo_at<vc_echo_kernels_neon>(level);
#endif
    }
}

static void add_all()
{
    plain("convert.s16_to_f32", vc_convert_s16_to_f32);
    plain("convert.f32_to_s16", vc_convert_f32_to_s16);
    plain("gain.fade_s16", vc_gain_fade_s16);
    plain("gain.mix_s16", vc_gain_mix_s16);

    const auto g711 = TABLES(vc_g711);
    each("g711.ulaw_encode", g711, &vc_g711::ulaw_encode);
    each("g711.ulaw_decode", g711, &vc_g711::ulaw_decode);
    each("g711.alaw_encode", g711, &vc_g711::alaw_encode);
    each("g711.alaw_decode", g711, &vc_g711::alaw_decode);

    const auto resample = TABLES(vc_resample_kernels);
    each("resample.columns", resample, &vc_resample_kernels::columns);
    each("resample.columns2", resample, &vc_resample_kernels::columns2);
    each("resample.columns3", resample, &vc_resample_kernels::columns3);
    resample_dots();
    each("resample.blends", resample, &vc_resample_kernels::blends);
    each("resample.deal_s16", resample, &vc_resample_kernels::deal_s16);
    each("resample.deal_f32", resample, &vc_resample_kernels::deal_f32);
    each("resample.gather_s16", resample, &vc_resample_kernels::gather_s16);
    each("resample.gather_f32", resample, &vc_resample_kernels::gather_f32);

    echo();

    by_handle("fft.forward", fft_forward);
    by_handle("fft.inverse", fft_inverse);
    by_handle("silero.step", silero_step);
}

PYBIND11_MODULE(_kernels, m)
{
    m.doc() = "Each kernel at each CPU level, for tests and microbenchmarks; see vc_kernels.cpp.";

    py::class_<Fft>(m, "Fft").def(py::init<size_t, const std::string &>(), py::arg("n"),
                                  py::arg("level"));
    py::class_<Silero>(m, "Silero")
        .def(py::init([](const py::bytes &weights, int rate_hz, size_t streams,
                         const std::string &level) {
                 return std::make_unique<Silero>(std::string(weights), rate_hz, streams, level);
             }),
             py::arg("weights"), py::arg("rate_hz"), py::arg("streams"), py::arg("level"));

    py::class_<Kernel, std::shared_ptr<Kernel>>(m, "Kernel")
        .def_readonly("name", &Kernel::name)
        .def_readonly("level", &Kernel::level)
        .def("__call__",
             [](const Kernel &kernel, const py::args &given) {
                 int64_t ns;
                 kernel.run(given, 1, &ns);
             })
        .def(
            "time_ns",
            [](const Kernel &kernel, size_t calls, const py::args &given) {
                int64_t ns;
                kernel.run(given, calls, &ns);
                return static_cast<double>(ns) / static_cast<double>(calls ? calls : 1);
            },
            "Nanoseconds of processor time for one of `calls` equal calls.")
        .def("__repr__", [](const Kernel &kernel) {
            return "<Kernel " + kernel.name + " at " + kernel.level + ">";
        });

    add_all();
    py::dict by_name;
    for (const auto &kernel : kernels) {
        py::str name(kernel->name);
        if (!by_name.contains(name)) by_name[name] = py::dict();
        auto levels = by_name[name].cast<py::dict>();
        levels[py::str(kernel->level)] = kernel;
    }
    m.attr("KERNELS") = by_name;

    // Floats of a level's vectors: the contract of resample.columns3 needs it.
    py::dict lanes;
    for (vc_cpu_level level : usable_levels())
        for (const auto &table : TABLES(vc_resample_kernels))
            if (table.first == level) lanes[vc_cpu_name(level)] = table.second->lanes;
    m.attr("LANES") = lanes;
}
