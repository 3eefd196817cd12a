"""The colours of all figures."""

from matplotlib.colors import LinearSegmentedColormap

REAL, FAKE, INK, MUTED, PALE = "#1f4e9c", "#d1541f", "#22252a", "#7d838d", "#e4e6ea"
AVERAGE = "#7c1f4f"  # the generator's moving average
# Settings without an order. None is the blue of the true distribution.
CATEGORIES = ("#d1541f", "#2a8f83", "#7c1f4f", "#e0a526", "#8d6cc4", "#7a9a2e", "#d07ba6", "#8a6a4f")
OTHERS = "#b9bec7"  # settings without a colour of their own
INSIDE = "#f1f5fb"  # the region of eigenvalues where an update converges
# From "generated" through an undecided white to "real". PROBABILITY is pale, so that points stand out.
PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#f4b58f", "#fdeee2", "#ffffff", "#e3ecf8", "#9dbbe6"])
LOGIT = LinearSegmentedColormap.from_list("logit", ["#dd7243", "#f6c4a6", "#ffffff", "#b5caea", "#4a78bd"])
TIME = LinearSegmentedColormap.from_list("time", ["#f3bd48", "#d1541f", "#7c1f4f", "#241a4d"])
