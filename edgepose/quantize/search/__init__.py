"""Search: which layers stay in float so that the INT8 network keeps what the float network had.

`search` needs no labels. It measures what each unit of the placement (`units`) does to the outputs (`sensitivity`),
orders the units by error removed for the time that it costs (`path`), and verifies nested candidates by running their
real graphs. What runs graphs and what judges their outputs are arguments: no backend is imported here.
"""

from edgepose.quantize.search.effort import EFFORTS
from edgepose.quantize.search.result import Candidate, Errors, Judge, Measured, SearchResult
from edgepose.quantize.search.verb import search

__all__ = ["EFFORTS", "Candidate", "Errors", "Judge", "Measured", "SearchResult", "search"]
