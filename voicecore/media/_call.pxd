from voicecore.media._pcm_ring cimport PcmRing, RingPool
from voicecore.media.c_engine cimport vc_address, vc_call, vc_call_config, vc_event, vc_srtp_config


cdef class NativeCall:
    cdef vc_call *handle
    cdef int busy
    cdef bint forked
    cdef PcmRing received
    cdef dict last_stats
    cdef readonly object config
    cdef readonly unsigned int number
    cdef vc_call *enter(self) except NULL
    cdef void leave(self)
    cdef int give_remote(self, const vc_address *remote)
    cdef int keep_stats(self) except -1
    cdef dict read_stats(self)


cdef int fill_config(vc_call_config *out, vc_srtp_config *keys, object config,
                     unsigned int number) except -1
cdef int fill_address(vc_address *out, object address) except -1
cdef int check_opened(int status, object config) except -1
cdef object make_event(const vc_event *event)
cdef int signal_of(const vc_event *event)
cdef PcmRing make_ring(object config, RingPool pool)
