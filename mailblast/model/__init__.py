"""Nouns that pass between the stages: frozen, picklable, without I/O."""
