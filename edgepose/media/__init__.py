"""Images, video and result files: how pixels come in and how poses go out.

images    read an image file; list the images of a folder
sources   `open_source`: frames of an image, a folder, a video, a camera or a stream
video     write an overlay video
results/  the outputs of a run, one kind per file
draw      draw poses over an image
"""
