"""Find the pose of one person in an image, and print its joints."""

from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

import edgepose
from edgepose.datasets.rendering.scenes import render_still

with TemporaryDirectory() as folder, edgepose.load("lite", cache_dir=folder, threads=1) as pose:
    photo = Path(folder) / "photo.png"
    cv2.imwrite(str(photo), render_still(seed=1, index=0).image)  # use a photograph of yours instead

    people = pose(photo)  # one person fills the image; pass boxes=... or detector=... for several

    print(pose)
    joints = zip(pose.skeleton.joints, people.xy_image[0], people.scores[0], strict=True)
    for name, (x, y), score in joints:
        print(f"{name:16} x {x:6.1f}  y {y:6.1f}  score {score:.2f}")
    print(people.to_coco(image_id=1)[0]["keypoints"][:6])
