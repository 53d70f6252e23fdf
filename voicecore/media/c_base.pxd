"""Mirror of csrc/base for the bindings."""

from libc.stdint cimport int16_t, uint8_t


cdef extern from "base/vc_base.h" nogil:
    ctypedef int vc_status
    enum:
        VC_OK
        VC_NEED_MORE
        VC_CONCEALED
        VC_LATE
        VC_DUPLICATE
        VC_FULL
        VC_IGNORED
        VC_E_NULL
        VC_E_RANGE
        VC_E_RATE
        VC_E_LENGTH
        VC_E_MEMORY
        VC_E_CPU
        VC_E_PACKET
        VC_E_DATA
        VC_E_SYSTEM
        VC_E_STATE
        VC_E_MISSING
    const char *vc_status_str(vc_status status)
    ctypedef struct vc_allocator:
        pass

cdef extern from "base/vc_cpu.h" nogil:
    ctypedef enum vc_cpu_level:
        VC_CPU_AUTO
        VC_CPU_C
        VC_CPU_NEON
        VC_CPU_AVX2
        VC_CPU_AVX512
    vc_cpu_level vc_cpu_detect()
    vc_cpu_level vc_cpu_active()
    vc_status vc_cpu_resolve(vc_cpu_level requested, vc_cpu_level *level)
    const char *vc_cpu_name(vc_cpu_level level)

cdef extern from "base/vc_guard.h" nogil:
    int vc_guard_enter(int *busy)
    void vc_guard_leave(int *busy)
