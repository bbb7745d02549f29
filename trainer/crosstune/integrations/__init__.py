"""`Reranker` as a part of other people's pipelines: a module a framework, each imports that framework alone.

`langchain`, `llama_index`, `haystack`, `pyterrier`.
"""
