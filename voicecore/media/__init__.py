"""The native media units and the engine, bound with Cython."""
