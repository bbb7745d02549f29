"""Other people's rerankers: HTTP endpoints and libraries, asked for scores and never trusted to be right."""
