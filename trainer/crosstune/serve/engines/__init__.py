"""The runtimes that score a batch, one file each; each is imported only where it is used."""

from crosstune.serve.engines.choose import BACKENDS, choose
from crosstune.serve.engines.forward import BATCH_TOKENS, open_forward
from crosstune.serve.engines.runtime import Format, Precision

__all__ = ["BACKENDS", "BATCH_TOKENS", "Format", "Precision", "choose", "open_forward"]
