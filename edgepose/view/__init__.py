"""A page that shows a run while it goes on: `edgepose run ... --view 8080`.

live      the sink of a run: it keeps the latest frame and what is known of the run
server    the HTTP server: the page, the pictures as MJPEG, and the numbers as server-sent events
page.html the page
"""
