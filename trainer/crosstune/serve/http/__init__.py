"""The HTTP service: one engine behind the wire formats of six rerank services.

Importing `crosstune.serve` does not import this package: the helper needs none of the `serve` extra.
"""
