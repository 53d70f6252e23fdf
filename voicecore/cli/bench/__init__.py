"""``voicecore bench``: what each unit costs on this machine, beside its peers.

``registry`` says what can be measured, ``vad``, ``resampling``, ``codecs`` and ``net`` list it,
``measure`` compares results and times them, ``tables`` and ``page`` show what came out.
"""
