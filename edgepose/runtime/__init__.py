"""From frames to poses: find people, crop, infer, decode.

pipeline   `Pipeline` and `open_pipeline`: one interface for every network and backend
host       the pipeline through host memory
device     the pipeline that stays on the GPU
finders    where the people are: the whole frame, a boxes file, or a detector
stream     a pipeline over a source of frames, with reading and writing in parallel
"""
