"""Images, video and result files: how pixels come in and how poses go out.

images    read an image file; list the images of a folder
sources   `open_source`: frames of an image, a folder, a video, a camera or a stream
film      read a video: `decoding` decodes it, `picture` turns, deinterlaces and converts its frames
live      keep a camera or a stream connected; `feeds` and `gstreamer` open it
video     write an overlay video; `encoders` chooses the codec, `sound` copies the sound
results   write poses as COCO JSON and as CSV
draw      draw poses over an image
"""
