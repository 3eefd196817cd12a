"""Save a film as a file: a gif, or an mp4 by the program ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from gaussgan.figures.colors import AVERAGE, FAKE, INK, MUTED, REAL

PER_SECOND = 12
HOLD = 2.5  # seconds for which the last frame stays
KEPT = (REAL, FAKE, AVERAGE, INK, MUTED)  # colours of lines, which the palette of a gif has in any case
COLORS = 256 - len(KEPT)  # its others; all frames share them


def save_gif(images: Sequence[np.ndarray], path: Path) -> None:
    """Save images of bytes, [height, width, RGB] each, as a gif that repeats. The last image stays for 2.5 seconds."""
    seen = [Image.fromarray(images[i]) for i in np.linspace(0, len(images) - 1, 6).astype(int)]
    mosaic = Image.fromarray(np.concatenate([np.asarray(each)[::2, ::2] for each in seen]))
    palette = mosaic.quantize(COLORS, method=Image.Quantize.MEDIANCUT)
    kept = [round(255 * part) for color in KEPT for part in to_rgb(color)]
    colors = np.array([*(palette.getpalette() or [])[: 3 * COLORS], *kept], dtype=np.uint8).reshape(-1, 3)
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
