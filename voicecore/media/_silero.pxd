"""For the bindings of the engine: the model that many streams share."""

from voicecore.media.c_silero cimport vc_silero_model


cdef class SileroModel:
    cdef vc_silero_model *handle
