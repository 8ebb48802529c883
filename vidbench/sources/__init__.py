"""Sources: what videos are read from. See `open_source` for the layouts, `Source` for what can be done with them."""

from vidbench.sources.arrays import source_from_array
from vidbench.sources.layouts import open_source
from vidbench.sources.source import Source
from vidbench.sources.video import Info, Medium, Unreadable, Video

__all__ = ["Info", "Medium", "Source", "Unreadable", "Video", "open_source", "source_from_array"]
