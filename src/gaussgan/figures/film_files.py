"""Save a film as a file: a gif, or an mp4 by the program ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PER_SECOND = 12
HOLD = 2.5  # seconds for which the last frame stays
COLORS = 256  # of the palette that all frames of a gif share


def save_gif(images: Sequence[np.ndarray], path: Path) -> None:
    """Save images of bytes, [height, width, RGB] each, as a gif that repeats. The last image stays for 2.5 seconds."""
    seen = [Image.fromarray(images[i]) for i in np.linspace(0, len(images) - 1, 6).astype(int)]
    mosaic = Image.fromarray(np.concatenate([np.asarray(each)[::2, ::2] for each in seen]))
    palette = mosaic.quantize(COLORS, method=Image.Quantize.MEDIANCUT)
    colors = np.array(palette.getpalette(), dtype=np.uint8).reshape(-1, 3)
    colors[colors.min(-1) >= 248] = 255  # the paper stays white
    palette.putpalette(colors.flatten().tolist())
    frames = [Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    durations = [round(1000 / PER_SECOND)] * (len(frames) - 1) + [round(1000 * HOLD)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False)


def save_mp4(images: Sequence[np.ndarray], path: Path) -> bool:
    """Save images as an mp4, if the program ffmpeg is installed. Return whether it is.

    Raises:
        subprocess.CalledProcessError: when ffmpeg fails.
    """
    if (program := shutil.which("ffmpeg")) is None:
        return False
    height, width = images[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(PER_SECOND), "-i", "-"]
    how = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-movflags", "+faststart"]
    content = b"".join(image.tobytes() for image in [*images, *[images[-1]] * round(HOLD * PER_SECOND)])
    command = [program, "-y", "-loglevel", "error", *raw, *how, str(path)]
    subprocess.run(command, input=content, capture_output=True, check=True)
    return True
