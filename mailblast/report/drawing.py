"""pygal as it is used here: without its scripts, and without the finder for plug-ins that it leaves behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pygal
from pygal.etree import etree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["pygal", "svg_of"]

# That finder has no find_spec(): every import after it that finds nothing would be warned of.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]


def svg_of(chart: Any) -> str:
    """Return a pygal chart as an ``svg`` element, without scripts and comments."""
    tree: Element = chart.render_tree()
    for parent in tree.iter():
        for child in list(parent):
            # pygal puts its settings there for a script of its own, also where there is none. A comment's tag is a
            # function.
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
    return str(etree.tostring(tree, encoding="unicode"))
