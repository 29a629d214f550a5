"""Float16 graphs: why a node stays in float32, the graph with its Casts, and the proof that it computes the same.

`operators`, `constants`, `indices` and `ranges` hold one kind of reason each, and `reasons` collects them. `writer`
writes the half graph. `rounding` writes a float32 graph that rounds as the half graph does, and `verify` compares it
with the float graph.
"""
