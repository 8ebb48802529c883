"""Three procedural video data sets, endless and rendered on the fly: nothing to download, nothing to store.

- `toy-ride`: the view from a vehicle. New country keeps entering at the horizon and leaves at the edges.
- `toy-sky`: a steady camera. Clouds form, move on and do not return.
- `toy-talk`: a talking head, one a video. Small repetitive motion, and no new content.

Each module has `VERSION`, raised whenever a rendered pixel changes, and

    render(video: str, times: [T] integers, size: (height, width)) -> uint8 [3, T, H, W], RGB

`video` names one endless video of 25 frames a second, e.g. "toy-ride/train/000123"; other names are other videos. A
frame depends on (video, time, size) only: frames may be asked for in any order, alone or together, and come out
bit-exactly the same. Every size shows the same scene, from 32 to 256 pixels a side; wider frames see more to the left
and right.
"""
