"""The runtimes that score a batch, one file each; each is imported only where it is used."""

from crosstune.serve.engines.choose import BACKENDS, Format, Runtime, choose, open_runtime

__all__ = ["BACKENDS", "Format", "Runtime", "choose", "open_runtime"]
